"""The table, as the projector writes it: history first, then one conditional update a door.

Every write here may be repeated at any time, by anyone, in any order: history is a put under a
natural key, a tile moves only to a greater `merge.tile_order`, a locker's presence only to a
greater join. A function that dies between any two of them leaves nothing that its successor would
not mend.
"""

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline import items
from pipeline.aws_errors import error_code, may_pass
from pipeline.contract import DoorEvent, PresenceEvent, Thing, boot_of
from pipeline.deadline import Deadline, out_of_time
from pipeline.errors import Retryable
from pipeline.merge import LockerPresence, boot_regressed, join_presence, presence_of
from pipeline.outcomes import Outcome, Result

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

BATCH_WRITE_ITEMS = 25
"""AWS: puts in one BatchWriteItem."""
BACKOFF_S = (0.02, 0.5)
CONDITION_FAILED = "ConditionalCheckFailedException"

Key = tuple[str, str]
"""Partition key and sort key of an item."""
Failures = dict[str, BaseException]
"""Event id → why its history could not be written."""


class Store:
    """Reads nothing but a locker's presence. Thread-safe, as boto3's clients are."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        history_days: int,
        now_ms: Callable[[], int],
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._client = client
        self._table = table
        self._history_days = history_days
        self._now_ms = now_ms
        self._jitter = jitter

    def write_history(self, events: Sequence[DoorEvent], deadline: Deadline) -> Failures:
        """Put all events; what could not be put is returned with the reason.

        One put for a key, however often the batch holds it (AWS refuses a batch with the same key
        twice).
        """
        found = {event.event_id: self._history_item(event) for event in events}
        todo = list({_key_of(item): item for item in found.values()}.values())
        refused: dict[Key, BaseException] = {}
        for start in range(0, len(todo), BATCH_WRITE_ITEMS):
            refused |= self._put_chunk(todo[start : start + BATCH_WRITE_ITEMS], deadline)
        return {
            event: refused[_key_of(item)]
            for event, item in found.items()
            if _key_of(item) in refused
        }

    def put_tile(self, event: DoorEvent, queued_at: int | None) -> Result:
        """Make the event its door's tile unless the tile is at its version or newer.

        AWS: the old item comes with the failed condition, without a read; the failure itself is
        charged as a write.

        Raises
        ------
        ClientError, BotoCoreError
            As boto3 raises them.
        """
        update = items.tile_update(event, queued_at=queued_at, projected_at=self._now_ms())
        try:
            self._client.update_item(
                TableName=self._table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **update
            )
        except ClientError as error:
            if error_code(error) != CONDITION_FAILED:
                raise
            return _lost_to(error.response["Item"], event)  # type: ignore[typeddict-item]
        return Result(Outcome.APPLIED)

    def merge_presence(
        self, thing: Thing, events: Iterable[PresenceEvent], deadline: Deadline
    ) -> Result:
        """Join the events into what is known of the locker's connection.

        Lifecycle events are rare, so a read and a write that is conditional on the revision read
        do; whoever loses the race reads again.

        Raises
        ------
        Retryable
            The race was lost until the deadline.
        ClientError, BotoCoreError
            As boto3 raises them.
        """
        events = list(events)
        news = LockerPresence()
        for event in events:
            news = join_presence(news, presence_of(event))
        received_at = max(event.received_at for event in events)
        attempt = 0
        while not deadline.passed:
            held = self._client.get_item(
                TableName=self._table, Key=items.locker_key(thing), ConsistentRead=True
            ).get("Item")
            known = LockerPresence() if held is None else items.read_presence(held)
            joined = join_presence(known, news)
            if held is not None and joined == known:
                return Result(Outcome.DUPLICATE)
            if self._replace_locker(thing, joined, held, received_at):
                return Result(Outcome.APPLIED)
            attempt += 1
            self._pause(attempt, deadline)
        raise Retryable(f"presence of {thing}: lost the race {attempt} times")

    def _replace_locker(
        self,
        thing: Thing,
        presence: LockerPresence,
        held: Mapping[str, Any] | None,
        received_at: int,
    ) -> bool:
        if held is None:
            # First, so that no locker is without its building in the list, whoever dies in between.
            self._client.put_item(TableName=self._table, Item=items.building_item(thing.building))
        revision = 0 if held is None else items.read_revision(held)
        item = items.locker_item(
            thing,
            presence,
            revision=revision + 1,
            received_at=received_at,
            projected_at=self._now_ms(),
        )
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression=items.REVISION_CONDITION,
                ExpressionAttributeNames={"#revision": "revision"},
                ExpressionAttributeValues={":revision": {"N": str(revision)}},
            )
        except ClientError as error:
            if error_code(error) != CONDITION_FAILED:
                raise
            return False
        return True

    def _history_item(self, event: DoorEvent) -> items.Item:
        return items.history_item(event, days=self._history_days)

    def _put_chunk(
        self, chunk: Iterable[items.Item], deadline: Deadline
    ) -> dict[Key, BaseException]:
        """BatchWriteItem, and what it leaves unprocessed again, until the deadline."""
        todo: list[Any] = [{"PutRequest": {"Item": item}} for item in chunk]
        attempt = 0
        while todo:
            if attempt and deadline.passed:
                why = Retryable(f"history: throttled, {attempt} attempts")
                return {_key_of(put["PutRequest"]["Item"]): why for put in todo}
            try:
                answer = self._client.batch_write_item(RequestItems={self._table: todo})
            except (ClientError, BotoCoreError) as error:
                left = [put["PutRequest"]["Item"] for put in todo]
                if may_pass(error):
                    return dict.fromkeys(map(_key_of, left), error)
                return self._put_singly(left, deadline)
            todo = answer.get("UnprocessedItems", {}).get(self._table, [])
            if todo:
                attempt += 1
                self._pause(attempt, deadline)
        return {}

    def _put_singly(
        self, chunk: Iterable[items.Item], deadline: Deadline
    ) -> dict[Key, BaseException]:
        """AWS refuses a whole batch for one item in it; its neighbours must not suffer for that."""
        failures: dict[Key, BaseException] = {}
        for item in chunk:
            if deadline.passed:
                failures[_key_of(item)] = out_of_time()
                continue
            try:
                self._client.put_item(TableName=self._table, Item=item)
            except (ClientError, BotoCoreError) as error:
                failures[_key_of(item)] = error
        return failures

    def _pause(self, attempt: int, deadline: Deadline) -> None:
        """Exponential backoff with full jitter, never past the deadline."""
        ceiling = min(BACKOFF_S[1], BACKOFF_S[0] * 2.0 ** min(attempt, 10))
        threading.Event().wait(min(self._jitter(0, ceiling), deadline.remaining_s))


def _lost_to(held: Mapping[str, Any], event: DoorEvent) -> Result:
    version = items.read_version(held)
    if version == event.version:
        return Result(Outcome.DUPLICATE)
    held_boot = boot_of(version)
    regressed = boot_regressed(
        boot=event.boot,
        received_at=event.received_at,
        held_boot=held_boot,
        held_received_at=items.read_received_at(held),
    )
    return Result(Outcome.REGRESSED, held_boot=held_boot) if regressed else Result(Outcome.STALE)


def _key_of(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]
