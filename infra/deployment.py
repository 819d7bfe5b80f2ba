"""Which deployment is synthesized, and how its resources are called."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from aws_cdk import RemovalPolicy
from constructs import Node

from infra.errors import DeploymentError
from iot_rules import DOOR_EVENTS, PRESENCE

_Choice = TypeVar("_Choice", bound=StrEnum)

PROJECT = "latchline"
DEVELOPMENT = "dev"
PRODUCTION = "prod"
_STAGE = re.compile(r"[a-z][a-z0-9]{0,11}")
"""IoT rule names allow no hyphen, CloudFormation stack names no underscore."""
_LAYER_VERSION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[\w-]+:[0-9]+")


class Route(StrEnum):
    """The way of an event from the IoT rule to the projector."""

    BUS = "bus"
    """Through pipe and bus."""
    DIRECT = "direct"
    """Straight into the projector's queue; the bus is a side tap and replays only."""


class Tracing(StrEnum):
    """What AWS X-Ray is told of the functions (docs/decisions/0012-tracing.md)."""

    OFF = "off"
    ACTIVE = "active"
    """Lambda itself records a sample of the invocations; nothing of ours runs for it."""
    ADOT = "adot"
    """And AWS's layer of OpenTelemetry instruments the calls inside them."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The context values `stage`, `route`, `tracing`, … of `from_context`, checked."""

    stage: str = DEVELOPMENT
    route: Route = Route.BUS
    tracing: Tracing = Tracing.ACTIVE
    adot_layer: str | None = None
    """ARN of AWS's layer AWSOpenTelemetryDistroPython in the region deployed to."""
    page_domain: str | None = None
    """The dashboard's own domain name instead of CloudFront's."""
    page_certificate: str | None = None
    """ARN of the domain's certificate in us-east-1, where CloudFront looks for it."""

    @classmethod
    def from_context(cls, node: Node) -> "Deployment":
        """Raise DeploymentError for a deployment that cannot be, naming the value."""
        stage = node.try_get_context("stage") or DEVELOPMENT
        route = _choice(Route, "route", node.try_get_context("route") or Route.BUS)
        tracing = _choice(Tracing, "tracing", node.try_get_context("tracing") or Tracing.ACTIVE)
        adot_layer = node.try_get_context("adot-layer") or None
        if not (isinstance(stage, str) and _STAGE.fullmatch(stage)):
            raise DeploymentError(
                f"context stage={stage!r}: wanted a letter and up to 11 letters or digits, "
                "all lower case"
            )
        domain = node.try_get_context("page-domain") or None
        certificate = node.try_get_context("page-certificate") or None
        if (domain is None) is not (certificate is None):
            given = f"page-domain={domain!r}, page-certificate={certificate!r}"
            raise DeploymentError(f"context {given}: wanted both or neither")
        if (tracing is Tracing.ADOT) is not (adot_layer is not None):
            given = f"tracing={tracing.value!r}, adot-layer={adot_layer!r}"
            raise DeploymentError(f"context {given}: tracing=adot wants its layer, others none")
        if adot_layer is not None and not _LAYER_VERSION.fullmatch(str(adot_layer)):
            raise DeploymentError(
                f"context adot-layer={adot_layer!r}: wanted the ARN of a layer's version, "
                "arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION"
            )
        return cls(stage, route, tracing, adot_layer, domain, certificate)

    @property
    def production(self) -> bool:
        return self.stage == PRODUCTION

    @property
    def removal_policy(self) -> RemovalPolicy:
        """What becomes of a resource with state when its stack goes or it is replaced."""
        return RemovalPolicy.RETAIN if self.production else RemovalPolicy.DESTROY

    def name(self, part: str) -> str:
        """Name a stack or resource. Unique in an account and region, so stages can share one.

        A name given by us also keeps CloudFormation from replacing a resource silently: an update
        that would have to fails instead.
        """
        return f"{PROJECT}-{self.stage}-{part}"

    @property
    def door_rule(self) -> str:
        """Part of every controller's topic (Basic Ingest), so plain where nothing else is."""
        return self._rule(DOOR_EVENTS)

    @property
    def presence_rule(self) -> str:
        return self._rule(PRESENCE)

    def _rule(self, name: str) -> str:
        return name if self.stage == DEVELOPMENT else f"{self.stage}_{name}"


def _choice(kind: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        wanted = " or ".join(kind)
        raise DeploymentError(f"context {name}={value!r}: wanted {wanted}") from None
