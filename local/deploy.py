"""Deploys a cloud assembly into MiniStack with CloudFormation calls, as `cdk deploy` does on AWS.

The templates go in as they were synthesized. Three things differ, both because of the machine and
none in a template that has no such resource:

- stacks in `LEFT_OUT` are not deployed, and no other stack may need them;
- resource types in `CUTS` are left out, each for a gap of the emulator that an adapter fills;
- layers are uploaded empty: functions run in this interpreter, which has the same libraries from
  its own lock, while the layers hold wheels for ARM64 and another Python.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.assembly import Asset, Stack, read_assembly, zip_files
from local.endpoint import ACCOUNT, Endpoint
from local.errors import DeploymentError

CUTS: Mapping[str, str] = {
    "AWS::Events::Archive": "CloudFormation refuses the type; `adapters.archive` creates it",
}
"""Resource types left out of the local copy of a template, and why. Seen in MiniStack 1.5.33."""

LEFT_OUT: Mapping[str, str] = {
    "edge": "`local.dashboard` serves the page, without a CloudFront",
    "observability": "nothing here publishes AWS's metrics, and nobody is on call for a laptop",
}
"""Layers that stay on AWS, and why."""

BOOTSTRAP_VERSION = ("/cdk-bootstrap/hnb659fds/version", "30")
"""What `cdk bootstrap` leaves for the default synthesizer: an SSM parameter, and a bucket."""
MAX_TEMPLATE_BODY = 51_200
"""AWS: bytes of a template passed in the request; a larger one comes from S3."""
STACK_TIMEOUT_S = 120.0
_POLL_S = 0.05
_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)[.}]")
"""The logical id in `Fn::Sub`: `${Bus}` or `${Bus.Arn}`."""
_EMPTY_LAYER = {"python/README": b"The laptop's interpreter has these libraries already.\n"}


@dataclass(frozen=True, slots=True)
class CutResource:
    """A resource that was left out: properties as in the template, references unresolved."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the stacks say about themselves after the deployment."""

    outputs: Mapping[str, str]
    """Output key to value, of all stacks."""
    templates: Mapping[str, Mapping[str, Any]]
    """Stack name to its template as synthesized."""
    cuts: tuple[CutResource, ...] = field(default=())


def deploy(endpoint: Endpoint, folder: Path, on_progress: Callable[[str], None]) -> Deployed:
    """Deploy every stack of the assembly in order (blocking).

    Raises
    ------
    DeploymentError
        Names the stack, the resource and the reason that CloudFormation gave.
    """
    stacks = [
        stack for stack in read_assembly(folder) if stack.name.rpartition("-")[2] not in LEFT_OUT
    ]
    _bootstrap(endpoint, stacks)
    client = endpoint.client("cloudformation")
    outputs: dict[str, str] = {}
    cuts: list[CutResource] = []
    for stack in stacks:
        on_progress(f"deploying {stack.name}")
        template, left_out = cut(stack)
        cuts += left_out
        outputs |= _deploy_stack(client, endpoint, stack, template)
    return Deployed(outputs, {stack.name: stack.template for stack in stacks}, tuple(cuts))


def cut(stack: Stack) -> tuple[Mapping[str, Any], list[CutResource]]:
    """Leave out the resources of `CUTS`, and the outputs that show them.

    Raises
    ------
    DeploymentError
        Another resource refers to one that would be left out.
    """
    resources = stack.template.get("Resources", {})
    left_out = {name: each for name, each in resources.items() if each["Type"] in CUTS}
    if not left_out:
        return stack.template, []
    kept = {name: each for name, each in resources.items() if name not in left_out}
    for name, resource in kept.items():
        broken = _references(resource) & left_out.keys()
        if broken:
            raise DeploymentError(
                f"{stack.name}: {name} refers to {', '.join(sorted(broken))}, which is left out "
                "on the laptop"
            )
    template = {**stack.template, "Resources": kept}
    if "Outputs" in template:
        template["Outputs"] = {
            name: output
            for name, output in stack.template["Outputs"].items()
            if not _references(output) & left_out.keys()
        }
    return template, [
        CutResource(stack.name, name, each["Type"], each.get("Properties", {}))
        for name, each in left_out.items()
    ]


