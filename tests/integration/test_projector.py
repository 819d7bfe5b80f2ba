"""The projector, fed with real SQS events; what counts is the table, the queue and the answer."""

import json

import pytest
from botocore.exceptions import ReadTimeoutError

from pipeline.contract import Kind, format_version, version_of
from pipeline.deadline import Deadline
from pipeline.errors import EventShapeError, PoisonReason
from tests.support.aws import Aws, always, refusal
from tests.support.lambda_events import (
    BOOT,
    RECEIVED_AT,
    door_envelope,
    payload,
    presence_envelope,
)
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(aws: Aws) -> TestBench:
    return TestBench(aws)


def opened(seq: int = 1, *, door: str = "d02", locker: str = "l03", **fields: object) -> dict:
    return door_envelope(
        payload(seq=seq, open=True, **fields), door=door, thing=f"maple-court:{locker}"
    )


def test_an_event_becomes_tile_and_history(bench: TestBench):
    """One event is written as history and paints its tile, with the timestamps of the hops."""
    assert bench.project(opened()) == []
    tile = bench.aws.tile()
    assert tile is not None
    assert tile["version"]["S"] == format_version(version_of(BOOT, 1))
    assert (tile["status"]["S"], tile["kind"]["S"]) == ("open", "opened")
    assert tile["received_at"]["N"] == str(RECEIVED_AT)
    assert tile["queued_at"]["N"] == str(RECEIVED_AT + 10)
    assert int(tile["projected_at"]["N"]) > RECEIVED_AT
    assert "attention" not in tile
    (event,) = bench.aws.items("EVENT#")
    assert event["pk"]["S"] == "LOCKER#maple-court:l03"
    assert json.loads(event["payload"]["S"]) == payload(seq=1, open=True)
    assert int(event["expires_at"]["N"]) == RECEIVED_AT // 1000 + 90 * 86_400


def test_an_empty_batch_is_answered_explicitly(bench: TestBench):
    """No records, no failures, and still an explicit answer."""
    assert bench.projector.handle({"Records": []}, Deadline(1)) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": [{}]},
        {"Records": None},
        {"detail": {}},
        [],
        {"Records": [{"messageId": "1"}]},
    ],
)
def test_an_event_of_another_kind_is_refused(bench: TestBench, event: object):
    """A wrong mapping fails loudly; an answer would delete messages unread."""
    with pytest.raises(EventShapeError, match="SQS batch"):
        bench.projector.handle(event, Deadline(1))


def test_a_duplicate_is_done(bench: TestBench):
    """The same event again changes nothing and is not retried."""
    bench.project(opened())
    before = bench.aws.tile()
    assert bench.project(opened()) == []
    assert bench.aws.tile() == before
    assert len(bench.aws.items("EVENT#")) == 1


def test_a_redelivery_keeps_the_earliest_stamp(bench: TestBench):
    """Which of two deliveries of one event comes first does not show in the tile."""
    later, earlier = opened(), {**opened(), "received_at": RECEIVED_AT - 400}
    bench.project(later)
    bench.project(earlier)
    bench.project(later)
    tile = bench.aws.tile()
    assert tile is not None
    assert tile["received_at"]["N"] == str(RECEIVED_AT - 400)


def test_a_stale_event_goes_to_history_only(bench: TestBench):
    """An older event does not flip the tile back, but it is on record."""
    bench.project(door_envelope(payload(seq=2)))
    assert bench.project(opened(seq=1)) == []
    tile = bench.aws.tile()
    assert tile is not None
    assert tile["status"]["S"] == "vacant"
    assert len(bench.aws.items("EVENT#")) == 2


def test_of_several_events_for_a_door_only_the_newest_is_written(bench: TestBench):
    """A batch of ten over two doors costs three requests, and all ten are on record."""
    batch = [opened(seq=n, door=f"d{n % 2}") for n in range(1, 11)]
    assert bench.project(*batch) == []
    assert dict(bench.dynamodb.calls) == {"batch_write_item": 1, "update_item": 2}
    assert len(bench.aws.items("EVENT#")) == 10
    tile = bench.aws.tile(door="d0")
    assert tile is not None
    assert tile["version"]["S"] == format_version(version_of(BOOT, 10))


def test_a_batch_of_ten_doors_costs_eleven_requests(bench: TestBench):
    """1.1 DynamoDB requests an event where no two events share a door."""
    assert bench.project(*(opened(seq=n, door=f"d{n}") for n in range(1, 11))) == []
    assert sum(bench.dynamodb.calls.values()) == 11


def test_the_same_event_twice_in_a_batch(bench: TestBench):
    """AWS refuses a batch write with the same key twice; ours holds it once."""
    assert bench.project(opened(), opened(), opened()) == []
    assert len(bench.aws.items("EVENT#")) == 1


