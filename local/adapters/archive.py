"""Creates the EventBridge archives that CloudFormation does not know, by API.

Gap: CloudFormation refuses `AWS::Events::Archive` ("unsupported resource type"), so `local.deploy`
leaves the resource out; the service itself has archives and replays. Seen in MiniStack 1.5.33;
delete this file and the row in `deploy.CUTS` when upstream provides the type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from local.deploy import CutResource
from local.endpoint import Endpoint
from local.errors import DeploymentError

ARCHIVE = "AWS::Events::Archive"


def create_archives(endpoint: Endpoint, cuts: Iterable[CutResource]) -> list[str]:
    """Create what the templates ask for; return the names (blocking).

    Raises
    ------
    DeploymentError
        A property refers to something else than an event bus of its own stack, or EventBridge
        refuses the archive.
    """
    names = []
    for resource in cuts:
        if resource.type != ARCHIVE:
            continue
        arguments = _arguments(endpoint, resource)
        try:
            endpoint.client("events").create_archive(**arguments)
        except ClientError as error:
            raise DeploymentError(f"{resource.logical_id} ({ARCHIVE}): {error}") from error
        names.append(arguments["ArchiveName"])
    return names


def _arguments(endpoint: Endpoint, resource: CutResource) -> dict[str, Any]:
    properties = resource.properties
    arguments: dict[str, Any] = {
        # CloudFormation makes up a name where the template has none.
        "ArchiveName": properties.get("ArchiveName", resource.logical_id[:48]),
        "EventSourceArn": _bus_arn(endpoint, resource, properties["SourceArn"]),
    }
    if "Description" in properties:
        arguments["Description"] = properties["Description"]
    if "RetentionDays" in properties:
        arguments["RetentionDays"] = int(properties["RetentionDays"])
    if "EventPattern" in properties:
        pattern = properties["EventPattern"]
        arguments["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(pattern)
    return arguments


def _bus_arn(endpoint: Endpoint, resource: CutResource, source: Any) -> str:
    match source:
        case str():
            return source
        case {"Fn::GetAtt": [str(logical_id), "Arn"]}:
            cloudformation = endpoint.client("cloudformation")
            found = cloudformation.describe_stack_resource(
                StackName=resource.stack, LogicalResourceId=logical_id
            )["StackResourceDetail"]
            bus = endpoint.client("events").describe_event_bus(Name=found["PhysicalResourceId"])
            return str(bus["Arn"])
    raise DeploymentError(
        f"{resource.logical_id}: SourceArn {source!r} is not the ARN of a bus of its own stack"
    )
