"""Finds what a command talks to: a laptop stack by its name, or AWS by its stacks' outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.errors import CommandError

if TYPE_CHECKING:
    from simulators.target import Target

LAYERS = ("data", "identity", "ingest", "fanout")
EDGE = "edge"
"""Nothing but the dashboard's page needs this layer."""
AWS_THINGS_PER_S = 8.0
"""AWS: CreateThing, AttachPolicy, AttachThingPrincipal allow 10 requests/s and more an account."""


def find_target(name: str, stage: str | None) -> "Target":
    from simulators.target import Target

    if stage is not None:
        return Target.from_info(
            {**aws_info(stage), "door_rule": aws_outputs(stage)["DoorRuleName"]}
        )
    return Target.from_info(local_info(name))


def local_info(name: str) -> dict[str, Any]:
    """Raise LocalStackError if no stack of that name is running."""
    from local import stack

    info: dict[str, Any] = stack.load(name).info.model_dump(mode="json")
    return info


def aws_info(stage: str) -> dict[str, Any]:
    """Return the shape of `latchline info --json`, from the outputs of the stacks of a stage.

    No keys are handed out: on AWS every client asks its own credential chain.
    """
    import boto3

    from local.info import MQTT_PORT, IotInfo, StackInfo

    session = boto3.Session()
    outputs = aws_outputs(stage)
    endpoint = session.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
    iot = IotInfo(endpoint=endpoint["endpointAddress"], port=MQTT_PORT, ca_file=None)
    info = StackInfo.from_outputs(outputs, region=session.region_name or "", iot=iot)
    return info.model_dump(mode="json")


def aws_outputs(stage: str) -> Mapping[str, str]:
    """All outputs of the layers; raise CommandError naming the stack that is not deployed.

    The edge may be missing: then its outputs are.
    """
    import boto3
    from botocore.exceptions import ClientError, NoRegionError

    try:
        client = boto3.Session().client("cloudformation")
    except NoRegionError:
        raise CommandError("no AWS region: set AWS_REGION or AWS_PROFILE") from None
    outputs: dict[str, str] = {}
    for layer in (*LAYERS, EDGE):
        stack_name = f"latchline-{stage}-{layer}"
        try:
            (described,) = client.describe_stacks(StackName=stack_name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            if layer == EDGE:
                continue
            raise CommandError(
                f"stack {stack_name} is not deployed in {client.meta.region_name}: make deploy"
            ) from error
        for output in described.get("Outputs", []):
            outputs[output["OutputKey"]] = output["OutputValue"]
    return outputs


def same_deployment(name: str, stage: str | None) -> str:
    """Return the option that a hint's command needs to reach the deployment at hand."""
    if stage is not None:
        return f" --stage {stage}"
    return "" if name == "default" else f" --name {name}"


def keys_folder(name: str, stage: str | None) -> Path:
    """Return where the lockers' keys are: a laptop stack's go away with its state and registry."""
    from local.state import state_dir, state_root

    folder = state_dir(name).path if stage is None else state_root() / f"aws-{stage}"
    return folder / "fleet"


def default_truth(name: str, stage: str | None) -> Path:
    """Return where a run is recorded; it outlives the stack, and git ignores it."""
    from local.state import state_root

    return state_root() / f"truth-{name if stage is None else f'aws-{stage}'}.jsonl"


def things_per_s(stage: str | None) -> float | None:
    return None if stage is None else AWS_THINGS_PER_S
