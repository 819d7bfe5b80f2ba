"""The fan-out at its limits: connections that died, time-outs, queues that hang, odd records."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from requests import PreparedRequest

from pipeline import appsync, quarantine
from pipeline.deadline import Deadline
from pipeline.errors import EventShapeError
from tests.support.aws import Aws, always, refusal
from tests.support.fanouts import FanoutBench, fanout_bench, locker, tile
from tests.support.lambda_events import failed_ids, stream_event

pytestmark = pytest.mark.integration

UNREADABLE = {**tile(door="d09"), "at": {"N": "1"}}


@pytest.fixture
def bench(aws: Aws) -> Iterator[FanoutBench]:
    with fanout_bench(aws) as running:
        yield running


def test_a_connection_that_died_is_replaced_once(bench: FanoutBench):
    """While a container is frozen AppSync closes its connection; the next batch finds out."""
    assert bench.publish(tile(seq=1)) == []
    bench.server.dropped = 1
    assert bench.publish(tile(seq=2)) == []
    assert bench.log()[-1]["requests"] == 2


def test_an_appsync_that_keeps_hanging_up_is_left_to_the_stream(bench: FanoutBench):
    """One more attempt, not many: AWS delivers the batch again."""
    bench.server.dropped = 5
    assert bench.publish(tile()) == ["100"]
    assert len(bench.server.requests) == 2


def test_an_appsync_that_is_slow_is_not_asked_twice(
    bench: FanoutBench, monkeypatch: pytest.MonkeyPatch
):
    """A time-out is no dead connection: the stream delivers again, after its own pause."""
    monkeypatch.setattr(appsync, "TIMEOUT_S", 0.2)
    bench.server.hang.clear()
    assert bench.publish(tile()) == ["100"]
    bench.server.hang.set()
    assert bench.log()[-1]["requests"] == 1


def test_only_bytes_are_signed(bench: FanoutBench):
    """A signature covers the body as sent; without one there is nothing to sign."""
    auth = bench.transport.auth
    assert isinstance(auth, appsync.IamAuth)
    with pytest.raises(TypeError, match="NoneType"):
        auth(PreparedRequest())


def test_a_request_has_a_timeout_however_little_time_is_left(bench: FanoutBench):
    """No time at all is no request; a timeout of 0 would be none to gql, and hang for good."""
    moments = iter([0.0, 0.0, 10.0, 10.0, 10.0, 10.0])
    deadline = Deadline(10, clock=lambda: next(moments, 10.0))
    assert deadline.remaining_s == 10.0
    assert failed_ids(bench.fanout.handle(stream_event([tile()]), deadline)) == ["100"]
    assert bench.server.requests == []


def test_one_building_of_many_fails_from_its_lowest_number(bench: FanoutBench):
    """Exactly one checkpoint: the lowest record of what failed, coalesced ones included."""
    bench.server.refused = {"b1", "b3"}
    images = [
        tile("b0"),
        tile("b2"),
        tile("b3", seq=1),
        tile("b1", seq=1),
        tile("b3", seq=2),
        tile("b1", seq=2),
        tile("b4"),
    ]
    assert bench.publish(*images) == ["102"]
    assert bench.log()[-1]["failed"] == 2


def test_poison_and_a_failed_building_share_one_checkpoint(bench: FanoutBench):
    """What is parked is behind us, unless the building before it failed."""
    bench.server.refused = {"b1"}
    assert bench.publish(UNREADABLE, tile("b0"), tile("b1")) == ["102"]
    assert len(bench.aws.messages()) == 1


def test_a_dead_letter_queue_that_hangs_holds_up_no_tile(
    bench: FanoutBench, monkeypatch: pytest.MonkeyPatch
):
    """Tiles first; the poison that is not safe in time is the checkpoint."""
    monkeypatch.setattr(quarantine, "GRACE_S", 0.0)
    release = threading.Event()

    def hang(_: dict) -> None:
        release.wait(60)

    bench.sqs.faults["send_message_batch"] = hang
    try:
        assert bench.publish(tile(), UNREADABLE, tile(door="d02"), seconds=2.0) == ["101"]
        (batch,) = bench.server.batches()
        assert len(batch["tiles"]) == 2
    finally:
        release.set()
        bench.fanout._parking._pool.shutdown()


def test_only_what_is_safe_is_logged_as_parked(bench: FanoutBench):
    """A dead-letter queue that refuses is an error in the log, and no line claims otherwise."""
    bench.sqs.faults["send_message_batch"] = always(
        refusal("AccessDenied", "SendMessageBatch", 403)
    )
    assert bench.publish(UNREADABLE) == ["100"]
    messages = [line["message"] for line in bench.log()]
    assert "not parked" in messages
    assert "parked" not in messages


def test_many_poison_records_are_parked_and_told_apart(bench: FanoutBench):
    """More than a request to SQS takes; each keeps its own pointer."""
    assert bench.publish(*[UNREADABLE] * 25) == []
    bodies = [json.loads(message["Body"]) for message in bench.aws.messages()]
    starts = {body["DDBStreamBatchInfo"]["startSequenceNumber"] for body in bodies}
    assert starts == {str(100 + n) for n in range(25)}


def test_a_sequence_number_is_answered_as_aws_wrote_it(bench: FanoutBench):
    """Ordered as numbers, named as given: AWS takes an unknown identifier for a failed batch."""
    bench.server.refused = {"b1"}
    event = stream_event([tile("b0"), tile("b1")])
    for record, number in zip(event["Records"], ("0000000009", "00000000010"), strict=True):
        record["dynamodb"]["SequenceNumber"] = number
    assert failed_ids(bench.fanout.handle(event, Deadline(10))) == ["00000000010"]


def test_a_sequence_number_that_is_no_number_is_refused(bench: FanoutBench):
    """Then it is no stream's event."""
    event = stream_event([tile()])
    event["Records"][0]["dynamodb"]["SequenceNumber"] = "latest"
    with pytest.raises(EventShapeError):
        bench.fanout.handle(event, Deadline(10))