def _references(node: Any) -> set[str]:
    """Logical ids that a piece of a template refers to."""
    if isinstance(node, list):
        return set().union(*map(_references, node))
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in node.items():
        if key in {"Ref", "DependsOn"} and isinstance(value, str):
            found.add(value)
        elif key == "DependsOn":
            found |= set(value)
        elif key == "Fn::GetAtt":
            found.add(value.split(".")[0] if isinstance(value, str) else value[0])
        elif key == "Fn::Sub":
            text, *variables = [value] if isinstance(value, str) else value
            found |= set(_SUBSTITUTED.findall(text)) | _references(variables)
        else:
            found |= _references(value)
    return found


def _bootstrap(endpoint: Endpoint, stacks: list[Stack]) -> None:
    """What `cdk bootstrap` and the asset publishing of `cdk deploy` do."""
    s3, ssm = endpoint.client("s3"), endpoint.client("ssm")
    name, value = BOOTSTRAP_VERSION
    ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    layers = _layer_keys(stacks)
    buckets: set[str] = set()
    done: set[tuple[str, str]] = set()
    for asset in (asset for stack in stacks for asset in stack.assets):
        bucket, key = _resolve(asset.bucket, endpoint), _resolve(asset.key, endpoint)
        if (bucket, key) in done:
            continue
        if bucket not in buckets:
            s3.create_bucket(Bucket=bucket)
            buckets.add(bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=_content(asset, is_layer=key in layers))
        done.add((bucket, key))


def _content(asset: Asset, *, is_layer: bool) -> bytes:
    if is_layer:
        return zip_files(_EMPTY_LAYER)
    try:
        return asset.content()
    except OSError as error:
        raise DeploymentError(f"asset {asset.source} cannot be read: {error}") from error


def _layer_keys(stacks: list[Stack]) -> set[str]:
    return {
        resource["Properties"]["Content"]["S3Key"]
        for stack in stacks
        for resource in stack.template.get("Resources", {}).values()
        if resource["Type"] == "AWS::Lambda::LayerVersion"
    }


def _resolve(text: str, endpoint: Endpoint) -> str:
    return (
        text.replace("${AWS::AccountId}", ACCOUNT)
        .replace("${AWS::Region}", endpoint.region)
        .replace("${AWS::Partition}", "aws")
    )


def _deploy_stack(
    client: Any, endpoint: Endpoint, stack: Stack, template: Mapping[str, Any]
) -> dict[str, str]:
    body = json.dumps(template, separators=(",", ":"))
    try:
        client.create_stack(
            StackName=stack.name,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in stack.parameters.items()
            ],
            **_where(body, endpoint, stack.name),
        )
    except ClientError as error:
        reason = error.response["Error"].get("Message", str(error))
        raise DeploymentError(f"{stack.name}: CloudFormation refused it: {reason}") from error
    described = _wait(client, stack.name)
    return {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}


def _where(body: str, endpoint: Endpoint, name: str) -> dict[str, str]:
    if len(body.encode()) <= MAX_TEMPLATE_BODY:
        return {"TemplateBody": body}
    s3 = endpoint.client("s3")
    bucket = f"cdk-hnb659fds-assets-{ACCOUNT}-{endpoint.region}"
    s3.put_object(Bucket=bucket, Key=f"{name}.template.json", Body=body.encode())
    return {"TemplateURL": f"{endpoint.url}/{bucket}/{name}.template.json"}


def _wait(client: Any, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + STACK_TIMEOUT_S
    while True:
        described: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        status = described["StackStatus"]
        if status == "CREATE_COMPLETE":
            return described
        if status != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise DeploymentError(f"{name} is {status}: {_why(client, name)}")
        time.sleep(_POLL_S)


def _why(client: Any, name: str) -> str:
    """The first failure: those after it are its consequences."""
    events = client.describe_stack_events(StackName=name).get("StackEvents", [])
    failed = [each for each in events if each.get("ResourceStatus", "").endswith("_FAILED")]
    if not failed:
        return "no resource is reported as failed"
    first = failed[-1]
    return (
        f"{first.get('LogicalResourceId')} ({first.get('ResourceType')}): "
        f"{first.get('ResourceStatusReason', 'no reason given')}"
    )