@pytest.mark.parametrize(
    ("kind", "fields", "attention"),
    [
        (Kind.FORCED, {"open": True}, "forced"),
        (Kind.FAULTED, {"fault": "jammed"}, "fault"),
        (Kind.OPENED, {"open": True}, None),
    ],
)
def test_attention_follows_the_status(
    bench: TestBench, kind: Kind, fields: dict, attention: str | None
):
    """Forced and faulted doors are in the sparse index, and leave it again."""
    bench.project(door_envelope(payload(seq=1, **fields), kind=kind))
    tile = bench.aws.tile()
    assert tile is not None
    assert tile.get("attention", {}).get("S") == attention
    bench.project(door_envelope(payload(seq=2), kind=Kind.CLEARED))
    tile = bench.aws.tile()
    assert tile is not None
    assert "attention" not in tile
    assert "fault" not in tile


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", PoisonReason.ENVELOPE_NOT_JSON),
        ("{}", PoisonReason.ENVELOPE_INVALID),
        (door_envelope(thing="maple-court"), PoisonReason.TOPIC_INVALID),
        (door_envelope(b"x" * 2000), PoisonReason.PAYLOAD_TOO_LARGE),
        (door_envelope(b"\xff\x00"), PoisonReason.PAYLOAD_NOT_UTF8),
        (door_envelope(b"open"), PoisonReason.PAYLOAD_NOT_JSON),
        (door_envelope(payload(schema=9)), PoisonReason.SCHEMA_UNKNOWN),
        (door_envelope(payload(fault=...)), PoisonReason.FIELD_MISSING),
        (door_envelope(payload(open="yes")), PoisonReason.FIELD_TYPE),
        (door_envelope(payload(seq=0)), PoisonReason.VALUE_IMPOSSIBLE),
        (presence_envelope(connected=True, clientId="x"), PoisonReason.PRESENCE_INVALID),
    ],
)
def test_poison_is_parked_and_its_neighbours_pass(
    bench: TestBench, body: object, reason: PoisonReason
):
    """What can never succeed waits in quarantine, untouched, with its reason; the rest is done."""
    assert bench.project(opened(seq=1), body, opened(seq=2)) == []
    (message,) = bench.aws.messages()
    assert message["Body"] == (body if isinstance(body, str) else json.dumps(body))
    attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
    assert attributes["reason"] == reason
    assert attributes["error"]
    assert attributes["message_id"] == "m1"
    assert len(bench.aws.items("EVENT#")) == 2


def test_large_poison_is_parked_in_several_requests(bench: TestBench):
    """Ten payloads of 128 KB do not fit one request; each is parked all the same."""
    body = door_envelope(b"x" * 128 * 1024)
    assert bench.project(*[body] * 10) == []
    assert len(bench.aws.messages()) == 10
    assert bench.sqs.calls["send_message_batch"] == 10


def test_poison_that_cannot_be_parked_is_retried(bench: TestBench):
    """Nothing is acknowledged before it is safe somewhere else."""
    bench.sqs.faults["send_message_batch"] = always(
        refusal("ServiceUnavailable", "SendMessageBatch", 503)
    )
    assert bench.project("not json", opened()) == ["m0"]


def test_poison_that_sqs_refuses_singly_is_retried(bench: TestBench):
    """An entry that SQS reports as failed inside an HTTP 200 is not parked."""
    bench.sqs.faults["send_message_batch"] = lambda call: {
        "Successful": [{"Id": "0"}],
        "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}],
    }
    assert bench.project("not json", "nor this", opened()) == ["m1"]


@pytest.mark.parametrize(
    "error",
    [
        refusal("ProvisionedThroughputExceededException", "UpdateItem"),
        refusal("ThrottlingException", "UpdateItem"),
        refusal("InternalServerError", "UpdateItem", 500),
        refusal("AccessDeniedException", "UpdateItem"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1"),
        ValueError("a defect of ours"),
    ],
)
def test_a_tile_that_cannot_be_written_is_retried(bench: TestBench, error: Exception):
    """Throttling, failures, time-outs and defects come again; the neighbour door is done."""

    def refuse_d02(call: dict) -> None:
        if call["Key"]["sk"]["S"].endswith("#d02"):
            raise error

    bench.dynamodb.faults["update_item"] = refuse_d02
    batch = [opened(seq=1, door="d01"), opened(seq=2), opened(seq=3)]
    assert bench.project(*batch) == ["m1", "m2"]
    del bench.dynamodb.faults["update_item"]
    assert bench.project(*batch) == []
    tile = bench.aws.tile()
    assert tile is not None
    assert tile["version"]["S"] == format_version(version_of(BOOT, 3))


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException", "BatchWriteItem"),
        refusal("InternalServerError", "BatchWriteItem", 500),
        ReadTimeoutError(endpoint_url="http://127.0.0.1"),
    ],
)
def test_no_tile_without_history(bench: TestBench, error: Exception):
    """An event that is not on record must not be shown; it comes again."""
    bench.dynamodb.faults["batch_write_item"] = always(error)
    assert bench.project(opened(seq=1), opened(seq=2, door="d03")) == ["m0", "m1"]
    assert bench.aws.tile() is None
    assert bench.dynamodb.calls["update_item"] == 0