def test_expired_and_keyless_records_are_nobodys_news(bench: FanoutBench):
    """Deletions by TTL carry no new image; a key that changed its entity fails nobody."""
    event: dict[str, Any] = stream_event([tile(), tile(seq=2), locker()])
    expired, _, changed = event["Records"]
    expired["eventName"] = "REMOVE"
    expired["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    del expired["dynamodb"]["NewImage"]
    changed["dynamodb"]["Keys"] = event["Records"][1]["dynamodb"]["Keys"]
    assert failed_ids(bench.fanout.handle(event, Deadline(10))) == []
    (batch,) = bench.server.batches()
    assert (len(batch["tiles"]), len(batch["lockers"])) == (1, 1)


def test_an_error_page_is_not_logged_whole(bench: FanoutBench):
    """One line for each failure, and a short one, whatever the answer holds."""
    bench.server.body = b"<html>" + b"x" * 50_000
    assert bench.publish(tile("b0"), tile("b1")) == ["100"]
    assert max(len(json.dumps(line)) for line in bench.log()) < 1_000


def test_a_line_of_metrics_stays_below_awss_limit(
    bench: FanoutBench, capsys: pytest.CaptureFixture[str]
):
    """AWS: 100 values of a metric in a line; the counts are whole all the same."""
    assert bench.publish(*(tile(door=f"d{n}") for n in range(150))) == []
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line["Published"] == [150.0]
    assert len(line["DoorToPublished"]) <= 100
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_metrics_that_fail_change_no_answer(
    bench: FanoutBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """What is published is not published again for the sake of a report."""

    def fail() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(bench.fanout._report._metrics, "flush_metrics", fail)
    bench.server.refused = {"b1"}
    assert bench.publish(tile("b0"), tile("b1")) == ["101"]
    assert "FanoutReport.batch failed" in caplog.text
