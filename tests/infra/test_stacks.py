"""What the stacks promise to each other, to the code they run and to whoever deploys them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from iot_rules import rule_sql
from iot_rules.contract_documents import BUS_SOURCE, BUS_TYPE
from pipeline.settings import FanoutSettings, ProjectorSettings
from tests.support.templates import ROOT, Assembly, Resource

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

OUTPUTS = {
    "data": {"TableName", "TableStreamArn"},
    "identity": {"UserPoolId", "UserPoolClientId", "DevicePolicyName"},
    "ingest": {
        "IngestQueueUrl",
        "IngestDlqUrl",
        "ProjectorQueueUrl",
        "ProjectorDlqUrl",
        "QuarantineQueueUrl",
        "BusDlqUrl",
        "IotErrorsQueueUrl",
        "BusName",
        "ArchiveName",
        "PipeName",
        "ProjectorFunctionName",
        "ProjectorMappingId",
        "DoorRuleName",
        "PresenceRuleName",
    },
    "fanout": {"ApiId", "GraphqlUrl", "FanoutFunctionName", "FanoutMappingId", "FanoutDlqUrl"},
    "edge": {"DashboardUrl", "DashboardBucketName"},
    "observability": {"AlarmTopicArn"},
}
WILDCARDS = {
    # AWS: the action knows no resource; a stream mapping needs it.
    ("dynamodb:ListStreams", "*"),
    # AWS: they know no resource either.
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
}
STATEFUL = {
    "AWS::DynamoDB::GlobalTable",
    "AWS::Cognito::UserPool",
    "AWS::SQS::Queue",
    "AWS::Events::EventBus",
    "AWS::Events::Archive",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def iam_statements(assembly: Assembly) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Of all policies that say what a role may do."""
    for role in assembly.resources("AWS::IAM::Role"):
        for policy in role.properties.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement
    for policy in assembly.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            yield policy, statement


def test_outputs_are_those_that_tools_read(assembly: Assembly) -> None:
    """By exact key, beside the exports that CDK makes for the stacks themselves."""
    for layer, expected in OUTPUTS.items():
        outputs = assembly.templates[layer].get("Outputs", {})
        assert {key for key in outputs if not key.startswith("Exports")} == expected, layer


def test_stacks_are_named_after_stage_and_layer(assembly: Assembly) -> None:
    """`latchline-<stage>-<layer>`, one for each layer."""
    names = [path.name.removesuffix(".template.json") for path in assembly.template_files]
    assert names == [f"latchline-{assembly.stage}-{layer}" for layer in sorted(OUTPUTS)]


def test_no_role_may_do_everything_or_touch_everything(assembly: Assembly) -> None:
    """No `*` among actions, and among resources only where AWS knows none."""
    for owner, statement in iam_statements(assembly):
        assert statement["Effect"] == "Allow", owner
        for action in listed(statement["Action"]):
            assert "*" not in action, owner
            for resource in listed(statement["Resource"]):
                assert resource != "*" or (action, resource) in WILDCARDS, (str(owner), action)


def test_every_role_is_for_one_service_and_has_its_own_policy_only(assembly: Assembly) -> None:
    """No policy managed by AWS: they grant more than is asked."""
    for role in assembly.resources("AWS::IAM::Role"):
        assert not role.properties.get("ManagedPolicyArns"), role
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert set(trust["Principal"]) == {"Service"}, role


def test_iot_and_pipes_assume_their_roles_for_one_resource_only(assembly: Assembly) -> None:
    """AWS: without the condition the service could be made to use the role for somebody else."""
    for role in assembly.resources("AWS::IAM::Role"):
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        if trust["Principal"]["Service"] in {"iot.amazonaws.com", "pipes.amazonaws.com"}:
            assert "aws:SourceArn" in trust["Condition"]["ArnEquals"], role
            assert "aws:SourceAccount" in trust["Condition"]["StringEquals"], role


