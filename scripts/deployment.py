"""Finds what a command talks to: a laptop stack by its name, or AWS by its stacks' outputs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.errors import CommandError

if TYPE_CHECKING:
    from simulators.target import Target

LAYERS = ("data", "identity", "ingest", "fanout")
MQTT_PORT = 8883
AWS_THINGS_PER_S = 8.0
"""AWS: CreateThing, AttachPolicy, AttachThingPrincipal allow 10 requests/s and more an account."""

QUEUE_OUTPUTS = {
    "ingest": "IngestQueueUrl",
    "ingest_dlq": "IngestDlqUrl",
    "projector": "ProjectorQueueUrl",
    "projector_dlq": "ProjectorDlqUrl",
    "quarantine": "QuarantineQueueUrl",
    "bus_dlq": "BusDlqUrl",
    "iot_errors": "IotErrorsQueueUrl",
    "fanout_dlq": "FanoutDlqUrl",
}
"""Name in `latchline info --json` to output of the stacks."""


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

    session = boto3.Session()
    outputs = aws_outputs(stage)
    endpoint = session.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
    http = outputs["GraphqlUrl"]
    return {
        "region": session.region_name,
        "endpoint_url": None,
        "access_key_id": None,
        "secret_access_key": None,
        "iot": {"endpoint": endpoint["endpointAddress"], "port": MQTT_PORT, "ca_file": None},
        "graphql": {
            "http": http,
            "realtime": http.replace("https://", "wss://").replace(
                ".appsync-api.", ".appsync-realtime-api."
            ),
        },
        "dashboard": None,
        "table": outputs["TableName"],
        "device_policy": outputs["DevicePolicyName"],
        "queues": {name: outputs[output] for name, output in QUEUE_OUTPUTS.items()},
        "cognito": {
            "user_pool_id": outputs["UserPoolId"],
            "client_id": outputs["UserPoolClientId"],
        },
    }


def aws_outputs(stage: str) -> Mapping[str, str]:
    """All outputs of the layers; raise CommandError naming the stack that is not deployed."""
    import boto3
    from botocore.exceptions import ClientError, NoRegionError

    try:
        client = boto3.Session().client("cloudformation")
    except NoRegionError:
        raise CommandError("no AWS region: set AWS_REGION or AWS_PROFILE") from None
    outputs: dict[str, str] = {}
    for layer in LAYERS:
        stack_name = f"latchline-{stage}-{layer}"
        try:
            (described,) = client.describe_stacks(StackName=stack_name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CommandError(
                f"stack {stack_name} is not deployed in {client.meta.region_name}: make deploy"
            ) from error
        for output in described.get("Outputs", []):
            outputs[output["OutputKey"]] = output["OutputValue"]
    return outputs


def state_root() -> Path:
    """Where Latchline keeps what outlives a command; ignored by git."""
    return Path(os.environ.get("LATCHLINE_HOME") or Path.cwd()) / ".latchline"


def keys_folder(name: str, stage: str | None) -> Path:
    """Return where the lockers' keys are: a laptop stack's go away with its state and registry."""
    return state_root() / (name if stage is None else f"aws-{stage}") / "fleet"


def default_truth(name: str, stage: str | None) -> Path:
    return state_root() / f"truth-{name if stage is None else f'aws-{stage}'}.jsonl"


def things_per_s(stage: str | None) -> float | None:
    return None if stage is None else AWS_THINGS_PER_S
