"""Any record, any event: a handler answers with `batchItemFailures`, or says that its mapping is
wrong; no record brings its batch down, and none is left out of the answer."""

import io
import json
import uuid
from collections.abc import Mapping
from contextlib import redirect_stdout
from random import Random
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.appsync import AppSync
from pipeline.deadline import Deadline
from pipeline.errors import EventShapeError
from pipeline.fanout import Fanout
from pipeline.quarantine import Quarantine
from pipeline.report import FanoutReport
from tests.fuzz.malformed import Bench, Message
from tests.fuzz.mutations import ODD, as_queued, malformed
from tests.support.examples import examples
from tests.support.fanouts import locker, tile
from tests.support.lambda_events import RECEIVED_AT, stream_event
from tests.support.memory_appsync import MemoryAppSync, deployed_schema
from tests.support.memory_aws import MemoryQueue

pytestmark = pytest.mark.property

SCHEMA = deployed_schema()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([value for value in ODD if not isinstance(value, (list, dict))]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
BODIES = st.one_of(
    st.integers(0, 2**32).map(lambda seed: malformed(Random(seed))),
    st.text(max_size=50).map(as_queued),
    JSON.map(lambda value: as_queued(json.dumps(value))),
)


@examples(60, 3_000)
@given(st.lists(BODIES, min_size=1, max_size=10))
def test_any_bodies_are_parked_or_on_record(bodies: list[str]):
    """Without a fault nothing is retried, and what is parked is parked as it came, once."""
    bench = Bench()
    batch = [Message(f"m{index}", body, good=False) for index, body in enumerate(bodies)]
    assert bench.project(batch) == set()
    parked = [
        entry["MessageAttributes"]["message_id"]["StringValue"] for entry in bench.queue.messages
    ]
    assert len(parked) == len(set(parked))
    assert all(entry["MessageBody"] in bodies for entry in bench.queue.messages)
    assert bench.log.getvalue() == "", "no defect"


EVENTS = JSON | st.fixed_dictionaries(
    {
        "Records": JSON
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "messageId": JSON,
                    "body": JSON,
                    "attributes": JSON
                    | st.fixed_dictionaries(
                        {}, optional={"SentTimestamp": JSON, "ApproximateReceiveCount": JSON}
                    ),
                    "dynamodb": JSON
                    | st.fixed_dictionaries(
                        {}, optional={"SequenceNumber": JSON, "Keys": JSON, "NewImage": JSON}
                    ),
                    "eventSourceARN": JSON,
                },
            ),
            max_size=3,
        )
    }
)


@examples(150, 5_000)
@given(EVENTS)
@example({"Records": []})
@example({})
@example({"Records": [{"messageId": "m", "body": None, "attributes": {}}]})
@example({"Records": [{"messageId": [], "body": "", "attributes": {}}]})
def test_any_event_is_answered_or_is_no_sqs_batch(event: Any):
    """A wrong mapping is told apart from a bad record, and by one error alone."""
    try:
        with redirect_stdout(io.StringIO()):
            answer = Bench().projector.handle(event, Deadline(60))
    except EventShapeError:
        return
    assert_well_formed(answer, [record["messageId"] for record in event["Records"]])


def assert_well_formed(answer: Mapping[str, Any], known: list[Any]) -> None:
    """AWS: an identifier that is not in the batch fails it as a whole."""
    assert list(answer) == ["batchItemFailures"]
    for failure in answer["batchItemFailures"]:
        assert list(failure) == ["itemIdentifier"]
        assert failure["itemIdentifier"] in known


class Publisher:
    """The fan-out between AppSync's schema and a queue in memory."""

    def __init__(self) -> None:
        self.appsync = MemoryAppSync(SCHEMA)
        self.queue = MemoryQueue()
        self.fanout = Fanout(
            AppSync(self.appsync, lambda: RECEIVED_AT),
            Quarantine(self.queue, "https://sqs/q"),  # type: ignore[arg-type]
            FanoutReport(
                Logger(service=f"f-{uuid.uuid4()}", stream=io.StringIO(), level="CRITICAL"),
                Metrics(service="f", namespace="Latchline"),
                lambda: RECEIVED_AT,
            ),
        )

    def handle(self, event: Any) -> Any:
        with redirect_stdout(io.StringIO()):
            return self.fanout.handle(event, Deadline(60))


WIRE = st.recursive(
    st.one_of(
        st.text(max_size=20).map(lambda text: {"S": text}),
        st.sampled_from([v for v in ODD if isinstance(v, str)]).map(lambda text: {"S": text}),
        st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda n: {"N": str(n)}),
        st.sampled_from(("0", "-1", "2147483648", "9007199254740992", "1E+125", "0.5")).map(
            lambda number: {"N": number}
        ),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        st.just({"B": "AP8="}),
        st.lists(st.text(max_size=5), min_size=1).map(lambda texts: {"SS": texts}),
    ),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda values: {"L": values})
        | st.dictionaries(st.text(max_size=5), inner, max_size=2).map(lambda values: {"M": values})
    ),
    max_leaves=4,
)
"""Any attribute in DynamoDB's wire form, which is what a stream record holds."""


def images(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An item with some attributes replaced by anything, some left out; the keys stay keys."""
    names = [name for name in good if name not in {"pk", "sk"}]
    return st.dictionaries(st.sampled_from([*names, "note"]), WIRE | st.just(...), max_size=3).map(
        lambda changed: {name: v for name, v in {**good, **changed}.items() if v is not ...}
    )


HEALTHY = tile("birch-house", "d07")


@examples(150, 5_000)
@given(st.lists(images(tile()) | images(locker()), min_size=1, max_size=6))
@example([{**tile(), "received_at": {"N": "9007199254740992000"}}])
@example([{**tile(), "at": {"S": "yesterday"}}])
@example([{**tile(), "at": {"S": "0001-01-01T00:00:00+14:00"}}])
@example([{**locker(), "revision": {"N": "2147483648"}}])
@example([{**tile(), "entity": {"SS": ["TILE"]}}])
def test_no_record_of_the_stream_costs_its_neighbours_anything(changed: list[dict[str, Any]]):
    """What AppSync would refuse is parked before; the healthy tile beside it is published."""
    bench = Publisher()
    event = stream_event([*changed, HEALTHY])
    assert bench.handle(event) == {"batchItemFailures": []}
    published = [tile for batch in bench.appsync.pushed for tile in batch["tiles"]]
    assert "d07" in [tile["doorId"] for tile in published]
    for entry in bench.queue.messages:
        assert entry["MessageAttributes"]["reason"]["StringValue"] == "image_unreadable"
        assert json.loads(entry["MessageBody"])["DDBStreamBatchInfo"]["batchSize"] == 1


def changed_record(**changed: Any) -> dict[str, Any]:
    event = stream_event([tile()])
    event["Records"][0]["dynamodb"] |= changed
    return event


@examples(150, 5_000)
@given(EVENTS)
@example({"Records": []})
@example(changed_record(NewImage="x"))
@example(changed_record(NewImage={"entity": {"S": []}}))
@example(changed_record(NewImage={"entity": "TILE"}))
@example(changed_record(SequenceNumber=1))
@example(changed_record(Keys=[]))
def test_any_event_is_answered_or_is_no_stream_batch(event: Any):
    """The same of the fan-out."""
    try:
        answer = Publisher().handle(event)
    except EventShapeError:
        return
    known = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    assert_well_formed(answer, known)
