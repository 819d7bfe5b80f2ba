"""The pipe's body: from SQS messages to entries on a bus, and what it reports as failed."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from local.adapters.pipe_function import move
from local.adapters.pipe_template import render, source_event, unsupported

pytestmark = pytest.mark.unit

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/lockers"
ENVIRON = {
    "INPUT_TEMPLATE": "<$.body>",
    "EVENT_BUS_NAME": BUS,
    "EVENT_SOURCE": "latchline.iot",
    "DETAIL_TYPE": "event",
    "RESOURCES": '["arn:aws:iot:us-east-1:000000000000:rule/door_events"]',
}


@pytest.fixture
def bus() -> Iterator[Stubber]:
    """EventBridge as botocore's own model of it checks requests and answers."""
    client = boto3.client(
        "events",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


def message(number: int, body: Any = None) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body or {"n": number})
    return {"messageId": f"m-{number}", "body": text}


def entry(detail: str) -> dict[str, Any]:
    return {
        "EventBusName": BUS,
        "Source": "latchline.iot",
        "DetailType": "event",
        "Detail": detail,
        "Resources": ["arn:aws:iot:us-east-1:000000000000:rule/door_events"],
    }


def accepted(count: int) -> list[dict[str, Any]]:
    return [{"EventId": f"e-{n}"} for n in range(count)]


def test_every_message_becomes_an_entry(bus: Stubber):
    """In order, with the pipe's bus, source, detail type and resources."""
    bus.add_response(
        "put_events",
        {"FailedEntryCount": 0, "Entries": accepted(2)},
        {"Entries": [entry('{"n":1}'), entry('{"n":2}')]},
    )
    assert move([message(1), message(2)], bus.client, ENVIRON) == {}


def test_only_what_the_bus_refused_is_reported(bus: Stubber):
    """PutEvents may accept a part; the answer is matched by position."""
    results = [
        {"EventId": "e-1"},
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"},
        {"EventId": "e-3"},
        {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"},
    ]
    bus.add_response("put_events", {"FailedEntryCount": 2, "Entries": results})
    failures = move([message(n) for n in range(1, 5)], bus.client, ENVIRON)
    assert failures == {"m-2": "ThrottlingException", "m-4": "InternalFailure"}


def test_more_than_ten_go_in_several_requests(bus: Stubber):
    """PutEvents takes ten entries; a refusal in the second request names the right message."""
    bus.add_response("put_events", {"FailedEntryCount": 0, "Entries": accepted(10)})
    refused = {"ErrorCode": "ThrottlingException"}
    bus.add_response(
        "put_events",
        {"FailedEntryCount": 1, "Entries": [{"EventId": "e"}, refused, {"EventId": "e"}]},
    )
    failures = move([message(n) for n in range(13)], bus.client, ENVIRON)
    assert failures == {"m-11": "ThrottlingException"}


@pytest.mark.parametrize("body", ["door open!", '["a list"]', "5", "null", '"text"', ""])
def test_a_detail_that_is_no_object_is_reported_and_its_neighbours_pass(bus: Stubber, body: str):
    """PutEvents would refuse it as MalformedDetail, so it is retried and then dead-lettered."""
    bus.add_response(
        "put_events",
        {"FailedEntryCount": 0, "Entries": accepted(2)},
        {"Entries": [entry('{"n":1}'), entry('{"n":3}')]},
    )
    failures = move([message(1), message(2, body), message(3)], bus.client, ENVIRON)
    assert failures == {"m-2": "MalformedDetail"}


def test_a_batch_of_malformed_details_asks_nobody(bus: Stubber):
    """No empty PutEvents, which EventBridge refuses."""
    assert move([message(1, "x"), message(2, "y")], bus.client, ENVIRON).keys() == {"m-1", "m-2"}
    assert move([], bus.client, ENVIRON) == {}


def test_a_bus_that_refuses_the_request_fails_the_batch(bus: Stubber):
    """Nothing was accepted: the error goes up, and the whole batch is delivered again."""
    bus.add_client_error("put_events", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        move([message(1)], bus.client, ENVIRON)


EVENT = {
    "messageId": "m-1",
    "body": json.dumps(
        {"text": 'say "hi"', "object": {"a": 1}, "list": [{"b": True}], "none": None, "n": 1.5}
    ),
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<$.messageId>", '"m-1"'),
        ('{"id": "<$.messageId>"}', '{"id": "m-1"}'),
        ('{"t": <$.body.text>}', '{"t": "say \\"hi\\""}'),
        ('{"t": "<$.body.text>!"}', '{"t": "say \\"hi\\"!"}'),
        ('{"o": <$.body.object>}', '{"o": {"a":1}}'),
        ('{"o": "<$.body.object>"}', '{"o": "{a:1}"}'),
        ("<$.body.list[0].b>", "true"),
        ("<$.body.list[1]>", ""),
        ("<$.body.list.b>", ""),
        ("<$.body.missing>", ""),
        ("[<$.body.none>, <$.body.n>]", "[null, 1.5]"),
        ("no variable", "no variable"),
    ],
)
def test_an_input_template_is_filled_as_pipes_does(template: str, expected: str):
    """Strings bring their quotes unless they stand in some; a path to nowhere leaves nothing."""
    assert render(template, source_event(EVENT)) == expected


def test_the_whole_event_is_a_variable():
    """`<$>` is the message with its body parsed."""
    assert json.loads(render("<$>", source_event(message(1)))) == {
        "messageId": "m-1",
        "body": {"n": 1},
    }


def test_what_a_payload_says_is_never_taken_for_a_variable():
    """A device cannot reach into the message by writing a path into its event."""
    event = source_event(message(1, {"text": "<$.messageId>"}))
    assert render("<$.body.text>", event) == '"<$.messageId>"'


@pytest.mark.parametrize(
    ("template", "reserved"),
    [
        ("<$.body>", None),
        ('{"at": <aws.pipes.event.ingestion-time>}', "<aws.pipes.event.ingestion-time>"),
    ],
)
def test_reserved_variables_are_seen(template: str, reserved: str | None):
    """So that a template with one is refused when the stack starts."""
    assert unsupported(template) == reserved
