"""The projector at its limits: mixed batches, calls that hang, odd records."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline import quarantine
from pipeline.contract import format_version, version_of
from pipeline.deadline import Deadline
from tests.support.aws import Aws, always, refusal
from tests.support.lambda_events import (
    BOOT,
    RECEIVED_AT,
    door_envelope,
    failed_ids,
    payload,
    presence_envelope,
    sqs_event,
)
from tests.support.projectors import TestBench
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(aws: Aws) -> TestBench:
    return TestBench(aws)


@pytest.fixture
def release(bench: TestBench) -> Iterator[threading.Event]:
    """Calls that hang wait for it; at the end they go on while their AWS is still there."""
    event = threading.Event()
    yield event
    event.set()
    bench.projector._pool.shutdown()
    bench.projector._quarantine._pool.shutdown()


def opened(seq: int = 1, *, door: str = "d02", **fields: object) -> dict:
    return door_envelope(payload(seq=seq, open=True, **fields), door=door)


@dataclass
class HangOnce:
    """A fault that keeps the first call until `release`."""

    release: threading.Event
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: dict) -> None:
        if not self.begun.is_set():
            self.begun.set()
            self.release.wait(60)
            self.ended.set()


def version(bench: TestBench, door: str = "d02") -> str | None:
    tile = bench.aws.tile(door=door)
    return None if tile is None else tile["version"]["S"]


def test_a_mixed_batch_names_exactly_what_must_come_again(
    bench: TestBench, capsys: pytest.CaptureFixture[str]
):
    """Applied, duplicate, stale, poison, throttled and presence side by side: one is named."""
    bench.project(opened(seq=5, door="d01"), presence_envelope(connected=True))
    capsys.readouterr()

    def throttle_d09(call: dict) -> None:
        if call["Key"]["sk"]["S"].endswith("#d09"):
            raise refusal("ThrottlingException", "UpdateItem")

    bench.dynamodb.faults["update_item"] = throttle_d09
    batch = [
        opened(seq=5, door="d01"),
        opened(seq=4, door="d03"),
        "not json",
        opened(seq=3, door="d01"),
        opened(seq=6, door="d09"),
        presence_envelope(connected=True),
        door_envelope(payload(schema=2)),
        opened(seq=4, door="d03"),
    ]
    assert bench.project(*batch) == ["m4"]
    assert len(bench.aws.messages()) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = [line for line in lines if "Applied" in line]
    assert {
        name: metrics[name] for name in ("Applied", "Duplicate", "Stale", "Quarantined", "Retried")
    } == {
        "Applied": [1.0],
        "Duplicate": [3.0],
        "Stale": [1.0],
        "Quarantined": [2.0],
        "Retried": [1.0],
    }


def test_ten_records_for_one_door_in_any_order_are_one_update(bench: TestBench):
    """The newest wins wherever it stands in the batch, and all ten are on record."""
    assert bench.project(*(opened(seq=n) for n in (3, 9, 1, 10, 4, 2, 8, 5, 7, 6))) == []
    assert bench.dynamodb.calls["update_item"] == 1
    assert version(bench) == format_version(version_of(BOOT, 10))
    assert len(bench.aws.items("EVENT#")) == 10


def test_two_doors_under_one_version_spoil_nobodys_batch(bench: TestBench):
    """A controller that numbers two events alike costs no request of its neighbours'."""

    def refuse_a_key_twice(call: dict) -> None:
        ((_, puts),) = call["RequestItems"].items()
        keys = [put["PutRequest"]["Item"]["sk"]["S"] for put in puts]
        if len(set(keys)) < len(keys):
            raise refusal("ValidationException", "BatchWriteItem")

    bench.dynamodb.faults["batch_write_item"] = refuse_a_key_twice
    batch = [opened(seq=1, door="d01"), opened(seq=1, door="d02"), opened(seq=2, door="d03")]
    assert bench.project(*batch) == []
    assert (bench.dynamodb.calls["batch_write_item"], bench.dynamodb.calls["put_item"]) == (1, 0)
    assert bench.aws.tile(door="d01") is not None
    assert bench.aws.tile(door="d02") is not None


