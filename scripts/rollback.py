"""`latchline rollback`: events go to the functions as they were before the last deployment.

Every deployment publishes a version of each function. A rollback points the event source mappings
at an earlier one, which AWS takes up within a minute; stacks, table and queues stay as they are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OnStage = Annotated[
    str, typer.Option(help="The deployment: its stage, as in make deploy STAGE=…", metavar="STAGE")
]
MAPPINGS = {
    "ProjectorFunctionName": "ProjectorMappingId",
    "FanoutFunctionName": "FanoutMappingId",
}
"""Stack outputs: the function's, and that of the mapping which invokes it."""
DEPLOYED = "$LATEST"


@dataclass(frozen=True, slots=True)
class Step:
    """One mapping from one version of its function to another."""

    function: str
    mapping: str
    before: str
    after: str

    @property
    def target(self) -> str:
        return self.function if self.after == DEPLOYED else f"{self.function}:{self.after}"


def rollback(
    *,
    stage: OnStage,
    end: Annotated[
        bool, typer.Option("--end", help="Back to what was deployed last (make deploy does it).")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only show it.")] = False,
) -> None:
    """Let projector and fan-out run as they were before the last deployment.

    Run again, it goes back one version more.
    """
    import boto3

    from scripts.deployment import aws_outputs

    client = boto3.client("lambda")
    steps = plan(client, aws_outputs(stage), end=end)
    for step in steps:
        typer.echo(f"{step.function}: version {step.before} → {step.after}")
    if not steps:
        typer.echo("the functions run as deployed last")
    elif yes:
        carry_out(client, steps)
        typer.echo("AWS takes this up within a minute; latchline smoke tells whether it works")
    else:
        typer.echo("nothing is changed yet: the same with --yes")


def plan(client: Any, outputs: "Mapping[str, str]", *, end: bool) -> "list[Step]":
    """What is to be changed, function by function.

    Raises
    ------
    CommandError
        There is no earlier version of one of them: none is changed.
    """
    steps = []
    for function_output, mapping_output in MAPPINGS.items():
        function, mapping = outputs[function_output], outputs[mapping_output]
        before = _version_of(client.get_event_source_mapping(UUID=mapping)["FunctionArn"])
        after = DEPLOYED if end else _earlier(client, function, before)
        if after != before:
            steps.append(Step(function, mapping, before, after))
    return steps


def carry_out(client: Any, steps: "Sequence[Step]") -> None:
    for step in steps:
        client.update_event_source_mapping(UUID=step.mapping, FunctionName=step.target)


def _version_of(arn: str) -> str:
    """`arn:aws:lambda:<region>:<account>:function:<name>[:<version>]`."""
    parts = arn.split(":")
    return parts[7] if len(parts) > 7 else DEPLOYED  # noqa: PLR2004


def _earlier(client: Any, function: str, before: str) -> str:
    from scripts.errors import CommandError

    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    published = sorted(
        int(each["Version"])
        for page in pages
        for each in page["Versions"]
        if each["Version"] != DEPLOYED
    )
    # The newest is what was deployed last.
    limit = int(before) if before != DEPLOYED else max(published, default=0)
    earlier = [version for version in published if version < limit]
    if not earlier:
        raise CommandError(f"{function} has no version before {limit or 'this deployment'}")
    return str(earlier[-1])
