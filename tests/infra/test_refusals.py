"""What each role may do in the deployed stacks: exactly its part, and everything else is refused.

The templates as synthesized, in the emulator with authorization on. Each role tries every call, so
a permission too many fails here as well as one that is missing.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.adapters.plain_http import allow_plain_http
from local.deploy import deploy
from local.endpoint import Endpoint
from pipeline import items
from pipeline.contract import Thing
from tests.support.appsync_stack import REGION, MiniStack, ministack
from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

QUEUES = (
    "ingest",
    "ingest-dlq",
    "projector",
    "projector-dlq",
    "quarantine",
    "bus-dlq",
    "iot-errors",
    "fanout-dlq",
)
REFUSED = {"AccessDenied", "AccessDeniedException", "NotAuthorized", "ForbiddenException"}
TRUSTS_THE_TEST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
MAY = {
    "ProjectorRole": {
        "get item",
        "put item",
        "update item",
        "write items",
        "receive from projector",
        "send to quarantine",
    },
    "FanoutRole": {"list streams", "send to fanout-dlq"},
    "PipeRole": {"receive from ingest", "put on bus"},
    "DoorEventsRuleRole": {"send to ingest", "send to iot-errors"},
    "PresenceRuleRole": {"send to ingest", "send to iot-errors"},
    "TableSourceRole": {"query table", "query index"},
    "ApiLogRole": set(),
}
"""By logical id without its hash: the calls that are not refused (route=bus).

The fan-out's reading of the stream is not among them: MiniStack 1.5.33 does not ask for the
stream's ARN there, so only the template's word counts (test_stacks).
"""


@dataclass(frozen=True)
class Deployed:
    emulator: MiniStack
    outputs: dict[str, str]
    roles: dict[str, str]
    """Logical id without hash to name."""

    def acting_as(self, role: str) -> boto3.Session:
        """With credentials of the role, as the service has them that assumes it."""
        iam, sts = self.emulator.client("iam"), self.emulator.client("sts")
        found = iam.get_role(RoleName=self.roles[role])["Role"]
        iam.update_assume_role_policy(
            RoleName=self.roles[role], PolicyDocument=json.dumps(TRUSTS_THE_TEST)
        )
        issued = sts.assume_role(RoleArn=found["Arn"], RoleSessionName="test")["Credentials"]
        iam.update_assume_role_policy(
            RoleName=self.roles[role], PolicyDocument=json.dumps(found["AssumeRolePolicyDocument"])
        )
        return boto3.Session(
            aws_access_key_id=issued["AccessKeyId"],
            aws_secret_access_key=issued["SecretAccessKey"],
            aws_session_token=issued["SessionToken"],
            region_name=REGION,
        )


@pytest.fixture(scope="module")
def deployed(
    assemblies: dict[str, Assembly], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    folder: Path = tmp_path_factory.mktemp("emulator")
    with ministack(folder) as emulator:
        endpoint = Endpoint(emulator.url, emulator.access_key, emulator.secret_key)
        outputs = dict(deploy(endpoint, assemblies["dev-bus"].folder, lambda _: None).outputs)
        allow_plain_http(endpoint)
        yield Deployed(emulator, outputs, role_names(emulator))


def role_names(emulator: MiniStack) -> dict[str, str]:
    cloudformation = emulator.client("cloudformation")
    return {
        resource["LogicalResourceId"][:-8]: resource["PhysicalResourceId"]
        for stack in cloudformation.describe_stacks()["Stacks"]
        for resource in cloudformation.list_stack_resources(StackName=stack["StackName"])[
            "StackResourceSummaries"
        ]
        if resource["ResourceType"] == "AWS::IAM::Role"
    }


def test_every_role_is_tried(deployed: Deployed) -> None:
    """A role that is added tomorrow has to be told here what it may do."""
    assert set(deployed.roles) == set(MAY)


@pytest.mark.parametrize("role", ["PipeRole", "DoorEventsRuleRole", "PresenceRuleRole"])
def test_nobody_else_can_borrow_a_role(role: str, deployed: Deployed) -> None:
    """`aws:SourceArn` in its trust: not even the account's root without being that resource."""
    iam, sts = deployed.emulator.client("iam"), deployed.emulator.client("sts")
    arn = iam.get_role(RoleName=deployed.roles[role])["Role"]["Arn"]
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=arn, RoleSessionName="test")


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_its_part_and_nothing_else(role: str, deployed: Deployed) -> None:
    """Every call of the table, by every role: those of its row are let through."""
    session = deployed.acting_as(role)
    tried = calls(session, deployed)
    assert {name for name, call in tried.items() if not is_refused(call)} == MAY[role]
    assert set().union(*MAY.values()) <= set(tried)