def test_each_function_rule_and_pipe_has_a_role_of_its_own(assembly: Assembly) -> None:
    """So that a permission belongs to one of them."""
    roles = [
        each.referred(each.properties[name]).id
        for kind, name in (("AWS::Lambda::Function", "Role"), ("AWS::Pipes::Pipe", "RoleArn"))
        for each in assembly.resources(kind)
    ]
    for rule in assembly.resources("AWS::IoT::TopicRule"):
        payload = rule.properties["TopicRulePayload"]
        actions = [*payload["Actions"], payload["ErrorAction"]]
        used = {rule.referred(action["Sqs"]["RoleArn"]).id for action in actions}
        assert len(used) == 1, rule
        roles += used
    assert len(roles) == len(set(roles)) == 5


def test_the_fan_out_may_call_one_field_of_one_api(assembly: Assembly) -> None:
    """`publishTiles`, and no other field of ours or of anybody's API."""
    grants = [
        statement
        for _, statement in iam_statements(assembly)
        if "appsync:GraphQL" in listed(statement["Action"])
    ]
    (grant,) = grants
    api = assembly.only("AWS::AppSync::GraphQLApi")
    arn = {"Fn::GetAtt": [api.id, "Arn"]}
    assert grant["Resource"] == {"Fn::Join": ["", [arn, "/types/Mutation/fields/publishTiles"]]}


def test_rule_names_agree_wherever_they_stand(assembly: Assembly) -> None:
    """A locker's topic names the rule: policy, rule and output must mean the same one."""
    outputs = assembly.templates["ingest"]["Outputs"]
    rules = {each.properties["RuleName"] for each in assembly.resources("AWS::IoT::TopicRule")}
    door, presence = outputs["DoorRuleName"]["Value"], outputs["PresenceRuleName"]["Value"]
    assert rules == {door, presence}
    assert door == ("door_events" if assembly.stage == "dev" else "prod_door_events")
    policy = assembly.only("AWS::IoT::Policy").properties
    assert f":topic/$aws/rules/{door}/lockers/v1/" in json.dumps(policy["PolicyDocument"])
    name = assembly.templates["identity"]["Outputs"]["DevicePolicyName"]["Value"]
    assert policy["PolicyName"] == name


def test_rules_are_the_documents_that_are_tested(assembly: Assembly) -> None:
    """SQL and version as in iot_rules, Basic Ingest's topics in the FROM clause."""
    sqls = {
        each.properties["TopicRulePayload"]["Sql"]
        for each in assembly.resources("AWS::IoT::TopicRule")
    }
    assert sqls == {rule_sql("door_events"), rule_sql("presence")}


def test_the_route_decides_who_gets_an_event_first(assembly: Assembly) -> None:
    """bus: ingest only, all events from the bus. direct: projector and a tap, replays only."""
    expected = ["Ingest"] if assembly.route == "bus" else ["Projector", "Ingest"]
    for rule in assembly.resources("AWS::IoT::TopicRule"):
        actions = rule.properties["TopicRulePayload"]["Actions"]
        queues = [rule.referred(action["Sqs"]["QueueUrl"]) for action in actions]
        names = [f"latchline-{assembly.stage}-{name.lower()}" for name in expected]
        assert [queue.properties["QueueName"] for queue in queues] == names, rule
    pattern = assembly.only("AWS::Events::Rule").properties["EventPattern"]
    assert pattern["source"] == ["latchline.iot"]
    assert pattern.get("replay-name") == (
        [{"exists": True}] if assembly.route == "direct" else None
    )


def test_the_projector_queue_holds_bare_envelopes(assembly: Assembly) -> None:
    """The pipe wraps the body, the bus rule unwraps it, so both routes deliver the same."""
    pipe = assembly.only("AWS::Pipes::Pipe").properties
    assert pipe["TargetParameters"]["InputTemplate"] == "<$.body>"
    (target,) = assembly.only("AWS::Events::Rule").properties["Targets"]
    assert target["InputPath"] == "$.detail"


def test_functions_are_alike_and_log_into_a_log_that_expires(assembly: Assembly) -> None:
    """arm64, Python 3.13, 512 MB, 20 s; a layer each; the log group stands in the template."""
    functions = list(assembly.resources("AWS::Lambda::Function"))
    assert len(functions) == 2
    for function in functions:
        properties = function.properties
        assert properties["Architectures"] == ["arm64"], function
        assert properties["Runtime"] == "python3.13", function
        assert (properties["MemorySize"], properties["Timeout"]) == (512, 20), function
        assert len(properties["Layers"]) == 1, function
        log_group = function.referred(properties["LoggingConfig"]["LogGroup"])
        assert log_group.properties["RetentionInDays"] == 30, function


