"""Dead letters as AWS documents them, read into what a person sees and what is sent again."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_rules import DOOR_EVENTS, PRESENCE
from operations.letters import Letter, Queue, decode
from pipeline.contract import Kind, Thing
from pipeline.errors import PoisonReason
from tests.support.dead_letters import (
    BUS_ATTRIBUTES,
    FAILED_AT,
    bus_event,
    iot_error,
    message,
    stream_failure,
)
from tests.support.lambda_events import (
    BOOT,
    STREAM_ARN,
    door_envelope,
    payload,
    presence_envelope,
)
from tests.support.rule_samples import Sample, samples

pytestmark = pytest.mark.unit

EVENT = f"maple-court:l03/d02@{BOOT}.1"
PASSED_ON = [
    each for rule in (DOOR_EVENTS, PRESENCE) for each in samples(rule) if each.envelope is not None
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def sent_again(letter: Letter) -> Any:
    assert letter.envelope is not None
    return json.loads(letter.envelope)


@pytest.mark.parametrize("sample", PASSED_ON, ids=lambda sample: sample.name)
def test_a_rule_s_failure_is_rebuilt_into_the_rule_s_own_envelope(sample: Sample):
    """The errorAction's document gives what the SQL would have, at the time of the failure."""
    assert sample.envelope is not None
    document = iot_error(sample.payload, topic=sample.topic, client=sample.client)
    letter = decode(Queue.IOT_ERRORS, message(document))
    expected = {
        **sample.envelope,
        "received_at": FAILED_AT,
        "trace": document["cloudwatchTraceId"],
    }
    assert sent_again(letter) == expected
    assert list(sent_again(letter)) == list(expected)
    assert letter.reason == "SqsAction"
    assert "AccessDenied" in letter.error
    assert letter.failed_at == "IoT rule door_events"


def test_the_prefix_of_basic_ingest_is_no_part_of_a_topic():
    """AWS: a rule does not see `$aws/rules/<rule>/`, whatever the errorAction says of it."""
    topic = "lockers/v1/maple-court:l03/doors/d02/opened"
    bare, prefixed = (
        decode(Queue.IOT_ERRORS, message(iot_error(topic=each)))
        for each in (topic, f"$aws/rules/door_events/{topic}")
    )
    assert bare.envelope == prefixed.envelope
    assert bare.event_id == EVENT


def test_a_publish_over_http_has_the_client_of_a_rule():
    """AWS writes N/A into the errorAction's document where `clientid()` gives n/a."""
    letter = decode(Queue.IOT_ERRORS, message(iot_error(client="N/A")))
    assert sent_again(letter)["client"] == "n/a"


def test_a_failure_of_unknown_time_is_not_rebuilt():
    """Received at nobody knows when, its history would expire at once."""
    given_message = message(iot_error())
    del given_message["Attributes"]["SentTimestamp"]
    letter = decode(Queue.IOT_ERRORS, given_message)
    assert letter.envelope is None
    assert "SentTimestamp" in letter.error


@pytest.mark.parametrize("queue", [Queue.INGEST_DLQ, Queue.PROJECTOR_DLQ])
def test_a_redrive_policy_s_letter_is_the_bare_envelope(queue: Queue):
    """It goes back as it is; AWS does not say what failed."""
    letter = decode(queue, message(door_envelope(kind=Kind.FORCED), receives=6))
    assert sent_again(letter) == door_envelope(kind=Kind.FORCED)
    assert (letter.building, letter.thing, letter.door) == (
        "maple-court", Thing("maple-court", "l03"), "d02",
    )  # fmt: skip
    assert (letter.kind, letter.event_id, letter.receives) == ("forced", EVENT, 6)
    assert letter.reason == "receives_exhausted"


def test_a_target_s_letter_is_the_whole_event_and_says_what_failed():
    """EventBridge keeps the event; its detail is the envelope, the attributes are the story."""
    letter = decode(Queue.BUS_DLQ, message(bus_event(), attributes=BUS_ATTRIBUTES))
    assert sent_again(letter) == door_envelope()
    assert letter.reason == "NO_PERMISSIONS"
    assert letter.error.endswith("(MaximumRetryAttempts)")
    assert letter.failed_at == "bus rule projector, target latchline-dev-projector"
    assert letter.attempts == 185


def test_attributes_that_aws_leaves_out_are_no_obstacle():
    """EXHAUSTED_RETRY_CONDITION is absent where no condition ended the retries."""
    letter = decode(Queue.BUS_DLQ, message(bus_event()))
    assert (letter.reason, letter.event_id) == ("unknown", EVENT)


