"""The table and the queue in memory answer as moto's do to what the pipeline asks."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from pipeline import items
from pipeline.aws_errors import error_code
from pipeline.contract import DoorEvent, parse_envelope
from pipeline.merge import LockerPresence, join_presence, presence_of
from tests.support.aws import TABLE, Aws, in_process_aws
from tests.support.examples import examples
from tests.support.lambda_events import RECEIVED_AT, door_envelope
from tests.support.memory_aws import FORBIDDEN, MemoryQueue, MemoryTable
from tests.support.strategies import door_events, presence_events

pytestmark = pytest.mark.property


def answer(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer, or the refusal's code and the old item with it."""
    try:
        found = dict(call(**arguments))
    except ClientError as error:
        return error_code(error), error.response.get("Item")
    return {name: found[name] for name in ("Item", "UnprocessedItems") if name in found}


def history(events: list[DoorEvent]) -> tuple[str, dict[str, Any]]:
    puts = [{"PutRequest": {"Item": items.history_item(event, days=1)}} for event in events]
    return "batch_write_item", {"RequestItems": {TABLE: puts}}


def tile(event: DoorEvent) -> tuple[str, dict[str, Any]]:
    update = items.tile_update(event, queued_at=None, projected_at=RECEIVED_AT)
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return "update_item", {"TableName": TABLE, **old, **update}


def presence(event: Any, revision: int) -> tuple[str, dict[str, Any]]:
    item = items.locker_item(
        event.thing,
        join_presence(LockerPresence(), presence_of(event)),
        revision=revision + 1,
        received_at=RECEIVED_AT,
        projected_at=RECEIVED_AT,
    )
    return "put_item", {
        "TableName": TABLE,
        "Item": item,
        "ConditionExpression": items.REVISION_CONDITION,
        "ExpressionAttributeNames": {"#revision": "revision"},
        "ExpressionAttributeValues": {":revision": {"N": str(revision)}},
    }


CALLS = st.one_of(
    # AWS refuses a batch with a key twice; moto takes it if the items differ.
    st.lists(
        door_events(doors=("d01", "d02")), min_size=1, max_size=4, unique_by=lambda e: e.version
    ).map(history),
    door_events(doors=("d01", "d02")).map(tile),
    st.tuples(presence_events(), st.integers(0, 3)).map(lambda pair: presence(*pair)),
    door_events().map(
        lambda event: (
            "get_item",
            {"TableName": TABLE, "Key": items.tile_key(event.thing, "d01"), "ConsistentRead": True},
        )
    ),
)


@pytest.fixture(scope="module")
def moto() -> Iterator[Aws]:
    with in_process_aws() as running:
        yield running


@examples(15, 300)
@given(st.lists(CALLS, max_size=12))
def test_the_table_answers_as_motos(moto: Aws, calls: list[tuple[str, dict[str, Any]]]):
    """Any sequence of the pipeline's calls: the same answers, the same refusals, the same items."""
    for item in moto.items(""):
        key = {name: item[name] for name in ("pk", "sk")}
        moto.dynamodb.delete_item(TableName=TABLE, Key=key)
    table = MemoryTable()
    for operation, arguments in calls:
        expected = answer(getattr(moto.dynamodb, operation), **arguments)
        assert answer(getattr(table, operation), **arguments) == expected
    scanned = moto.items("")
    assert sorted(table.held.values(), key=json.dumps) == sorted(scanned, key=json.dumps)


@pytest.fixture(scope="module")
def event() -> DoorEvent:
    parsed = parse_envelope(json.dumps(door_envelope()))
    assert isinstance(parsed, DoorEvent)
    return parsed


def test_both_refuse_an_item_that_is_too_large(moto: Aws, event: DoorEvent):
    """400 KB, single and in a batch."""
    item = {**items.history_item(event, days=1), "payload": {"S": "x" * 500_000}}
    puts = {"RequestItems": {TABLE: [{"PutRequest": {"Item": item}}]}}
    for client in (moto.dynamodb, MemoryTable()):
        assert answer(client.put_item, TableName=TABLE, Item=item)[0] == "ValidationException"
        assert answer(client.batch_write_item, **puts)[0] == "ValidationException"


def test_both_refuse_an_empty_key(moto: Aws, event: DoorEvent):
    """A key that is empty can be no key."""
    item = {**items.history_item(event, days=1), "sk": {"S": ""}}
    for client in (moto.dynamodb, MemoryTable()):
        assert answer(client.put_item, TableName=TABLE, Item=item)[0] == "ValidationException"


def entry(id_: str = "0", body: str = "{}", reason: str = "r") -> dict[str, Any]:
    attributes = {"reason": {"DataType": "String", "StringValue": reason}}
    return {"Id": id_, "MessageBody": body, "MessageAttributes": attributes}


@pytest.mark.parametrize(
    "entries",
    [
        [entry()],
        [entry("0"), entry("1", body="é🔒")],
        [entry(), entry()],
        [entry(str(number)) for number in range(11)],
        [],
        [entry(body="x" * 1_100_000)],
        [entry("0", body="x" * 600_000), entry("1", body="x" * 600_000)],
    ],
    ids=["one", "two", "one id twice", "eleven", "none", "too large", "too large together"],
)
def test_the_queue_answers_as_motos(moto: Aws, entries: list[dict[str, Any]]):
    """What a request may hold, and what of it is taken."""
    theirs = taken(moto.sqs, moto.queue_url, entries)
    queue = MemoryQueue()
    assert taken(queue, "https://sqs/q", entries) == theirs
    assert {message["Id"] for message in queue.messages} == (theirs or set())


def taken(client: Any, url: str, entries: list[dict[str, Any]]) -> set[str] | None:
    """Ids that were taken; None if the request was refused."""
    try:
        done = client.send_message_batch(QueueUrl=url, Entries=entries)
    except ClientError:
        return None
    return {each["Id"] for each in done.get("Successful", [])}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("\t\n\r é🔒\ufffd", True), ("\x00", False), ("\x1f", False), ("\uffff", False)],
)  # fmt: skip
def test_the_queue_knows_xmls_characters(text: str, allowed: bool):
    """AWS documents them; moto lets everything pass, so this is held to the document alone."""
    assert (FORBIDDEN.search(text) is None) is allowed
    failed = MemoryQueue().send_message_batch(QueueUrl="q", Entries=[entry(reason=text)])["Failed"]
    assert (failed == []) is allowed