def test_two_doors_under_one_version_both_wait_for_their_history(bench: TestBench):
    """If what they share cannot be put on record, neither is shown."""
    bench.dynamodb.faults["batch_write_item"] = always(
        refusal("ThrottlingException", "BatchWriteItem")
    )
    assert bench.project(opened(seq=1, door="d01"), opened(seq=1, door="d02")) == ["m0", "m1"]
    assert bench.dynamodb.calls["update_item"] == 0


def test_a_disconnect_that_is_told_first_is_kept(bench: TestBench):
    """The end of a session waits in the table for its beginning, and then counts."""
    end = presence_envelope(connected=False, at=RECEIVED_AT + 9, session="s1")
    assert bench.project(end) == []
    assert bench.project(presence_envelope(connected=True, at=RECEIVED_AT, session="s1")) == []
    locker = bench.aws.locker()
    assert locker is not None
    assert locker["connected"] == {"BOOL": False}
    assert locker["since"]["N"] == str(RECEIVED_AT + 9)


def test_presence_told_twice_is_a_duplicate(bench: TestBench):
    """What is known already is not written again: no write, no push."""
    told = presence_envelope(connected=True)
    assert bench.project(told) == []
    written = bench.dynamodb.calls["put_item"]
    assert bench.project(told) == []
    assert bench.dynamodb.calls["put_item"] == written
    assert bench.log()[-1]["duplicate"] == 1


def test_a_defect_in_history_fails_the_door_events_only(bench: TestBench):
    """What nobody expected of the history's write loses neither presence nor poison."""
    bench.dynamodb.faults["batch_write_item"] = always(ZeroDivisionError("oops"))
    batch = [opened(seq=1), presence_envelope(connected=True), "not json"]
    assert bench.project(*batch) == ["m0"]
    assert bench.aws.locker() is not None
    assert len(bench.aws.messages()) == 1


def test_history_that_hangs_is_given_up_in_time(bench: TestBench, release: threading.Event):
    """The function answers before its time is over, and what hung comes again."""
    bench.dynamodb.faults["batch_write_item"] = HangOnce(release)
    assert bench.project(opened(), seconds=0.2) == ["m0"]
    assert bench.dynamodb.calls["update_item"] == 0


def test_what_hung_does_not_hurt_the_next_batch(bench: TestBench, release: threading.Event):
    """A late write of an earlier batch is one more redelivery: it moves no tile back."""
    fault = bench.dynamodb.faults["update_item"] = HangOnce(release)
    while not fault.begun.is_set():
        assert bench.project(opened(seq=1), seconds=0.2) == ["m0"]
    assert bench.project(opened(seq=2), opened(seq=3, door="d01")) == []
    release.set()
    assert fault.ended.wait(30)
    assert bench.project(opened(seq=1)) == []
    assert version(bench) == format_version(version_of(BOOT, 2))


def test_every_thread_hanging_leaves_the_next_batch_an_answer(
    bench: TestBench, release: threading.Event
):
    """With the whole pool stuck the next batch is named, and passes once the pool is free."""

    def hang(_: dict) -> None:
        release.wait(60)

    batch = [opened(seq=n, door=f"d{n}") for n in range(1, 11)]
    bench.dynamodb.faults["update_item"] = hang
    names = [f"m{n}" for n in range(10)]
    assert bench.project(*batch, seconds=1.0) == names
    assert bench.project(*batch, seconds=0.2) == names
    release.set()
    assert bench.project(*batch) == []


def test_items_refused_singly_stop_at_the_deadline(bench: TestBench):
    """Put one by one, with the time over: what is left is not tried, and comes again."""
    deadline_passed = threading.Event()
    bench.dynamodb.faults["batch_write_item"] = always(
        refusal("ValidationException", "BatchWriteItem")
    )

    def late(_: dict) -> dict:
        deadline_passed.set()
        return {}

    bench.dynamodb.faults["put_item"] = late
    deadline = Deadline(10, clock=lambda: 20.0 if deadline_passed.is_set() else 0.0)
    response = bench.projector.handle(sqs_event([opened(seq=1), opened(seq=2)]), deadline)
    assert failed_ids(response) == ["m0", "m1"]
    assert bench.dynamodb.calls["put_item"] == 1