def test_functions_find_their_settings(assembly: Assembly) -> None:
    """Every variable that `pipeline.settings` wants is set, by name."""
    for name, settings in (("Projector", ProjectorSettings), ("Fanout", FanoutSettings)):
        function = assembly.only("AWS::Lambda::Function", name).properties
        variables = set(function["Environment"]["Variables"]) | {"AWS_REGION"}
        assert {field.upper() for field in settings.model_fields} <= variables, name
        assert function["Handler"] == f"pipeline.{name.lower()}.handler"


def test_the_code_is_the_pipeline_package_and_nothing_else(assembly: Assembly) -> None:
    """Only its own modules: no cache, no test, no library, nothing of this machine."""
    expected = {f"pipeline/{path.name}" for path in (ROOT / "pipeline").glob("*.py")}
    for function in assembly.resources("AWS::Lambda::Function"):
        folder = assembly.asset(function)
        files = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        assert files == expected, function


def test_a_layer_is_known_by_its_lock(assembly: Assembly) -> None:
    """Two functions, two locks, two hashes, whether or not a layer has been built here."""
    keys = {
        each.properties["Content"]["S3Key"]
        for each in assembly.resources("AWS::Lambda::LayerVersion")
    }
    assert len(keys) == 2


def test_state_outlives_its_stack_in_production_only(assembly: Assembly) -> None:
    """Production keeps tables, users, archives and dead letters; a dev stage leaves nothing."""
    for each in assembly.resources(*STATEFUL):
        expected = "Retain" if assembly.stage == "prod" else "Delete"
        assert each.body["DeletionPolicy"] == expected, each
        assert each.body["UpdateReplacePolicy"] == expected, each
    table = assembly.only("AWS::DynamoDB::GlobalTable").properties["Replicas"][0]
    assert table.get("DeletionProtectionEnabled", False) is (assembly.stage == "prod")
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_only_cognito_users_and_iam_callers_are_let_in(assembly: Assembly) -> None:
    """The resolvers rely on it: there is no third kind of caller."""
    api = assembly.only("AWS::AppSync::GraphQLApi").properties
    assert api["AuthenticationType"] == "AMAZON_COGNITO_USER_POOLS"
    additional = [each["AuthenticationType"] for each in api["AdditionalAuthenticationProviders"]]
    assert additional == ["AWS_IAM"]
    assert not list(assembly.resources("AWS::AppSync::ApiKey"))


def test_a_browser_has_no_secret_and_sends_no_password(assembly: Assembly) -> None:
    """SRP and refresh; a token by IAM rights only where nobody is harmed by it."""
    client = assembly.only("AWS::Cognito::UserPoolClient").properties
    assert client["GenerateSecret"] is False
    flows = {"ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    if assembly.stage != "prod":
        flows.add("ALLOW_ADMIN_USER_PASSWORD_AUTH")
    assert set(client["ExplicitAuthFlows"]) == flows


def test_nothing_runs_at_deployment_but_cloudformation(assembly: Assembly) -> None:
    """No custom resource: each would be a function with rights of its own."""
    for each in assembly.resources():
        assert not each.type.startswith("Custom::"), each
        assert each.type != "AWS::CloudFormation::CustomResource", each


def test_every_deployment_leaves_a_version_to_go_back_to(assembly: Assembly) -> None:
    """Published with each change, and kept when the next one comes."""
    versions = list(assembly.resources("AWS::Lambda::Version"))
    functions = {version.referred(version.properties["FunctionName"]).id for version in versions}
    assert functions == {each.id for each in assembly.resources("AWS::Lambda::Function")}
    for version in versions:
        assert version.body["DeletionPolicy"] == "Retain", version


def test_the_bus_carries_what_its_contract_says(assembly: Assembly) -> None:
    """Source and type of docs/contract/asyncapi.json are those that pipe and rule agree on."""
    target = assembly.only("AWS::Pipes::Pipe").properties["TargetParameters"]
    sent = target["EventBridgeEventBusParameters"]
    assert (sent["Source"], sent["DetailType"]) == (BUS_SOURCE, BUS_TYPE)
    pattern = assembly.only("AWS::Events::Rule").properties["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == ([BUS_SOURCE], [BUS_TYPE])
