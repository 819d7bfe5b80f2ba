"""What the adapters read from a template, and what they refuse before anything runs."""

from collections.abc import Callable
from typing import Any

import pytest

from local.adapters.archive import create_archives
from local.adapters.pipe import PipeDefinition, read_pipes
from local.deploy import CutResource
from local.errors import DeploymentError
from tests.support.aws import refusal

pytestmark = pytest.mark.unit

QUEUE = "arn:aws:sqs:us-east-1:000000000000:ingest"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/lockers"
ROLE = "arn:aws:iam::000000000000:role/pipe"


class Answers:
    """A client whose operations answer what the test gives; it remembers the calls."""

    def __init__(self, **answers: Callable[..., Any]) -> None:
        self._answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            return self._answers[operation](**arguments)

        return call


class Clients:
    """Stands for `Endpoint`: one client a service."""

    def __init__(self, **clients: Answers) -> None:
        self._clients = clients

    def client(self, service: str) -> Answers:
        return self._clients[service]


def endpoint(**pipe: Any) -> Any:
    described = {
        "Source": QUEUE,
        "Target": BUS,
        "RoleArn": ROLE,
        "DesiredState": "RUNNING",
        **pipe,
    }
    return Clients(
        cloudformation=Answers(
            describe_stack_resource=lambda **asked: {
                "StackResourceDetail": {"PhysicalResourceId": "-".join(asked.values())}
            }
        ),
        pipes=Answers(describe_pipe=lambda **_: described),
        events=Answers(
            describe_event_bus=lambda **asked: {"Arn": f"{BUS}?{asked['Name']}"},
            create_archive=lambda **_: {},
        ),
    )


def template(source: dict[str, Any] | None = None, **target: Any) -> dict[str, Any]:
    bus = {"Source": "latchline.iot", "DetailType": "event", **target.pop("bus", {})}
    properties: dict[str, Any] = {
        "TargetParameters": {"EventBridgeEventBusParameters": bus, **target}
    }
    if source is not None:
        properties["SourceParameters"] = source
    return {
        "Resources": {
            "Pipe": {"Type": "AWS::Pipes::Pipe", "Properties": properties},
            "Queue": {"Type": "AWS::SQS::Queue"},
        }
    }


def test_a_pipe_is_read_from_template_and_api():
    """Ends, role and state from the API, the rest from the template; a batch is ten at most."""
    (found,) = read_pipes(
        endpoint(DesiredState="STOPPED"),
        {
            "ingest": template(
                {"SqsQueueParameters": {"BatchSize": 100}}, InputTemplate="<$.body>"
            ),
            "empty": {},
        },
    )
    assert found == PipeDefinition(
        name="ingest-Pipe",
        queue=QUEUE,
        bus=BUS,
        role=ROLE,
        running=False,
        batch=10,
        input_template="<$.body>",
        source="latchline.iot",
        detail_type="event",
    )


@pytest.mark.parametrize(
    ("wanted", "pipe", "properties"),
    [
        ("an SQS source", {"Source": "arn:aws:kinesis:x"}, template()),
        ("an event bus as target", {"Target": "arn:aws:lambda:x"}, template()),
        ("no filter", {}, template({"FilterCriteria": {"Filters": []}})),
        ("no Time and no EndpointId", {}, template(bus={"Time": "$.at"})),
        (
            "no <aws.pipes.pipe-name>",
            {},
            template(InputTemplate='{"pipe": <aws.pipes.pipe-name>}'),
        ),
    ],
)
def test_a_pipe_that_the_laptop_cannot_run_is_refused(
    wanted: str, pipe: dict[str, Any], properties: dict[str, Any]
):
    """When the stack starts, with the pipe's name and what would be needed."""
    with pytest.raises(DeploymentError) as refused:
        read_pipes(endpoint(**pipe), {"ingest": properties})
    assert str(refused.value) == f"pipe ingest-Pipe: the laptop's adapter wants {wanted}"


def archive(**properties: Any) -> CutResource:
    return CutResource("ingest", "Archive", "AWS::Events::Archive", properties)


def test_an_archive_is_created_as_its_template_says():
    """With the bus of its stack, and the pattern as the JSON text that the API wants."""
    clients = endpoint()
    names = create_archives(
        clients,
        [
            CutResource("ingest", "Other", "AWS::Other::Type", {}),
            archive(
                ArchiveName="lockers-dev",
                SourceArn={"Fn::GetAtt": ["Bus", "Arn"]},
                RetentionDays=7,
                EventPattern={"source": ["latchline.iot"]},
            ),
        ],
    )
    assert names == ["lockers-dev"]
    assert clients.client("events").calls[-1] == (
        "create_archive",
        {
            "ArchiveName": "lockers-dev",
            "EventSourceArn": f"{BUS}?ingest-Bus",
            "RetentionDays": 7,
            "EventPattern": '{"source": ["latchline.iot"]}',
        },
    )


def test_an_archive_of_a_strange_source_is_refused():
    """A reference that this adapter cannot resolve is named."""
    with pytest.raises(DeploymentError, match="Fn::ImportValue"):
        create_archives(endpoint(), [archive(SourceArn={"Fn::ImportValue": "Bus"})])


def test_why_eventbridge_refuses_an_archive_is_told():
    """With the resource's name in the template."""

    def refuse(**_: Any) -> Any:
        raise refusal("LimitExceededException", "CreateArchive")

    clients: Any = Clients(events=Answers(create_archive=refuse))
    with pytest.raises(DeploymentError, match=r"Archive \(AWS::Events::Archive\): .*LimitExceeded"):
        create_archives(clients, [archive(SourceArn=BUS)])