def test_a_parked_letter_tells_why_and_which_counters_can_be_read():
    """The contract refuses it, yet the gap that it leaves in history can be told."""
    body = door_envelope(payload(seq=9, occupied=...))
    attributes = {"reason": "field_missing", "error": "occupied is missing", "message_id": "m"}
    letter = decode(Queue.QUARANTINE, message(body, attributes=attributes))
    assert (letter.reason, letter.error) == ("field_missing", "occupied is missing")
    assert letter.refusal is not None
    assert letter.refusal.reason is PoisonReason.FIELD_MISSING
    assert (letter.event, letter.event_id) == (None, f"maple-court:l03/d02@{BOOT}.9")


@pytest.mark.parametrize(
    "content", [payload(seq=True), payload(seq=2**32), payload(boot="1"), b"\xff", b"[1]"]
)
def test_counters_that_are_none_are_not_made_up(content: Any):
    """Only whole numbers in the contract's range are counters."""
    letter = decode(Queue.QUARANTINE, message(door_envelope(content)))
    assert (letter.boot, letter.seq, letter.version) == (None, None, None)
    assert letter.thing == Thing("maple-court", "l03")


def test_presence_is_a_letter_of_a_locker():
    """It has no door; its kind is what happened to the connection."""
    letter = decode(Queue.PROJECTOR_DLQ, message(presence_envelope(connected=False)))
    assert (letter.building, letter.door, letter.kind) == ("maple-court", None, "disconnected")


def test_a_stream_s_letter_is_a_pointer():
    """AWS's on-failure record of a DynamoDB stream: where it was, and no data."""
    letter = decode(Queue.FANOUT_DLQ, message(stream_failure()))
    assert letter.envelope is None
    assert letter.pointer is not None
    assert letter.pointer.stream == STREAM_ARN
    assert (letter.pointer.first, letter.pointer.last, letter.pointer.records) == (
        "800000000003126276362", "800000000003126276363", 2,
    )  # fmt: skip
    assert (letter.reason, letter.attempts, letter.building) == ("RetryAttemptsExhausted", 9, None)


def test_the_fan_out_s_own_letter_names_the_item():
    """A record that could not be read: no shard is known, but the item's key is."""
    body = {
        "version": "1.0",
        "requestContext": {"condition": "PoisonRecord"},
        "DDBStreamBatchInfo": {
            "streamArn": STREAM_ARN, "startSequenceNumber": "7", "endSequenceNumber": "7",
            "batchSize": 1,
        },
        "keys": {"pk": {"S": "BUILDING#maple-court"}, "sk": {"S": "TILE#l03#d02"}},
        "detail": "TILE image: KeyError('kind')",
    }  # fmt: skip
    letter = decode(Queue.FANOUT_DLQ, message(body))
    assert letter.pointer is not None
    assert (letter.building, letter.reason) == ("maple-court", "PoisonRecord")
    assert letter.error == "TILE image: KeyError('kind')"


@pytest.mark.parametrize("queue", list(Queue))
@pytest.mark.parametrize("body", ["", "garbage", "[]", "{}", "null", '{"detail": 1}', "\ud800"])
def test_what_cannot_be_read_says_so(queue: Queue, body: str):
    """No letter goes unseen: it is shown as unreadable, or as refused by the contract."""
    letter = decode(queue, message(body))
    assert letter.body == body
    assert letter.event is None
    assert letter.refusal is not None or letter.reason == "unreadable"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(Queue)), JSON, st.dictionaries(st.text(), JSON, max_size=3))
def test_decode_never_raises(queue: Queue, body: Any, attributes: Any):
    """Anything may lie in a queue."""
    given_message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": json.dumps(body),
        "Attributes": attributes,
        "MessageAttributes": attributes,
    }
    assert decode(queue, given_message).queue is queue
    assert decode(queue, attributes).queue is queue


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_spoiled_document_never_raises(data: st.DataObject):
    """Every documented body, with one value of it replaced by anything."""
    queue, body = data.draw(
        st.sampled_from(
            [
                (Queue.IOT_ERRORS, iot_error()),
                (Queue.BUS_DLQ, bus_event()),
                (Queue.QUARANTINE, door_envelope()),
                (Queue.FANOUT_DLQ, stream_failure()),
            ]
        )
    )
    spoiled = json.loads(json.dumps(body))
    place = spoiled
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or data.draw(st.booleans()):
            place[name] = data.draw(JSON)
            break
        place = place[name]
    assert decode(queue, message(spoiled)).queue is queue