def test_unprocessed_items_are_sent_again(bench: TestBench):
    """BatchWriteItem may take a part only; the rest follows."""
    calls = []

    def take_one(call: dict) -> dict | None:
        calls.append(call)
        if len(calls) > 2:
            return None
        ((table, puts),) = call["RequestItems"].items()
        bench.aws.dynamodb.put_item(TableName=table, Item=puts[0]["PutRequest"]["Item"])
        return {"UnprocessedItems": {table: puts[1:]}}

    bench.dynamodb.faults["batch_write_item"] = take_one
    assert bench.project(*(opened(seq=n, door=f"d{n}") for n in range(1, 6))) == []
    assert len(bench.aws.items("EVENT#")) == 5


def test_items_left_unprocessed_until_the_deadline_are_retried(bench: TestBench):
    """What DynamoDB never takes comes again; what it took is done."""

    def never_d02(call: dict) -> dict | None:
        ((table, puts),) = call["RequestItems"].items()
        left = [put for put in puts if put["PutRequest"]["Item"]["door"]["S"] == "d02"]
        for put in puts:
            if put not in left:
                bench.aws.dynamodb.put_item(TableName=table, Item=put["PutRequest"]["Item"])
        return {"UnprocessedItems": {table: left} if left else {}}

    bench.dynamodb.faults["batch_write_item"] = never_d02
    # The deadline also ends the tile writes, so the neighbour may have to come again too.
    assert "m0" in bench.project(opened(seq=1), opened(seq=2, door="d01"), seconds=0.2)
    assert bench.aws.tile() is None
    assert len(bench.aws.items("EVENT#")) == 1


def test_one_item_that_aws_refuses_does_not_fail_its_batch(bench: TestBench):
    """A batch refused for one of its items is put item by item."""
    bench.dynamodb.faults["batch_write_item"] = always(
        refusal("ValidationException", "BatchWriteItem")
    )

    def refuse_d02(call: dict) -> None:
        if call["Item"]["door"]["S"] == "d02":
            raise refusal("ValidationException", "PutItem")

    bench.dynamodb.faults["put_item"] = refuse_d02
    assert bench.project(opened(seq=1), opened(seq=2, door="d01")) == ["m0"]
    assert bench.aws.tile(door="d01") is not None


def test_more_events_than_one_batch_write_takes(bench: TestBench):
    """A larger batch size in the mapping is chunked at DynamoDB's 25."""
    assert bench.project(*(opened(seq=n) for n in range(1, 61))) == []
    assert bench.dynamodb.calls["batch_write_item"] == 3
    assert len(bench.aws.items("EVENT#")) == 60


def test_no_time_left_fails_everything_but_poison(bench: TestBench):
    """Called with its time already over it touches no table, and parks what is poison."""
    assert bench.project(opened(), "not json", presence_envelope(connected=True), seconds=0) == [
        "m0",
        "m2",
    ]
    assert bench.dynamodb.calls["batch_write_item"] == 0
    assert len(bench.aws.messages()) == 1


def test_time_running_out_in_mid_batch(bench: TestBench):
    """A write that hangs past the deadline is reported; what was finished in time is done."""
    import threading

    release = threading.Event()

    def hang_d02(call: dict) -> None:
        if call["Key"]["sk"]["S"].endswith("#d02"):
            release.wait(10)

    bench.dynamodb.faults["update_item"] = hang_d02
    try:
        assert bench.project(opened(seq=1, door="d01"), opened(seq=2), seconds=0.5) == ["m1"]
    finally:
        release.set()
        bench.projector._pool.shutdown()


def test_everything_failing_names_everything(bench: TestBench):
    """If all fail, all are named; the answer is never empty."""
    bench.dynamodb.faults["update_item"] = always(refusal("ThrottlingException", "UpdateItem"))
    bench.dynamodb.faults["get_item"] = always(refusal("ThrottlingException", "GetItem"))
    batch = [opened(seq=1), opened(seq=2, door="d03"), presence_envelope(connected=True)]
    assert bench.project(*batch) == ["m0", "m1", "m2"]
