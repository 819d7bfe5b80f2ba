"""Every entry of the corpus against the code of its hop; README.md says what is tested where."""

import json
import re
from collections.abc import Iterator

import pytest

from local.adapters.pipe_function import is_object
from local.adapters.stream_batches import Answer, BatchProcessor, MappingConfig, Record
from pipeline.contract import Kind
from pipeline.deadline import Deadline
from pipeline.errors import PoisonReason
from tests.support.aws import Aws, in_process_aws
from tests.support.fanouts import FanoutBench, fanout_bench, tile
from tests.support.lambda_events import door_envelope, payload, stream_event
from tests.support.poison_corpus import CORPUS, Destination, Entry, entries
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration

TOPIC = re.compile(r"\$aws/rules/door_events/lockers/v1/\{thing\}/doors/([^/]+)/([^/]+)")
"""Of a publish that the device policy lets through."""


@pytest.fixture
def aws() -> Iterator[Aws]:
    with in_process_aws() as running:
        yield running


def test_each_quarantine_reason_has_an_entry():
    """A reason that is added tomorrow wants a message that causes it."""
    assert {entry.reason for entry in entries() if entry.reason} == set(PoisonReason)


def test_the_corpus_is_what_its_folders_hold():
    """No file is passed over, and every entry says what it is about."""
    assert len(entries()) == len(list(CORPUS.glob("*/*.json")))
    assert all(entry.about.endswith(".") for entry in entries())


def quarantined(*hops: str) -> list[Entry]:
    return [each for each in entries(*hops) if each.destination is Destination.QUARANTINE]


def as_queued(entry: Entry) -> str:
    """What the projector's queue holds when the message has come so far."""
    if entry.hop == "broker":
        found = TOPIC.fullmatch(entry.content["topic"])
        assert found is not None
        return json.dumps({**door_envelope(entry.payload), "door": found[1], "kind": found[2]})
    return str(entry.content["Detail"] if entry.hop == "bus" else entry.content)


@pytest.mark.parametrize("entry", quarantined("broker", "pipe", "bus", "projector"), ids=str)
def test_it_is_parked_for_its_reason_and_costs_its_neighbours_nothing(aws: Aws, entry: Entry):
    """Parked as it came, done with, and the good event beside it is a tile."""
    bench = TestBench(aws)
    good = door_envelope(payload(seq=9), door="d09", kind=Kind.OPENED)
    body = as_queued(entry)
    assert bench.project(body, good) == []
    (message,) = aws.messages()
    assert message["Body"] == body
    assert message["MessageAttributes"]["reason"]["StringValue"] == entry.reason
    assert aws.tile(door="d09") is not None
    assert [item["sk"]["S"] for item in aws.items("TILE#")] == ["TILE#l03#d09"]


@pytest.mark.parametrize("entry", entries("pipe"), ids=str)
def test_the_bus_takes_what_is_not_for_the_pipes_dead_letters(entry: Entry):
    """AWS: a detail is a JSON object, or PutEvents refuses it and the pipe delivers it again."""
    assert is_object(entry.content) is (entry.destination is not Destination.INGEST_DLQ)


@pytest.mark.parametrize("entry", entries("bus"), ids=str)
def test_the_bus_refuses_what_is_no_object(entry: Entry):
    """AWS: MalformedDetail. The emulator takes it, the pipe's stand-in knows better."""
    detail = entry.content["Detail"]
    assert is_object(detail) is (entry.destination is not Destination.REFUSED)


@pytest.mark.parametrize("entry", entries("stream"), ids=str)
def test_a_record_that_cannot_be_shown_is_parked_alone(aws: Aws, entry: Entry):
    """A pointer to it waits in the fan-out's queue; the tile beside it is published."""
    with fanout_bench(aws) as bench:
        assert bench.publish(entry.content, tile(door="d09")) == []
        published = [each["doorId"] for batch in bench.server.batches() for each in batch["tiles"]]
        assert published == ["d09"]
    parked = aws.messages()
    if entry.destination is Destination.NOBODY:
        assert parked == []
        return
    (message,) = parked
    assert message["MessageAttributes"]["reason"]["StringValue"] == entry.reason
    pointer = json.loads(message["Body"])
    assert pointer["DDBStreamBatchInfo"]["startSequenceNumber"] == "100"
    assert pointer["keys"] == {name: entry.content[name] for name in ("pk", "sk")}


CONFIG = MappingConfig("arn:fanout", "arn:stream", bisect=True, max_retries=2,
                       reports_failures=True, destination="arn:fanout-dlq")  # fmt: skip


@pytest.mark.parametrize("entry", entries("appsync"), ids=str)
async def test_an_answer_that_is_no_success_ends_as_a_dead_letter(aws: Aws, entry: Entry):
    """Lambda tries again as often as it was told to, then keeps a pointer; nothing passes for done.

    The same record with a good answer afterwards is published: the failure left nothing behind.
    """
    with fanout_bench(aws) as bench:
        bench.server.status = entry.content["status"]
        bench.server.body = entry.content["body"].encode()
        pointers: list[dict] = []
        (record,) = stream_event([tile()])["Records"]
        await BatchProcessor(
            CONFIG, "shard", invoke=invoker(bench), discard=keep(pointers), wait=at_once
        ).process([record])
        (pointer,) = pointers
        assert pointer["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert pointer["requestContext"]["approximateInvokeCount"] == 3
        bench.server.status, bench.server.body = 200, None
        assert bench.publish(tile()) == []


def invoker(bench: FanoutBench):
    async def invoke(records: list[Record], /) -> Answer:
        answer = bench.fanout.handle({"Records": list(records)}, Deadline(30))
        return Answer(json.dumps(answer).encode())

    return invoke


def keep(pointers: list[dict]):
    async def discard(body: str, /) -> None:
        pointers.append(json.loads(body))

    return discard


async def at_once(_: float) -> None:
    return
