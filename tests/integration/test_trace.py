"""`latchline trace`: where one event is, from what the pipeline keeps anyway."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from rich.console import Console

from operations.errors import OperationsError
from operations.letters import Queue
from operations.trace import Fate, Reference, Trace, Tracer
from scripts.trace import print_trace
from tests.support.aws import REGION, TABLE, Aws, in_process_aws
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration

GROUP = "/aws/lambda/projector"
DOOR = "maple-court:l03/d02"


@pytest.fixture
def bench() -> Iterator[TestBench]:
    with in_process_aws() as aws:
        yield TestBench(aws)


def tracer(aws: Aws, queue: Queue = Queue.PROJECTOR_DLQ, log_group: str | None = GROUP) -> Tracer:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    logs = boto3.client("logs", region_name=REGION, **keys)
    return Tracer(
        aws.dynamodb,
        aws.sqs,
        logs,
        table=TABLE,
        queues={queue.value: aws.queue_url},
        log_group=log_group,
    )


def traced(aws: Aws, reference: str, **options: Any) -> Trace:
    return tracer(aws, **options).trace(Reference.parse(reference))


def opened(seq: int) -> dict[str, Any]:
    return door_envelope(payload(seq=seq, open=True))


def printed(trace: Trace) -> str:
    out = io.StringIO()
    print_trace(trace, Console(file=out, width=200))
    return out.getvalue()


def test_an_event_that_is_shown_has_all_its_stamps(bench: TestBench):
    """Device, broker, queue, projector, in this order."""
    assert bench.project(opened(1)) == []
    found = traced(bench.aws, f"{DOOR}@{BOOT}.1")
    assert found.fate is Fate.SHOWN
    assert [stage.where for stage in found.stages] == ["device", "broker", "queue", "projector"]
    assert found.stages[1].at_ms == RECEIVED_AT
    assert found.state == {
        "kind": "opened",
        "status": "open",
        "open": True,
        "occupied": False,
        "fault": None,
    }
    assert "shown" in printed(found)


def test_a_door_stands_for_its_latest_event(bench: TestBench):
    """Whoever looks at a tile knows the door, not the number."""
    bench.project(opened(1), opened(2))
    assert traced(bench.aws, DOOR).event_id == f"{DOOR}@{BOOT}.2"


def test_an_older_event_names_the_one_that_is_shown(bench: TestBench):
    """It is where it belongs: in history."""
    bench.project(opened(1), opened(2))
    found = traced(bench.aws, f"{DOOR}@{BOOT}.1")
    assert found.fate is Fate.SUPERSEDED
    assert found.tile_event_id == f"{DOOR}@{BOOT}.2"


def test_a_dead_letter_is_found_and_left(bench: TestBench):
    """Twice the same answer: looking takes nothing out."""
    bench.aws.sqs.send_message(QueueUrl=bench.aws.queue_url, MessageBody=json.dumps(opened(7)))
    for _ in range(2):
        found = traced(bench.aws, f"{DOOR}@{BOOT}.7")
        assert found.fate is Fate.PARKED
        assert [letter.queue for letter in found.letters] == [Queue.PROJECTOR_DLQ]
    assert "latchline dlq peek projector_dlq" in printed(found)


def test_history_without_its_tile_is_told(bench: TestBench):
    """The function died between its two writes, and nothing has come since."""
    bench.project(opened(3))
    key = {"pk": {"S": "BUILDING#maple-court"}, "sk": {"S": "TILE#l03#d02"}}
    bench.aws.dynamodb.delete_item(TableName=TABLE, Key=key)
    found = traced(bench.aws, f"{DOOR}@{BOOT}.3")
    assert found.fate is Fate.BEHIND
    assert "latchline rebuild" in printed(found)


def test_what_is_nowhere_is_unknown(bench: TestBench):
    """And the message says what that may mean."""
    found = traced(bench.aws, f"{DOOR}@{BOOT}.9")
    assert found.fate is Fate.UNKNOWN
    assert not found.stages
    assert "never reached the broker" in printed(found)


def test_the_log_of_the_event_is_shown(bench: TestBench):
    """Only its own lines, and only the function's structured ones."""
    bench.project(opened(1))
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    name = f"{DOOR}@{BOOT}.1"
    lines = [
        json.dumps({"message": "retried", "event_id": name, "receive_count": 2, "detail": "slow"}),
        f"START {name}",
        json.dumps({"message": "retried", "event_id": f"{DOOR}@{BOOT}.2"}),
    ]
    now_ms = int(time.time() * 1000)  # AWS: a line older than two weeks is refused
    logs.put_log_events(
        logGroupName=GROUP,
        logStreamName="s",
        logEvents=[{"timestamp": now_ms + n, "message": line} for n, line in enumerate(lines)],
    )
    (line,) = traced(bench.aws, name).log
    assert (line.message, line.detail) == ("retried", "delivery 2; slow")


def test_a_function_without_a_log_is_no_error(bench: TestBench):
    """It has never run, or the deployment does not say what it is called."""
    bench.project(opened(1))
    assert traced(bench.aws, DOOR).log == []
    assert traced(bench.aws, DOOR, log_group=None).log == []


def test_the_number_of_another_door_is_corrected(bench: TestBench):
    """Numbers count over all doors of a locker, so the right event can be named."""
    bench.project(opened(1))
    with pytest.raises(OperationsError, match="is of door d02: maple-court:l03/d02@"):
        traced(bench.aws, f"maple-court:l03/d01@{BOOT}.1")


def test_a_door_without_a_tile_is_named(bench: TestBench):
    """Perhaps it is misspelt."""
    with pytest.raises(OperationsError, match="maple-court:l03/d09 has no tile"):
        traced(bench.aws, "maple-court:l03/d09")


@pytest.mark.parametrize(
    "text", ["", "maple-court", "maple-court:l03", "a:b/c@1", "a:b/c@9999999999.1", "a:b/c@1.0"]
)
def test_a_reference_that_is_none_is_shown(text: str):
    """With the value, and what it should look like."""
    with pytest.raises(OperationsError):
        Reference.parse(text)
