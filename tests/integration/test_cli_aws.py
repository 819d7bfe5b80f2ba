"""`--stage`: endpoints come from the outputs of the stacks on AWS (moto)."""

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from local.info import QUEUE_OUTPUTS
from scripts.cli import app
from scripts.deployment import LAYERS, find_target

pytestmark = pytest.mark.integration

CLI = CliRunner(
    env={
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
)
OUTPUTS = {
    "data": ["TableName", "TableStreamArn"],
    "identity": ["UserPoolId", "UserPoolClientId", "DevicePolicyName"],
    "ingest": [
        *QUEUE_OUTPUTS.values(),
        "BusName",
        "ArchiveName",
        "DoorRuleName",
        "ProjectorFunctionName",
    ],
    "fanout": ["GraphqlUrl", "FanoutFunctionName"],
}
GRAPHQL = "https://abc.appsync-api.us-east-1.amazonaws.com/graphql"


@pytest.fixture
def deployed() -> Iterator[None]:
    with mock_aws():
        client = boto3.client("cloudformation", region_name="us-east-1")
        for layer in LAYERS:
            template = {
                "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
                "Outputs": {
                    name: {"Value": GRAPHQL if name == "GraphqlUrl" else f"the-{name}"}
                    for name in OUTPUTS[layer]
                },
            }
            client.create_stack(
                StackName=f"latchline-prod-{layer}", TemplateBody=json.dumps(template)
            )
        yield


def test_a_stage_is_described_without_handing_out_keys(deployed: None) -> None:
    """The shape is the laptop's; endpoint and keys are null, and queues are the outputs."""
    result = CLI.invoke(app, ["info", "--stage", "prod", "--json"])
    assert result.exit_code == 0, result.output
    info = json.loads(result.output)
    assert info["endpoint_url"] is info["access_key_id"] is info["secret_access_key"] is None
    assert info["table"] == "the-TableName"
    assert info["queues"]["quarantine"] == "the-QuarantineQueueUrl"
    assert info["graphql"]["http"] == GRAPHQL
    assert info["graphql"]["realtime"].startswith("wss://abc.appsync-realtime-api.us-east-1.")
    assert info["dashboard"] is None, "no edge is deployed"


def test_a_fleet_takes_the_rule_s_name_from_the_stage(deployed: None) -> None:
    """Two stages in one account have rules of different names."""
    with CLI.isolation():
        target = find_target("default", "prod")
    assert target.door_rule == "the-DoorRuleName"
    assert target.graphql.host == "abc.appsync-api.us-east-1.amazonaws.com"


def test_a_stage_that_is_not_deployed_is_named(deployed: None) -> None:
    """The stack that is missing, and where it was looked for."""
    result = CLI.invoke(app, ["info", "--stage", "nope"])
    assert result.exit_code == 2
    assert "stack latchline-nope-data is not deployed in us-east-1" in " ".join(
        result.output.split()
    )


def test_the_page_is_withdrawn_so_that_its_stack_can_go(deployed: None) -> None:
    """Without an edge there is nothing to do; with one its bucket is emptied, if one says yes."""
    command = ["dashboard", "withdraw", "--stage", "prod"]
    nothing = CLI.invoke(app, command)
    assert (nothing.exit_code, "nothing to remove" in nothing.output) == (0, True)
    template = {
        "Resources": {"Page": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {
            "DashboardUrl": {"Value": "https://page.example/"},
            "DashboardBucketName": {"Value": {"Ref": "Page"}},
        },
    }
    client = boto3.client("cloudformation", region_name="us-east-1")
    client.create_stack(StackName="latchline-prod-edge", TemplateBody=json.dumps(template))
    info = json.loads(CLI.invoke(app, ["info", "--stage", "prod", "--json"]).output)
    assert info["dashboard"] == "https://page.example/"
    (bucket,) = boto3.resource("s3", region_name="us-east-1").buckets.all()
    bucket.put_object(Key="index.html", Body=b"page")
    assert CLI.invoke(app, command, input="n\n").exit_code == 1
    assert len(list(bucket.objects.all())) == 1
    assert CLI.invoke(app, [*command, "--yes"]).exit_code == 0
    assert not list(bucket.objects.all())