def test_a_quarantine_that_hangs_is_given_up_in_time(
    bench: TestBench, release: threading.Event, monkeypatch: pytest.MonkeyPatch
):
    """Poison that is not safe yet comes again; its neighbours are done."""
    monkeypatch.setattr(quarantine, "GRACE_S", 0.0)
    bench.sqs.faults["send_message_batch"] = HangOnce(release)
    assert bench.project("not json", opened(), seconds=2.0) == ["m0"]
    assert bench.aws.tile() is not None
    assert bench.project("not json") == []


@pytest.mark.parametrize(
    "error", [refusal("AccessDenied", "SendMessageBatch", 403), ZeroDivisionError("oops")]
)
def test_a_quarantine_set_up_wrongly_is_a_defect_and_a_retry(bench: TestBench, error: Exception):
    """Whoever is on call hears of it; the poison ends in the dead-letter queue, not nowhere."""
    bench.sqs.faults["send_message_batch"] = always(error)
    assert bench.project(opened(), "not json") == ["m1"]
    (defect,) = [line for line in bench.log() if line["message"] == "defect"]
    assert defect["level"] == "ERROR"
    assert defect["message_id"] == "m1"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"version": "0", "detail-type": "event", "detail": opened()}),
        json.dumps(json.dumps(opened())),
        "null",
        "\x00\x1b[31m",
        json.dumps({**door_envelope(), "kind": "geöffnet\n" * 1000}),
        json.dumps(door_envelope(thing="köln:l03")),
        json.dumps(door_envelope(b'{"schema": 1, "boot": "\\u0000\\ud83d\\ude00"}')),
    ],
    ids=["wrapped", "string", "null", "control", "kind", "thing", "payload"],
)
def test_an_odd_body_is_parked_with_plain_attributes(bench: TestBench, body: str):
    """AWS: a control character in an attribute is refused, and so the poison not parked."""
    assert bench.project(opened(), body) == []
    (message,) = bench.aws.messages()
    for attribute in message["MessageAttributes"].values():
        text = attribute["StringValue"]
        assert text.isascii()
        assert text.isprintable()
        assert 0 < len(text) <= 256


def test_half_a_surrogate_pair_comes_again(bench: TestBench):
    """JSON can hold it, SQS refuses it: it cannot be parked, and fails no neighbour."""
    assert bench.project(opened(), "\ud800") == ["m1"]
    assert bench.aws.tile() is not None


def test_a_body_that_is_no_text_comes_again(bench: TestBench):
    """SQS sends text only; anything else is a defect, and its neighbours pass."""
    event = sqs_event([opened(), ""])
    event["Records"][1]["body"] = None
    assert failed_ids(bench.projector.handle(event, Deadline(10))) == ["m1"]
    assert bench.aws.tile() is not None


def test_a_message_without_a_timestamp_is_projected(bench: TestBench):
    """`queued_at` is for people; a tile does not need it."""
    event: dict[str, Any] = sqs_event([opened()])
    event["Records"][0]["attributes"] = {}
    assert failed_ids(bench.projector.handle(event, Deadline(10))) == []
    tile = bench.aws.tile()
    assert tile is not None
    assert "queued_at" not in tile


def test_a_late_write_is_seen_by_nobody(bench: TestBench, release: threading.Event):
    """What was reported late may still be written; redelivered, it is a duplicate."""
    fault = bench.dynamodb.faults["update_item"] = HangOnce(release)
    while not fault.begun.is_set():
        assert bench.project(opened(), seconds=0.2) == ["m0"]
    release.set()
    assert fault.ended.wait(30)
    wait_for(lambda: bench.aws.tile() is not None, what="the late write")
    assert bench.project(opened()) == []
    assert bench.log()[-1]["duplicate"] == 1
