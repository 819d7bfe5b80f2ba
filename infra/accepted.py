"""Findings of cdk-nag (AwsSolutions) that are no fault here, each with its reason.

Whatever else it finds fails the synthesis.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import Acknowledgment, App, Stack, Validations

from infra.deployment import Deployment

PACK = "AwsSolutions"


@dataclass(frozen=True, slots=True)
class Accepted:
    """`rule` without the pack's name, of the construct `part` of the stack `layer`."""

    layer: str
    part: str
    rule: str
    reason: str


def check(app: App, deployment: Deployment) -> None:
    """Have cdk-nag look at all stacks when the app is synthesized, but for what is accepted."""
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415  (seconds that a refusal needs not)

    stacks = {each.node.id: each for each in app.node.children if isinstance(each, Stack)}
    for each in accepted():
        construct = stacks[deployment.name(each.layer)].node.find_child(each.part)
        Validations.of(construct).acknowledge(
            Acknowledgment(id=f"{PACK}::{PACK}-{each.rule}", reason=each.reason)
        )
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def accepted() -> Iterator[Accepted]:
    """All of them, in the order of deployment."""
    yield Accepted(
        "identity",
        "UserPool",
        "COG1",
        "twelve characters and no rules of composition, as NIST SP 800-63B wants it",
    )
    yield Accepted(
        "identity",
        "UserPool",
        "COG2",
        "a manager sees tiles of one building and changes nothing; a second factor is offered",
    )
    yield Accepted(
        "identity",
        "UserPool",
        "COG8",
        "the plus plan costs per user; nobody signs up by himself, and tokens end after an hour",
    )
    yield from (
        Accepted("ingest", part, "SQS3", f"it is a dead-letter queue: {whose}")
        for part, whose in (
            ("Quarantine", "the projector's own"),
            ("BusDlq", "of the bus rule's target"),
            ("IotErrors", "of the IoT rules' errorAction"),
        )
    )
    yield Accepted("ingest", "ProjectorRole", "IAM5[Resource::*]", "X-Ray's Put… know no resource")
    yield Accepted(
        "fanout", "FanoutDlq", "SQS3", "it is a dead-letter queue: of the stream's mapping"
    )
    yield from (
        Accepted(
            layer,
            f"{part}Function",
            "L1",
            "Python 3.13 is supported until 2029; the layers' wheels are locked for it",
        )
        for layer, part in (("ingest", "Projector"), ("fanout", "Fanout"))
    )
    yield Accepted(
        "fanout",
        "Api",
        "ASC3",
        "errors are logged; requests are not, for their content is nobody's business",
    )
    yield Accepted(
        "fanout",
        "FanoutRole",
        "IAM5[Resource::*]",
        "dynamodb:ListStreams, which a stream's mapping needs, and X-Ray's Put… know no resource",
    )
    yield Accepted(
        "edge", "Page", "S1", "public files of a page; only CloudFront may read the bucket"
    )
    yield from (
        Accepted("edge", "Distribution", rule, reason)
        for rule, reason in (
            ("CFR1", "whom a building belongs to is no matter of his country"),
            ("CFR2", "static files without a server behind them: nothing for a WAF to keep out"),
            ("CFR3", "who reads a public page is nobody's business; it holds no data"),
            (
                "CFR4",
                "TLS 1.2 wants a domain name of one's own (page-domain); then it is set",
            ),
        )
    )