def is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"]) in REFUSED
    return False


def calls(session: boto3.Session, deployed: Deployed) -> dict[str, Callable[[], Any]]:
    """What could be tried, by name; harmless where it succeeds."""

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=deployed.emulator.url)

    sqs, dynamodb = client("sqs"), client("dynamodb")
    table = deployed.outputs["TableName"]
    key = items.tile_key(Thing("maple-court", "l03"), "d02")
    function = deployed.outputs["ProjectorFunctionName"]
    found: dict[str, Callable[[], Any]] = {
        "get item": lambda: dynamodb.get_item(TableName=table, Key=key),
        "put item": lambda: dynamodb.put_item(TableName=table, Item=key),
        "update item": lambda: dynamodb.update_item(TableName=table, Key=key),
        "write items": lambda: dynamodb.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": key}}]}
        ),
        "delete item": lambda: dynamodb.delete_item(TableName=table, Key=key),
        "scan table": lambda: dynamodb.scan(TableName=table),
        "query table": lambda: query(dynamodb, table, "pk", key["pk"]),
        "query index": lambda: query(dynamodb, table, "attention", {"S": "fault"}, "attention"),
        "describe table": lambda: dynamodb.describe_table(TableName=table),
        "list streams": client("dynamodbstreams").list_streams,
        "put on bus": lambda: client("events").put_events(
            Entries=[
                {
                    "EventBusName": deployed.outputs["BusName"],
                    "Source": "test",
                    "DetailType": "test",
                    "Detail": "{}",
                }
            ]
        ),
        "invoke function": lambda: client("lambda").invoke(FunctionName=function, Payload=b"{}"),
        "read function": lambda: client("lambda").get_function(FunctionName=function),
        "publish to devices": lambda: client("iot-data").publish(topic="lockers/x", payload=b"x"),
        "list certificates": lambda: client("iot").list_certificates(),
        "list people": lambda: client("cognito-idp").list_users(
            UserPoolId=deployed.outputs["UserPoolId"]
        ),
        "widen a role": lambda: client("iam").put_role_policy(
            RoleName=deployed.roles["ProjectorRole"],
            PolicyName="test",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
        ),
        "list buckets": lambda: client("s3").list_buckets(),
    }
    for queue in QUEUES:
        url = sqs_url(deployed, queue)
        found[f"send to {queue}"] = lambda url=url: sqs.send_message(QueueUrl=url, MessageBody="x")
        found[f"receive from {queue}"] = lambda url=url: sqs.receive_message(
            QueueUrl=url, WaitTimeSeconds=0, VisibilityTimeout=0
        )
        found[f"purge {queue}"] = lambda url=url: sqs.purge_queue(QueueUrl=url)
    return found


def query(dynamodb: Any, table: str, name: str, value: Any, index: str = "") -> Any:
    return dynamodb.query(
        TableName=table,
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": name},
        ExpressionAttributeValues={":k": value},
        **({"IndexName": index} if index else {}),
    )


def sqs_url(deployed: Deployed, queue: str) -> str:
    part = "".join(word.capitalize() for word in queue.split("-"))
    name = f"{part}Url" if queue.endswith("-dlq") else f"{part}QueueUrl"
    return deployed.outputs[name]
