"""Redrives what carries no data: pushes the current tiles of the items that a pointer names.

Every push here repeats one whose write has happened: what is published is read from the table, and
nothing from a letter. Viewers merge by version, so a push too many, or one that is overtaken by a
newer one, changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from operations.arrival import Arrivals
from operations.errors import OperationsError
from operations.formats import StreamPointer
from pipeline.appsync import AppSync
from pipeline.aws_errors import error_code
from pipeline.deadline import Deadline
from pipeline.fanout import READERS, Change, coalesce, publish_plan
from pipeline.items import Item, building_pk

PUBLISH_S = 30.0
"""AWS: AppSync executes a request for 30 s at most."""
GONE = frozenset({"TrimmedDataAccessException", "ResourceNotFoundException"})
"""AWS: the records have left the stream after 24 h; the shard, or the stream itself, is no more.
AppSync ends a connection after 24 h too, so whoever was connected then has loaded the tiles anew.
"""
EMPTY_PAGES = 10


class Source(StrEnum):
    """How it was found out which items a pointer names."""

    KEY = "the item's key in the letter"
    SHARD = "the shard"
    SNAPSHOT = "the snapshots of those named, the shard is gone"
    EVERYWHERE = "the snapshots of all buildings, the shard is gone"


@dataclass(frozen=True, slots=True)
class Republished:
    """What came of one pointer. `problems`: items that were not published, and why."""

    source: Source
    items: int
    buildings: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.items} items of {self.buildings} buildings, from {self.source}"


class Republisher:
    """Publishes current tiles and lockers with the caller's own credentials.

    Parameters
    ----------
    streams, dynamodb
        boto3 clients.
    buildings
        Whose snapshots to publish when neither shard nor letter tells: those that a person named,
        or all that there are.
    named
        Whether a person named them.
    """

    def __init__(
        self,
        *,
        streams: Any,
        dynamodb: Any,
        table: str,
        appsync: AppSync,
        buildings: Callable[[], Iterable[str]],
        named: bool,
    ) -> None:
        self._streams = streams
        self._dynamodb = dynamodb
        self._table = table
        self._appsync = appsync
        self._buildings = buildings
        self._named = named
        self._snapshots: dict[str, Republished] = {}

    def republish(self, pointer: StreamPointer) -> Republished:
        """Publish the current state of the items named.

        Raises
        ------
        ClientError, BotoCoreError
            As boto3 raises them.
        """
        if pointer.keys:
            return self._publish(Source.KEY, self._current([pointer.keys]))
        keys = self._keys_in_shard(pointer)
        if keys is not None:
            return self._publish(Source.SHARD, self._current(keys))
        return self._publish_snapshots()

    def _current(self, keys: Iterable[Mapping[str, Any]]) -> list[Item]:
        return list(Arrivals(self._dynamodb, self._table).read(dict(key) for key in keys))

    def _keys_in_shard(self, pointer: StreamPointer) -> list[Mapping[str, Any]] | None:
        """Keys of the tiles and lockers changed from first to last, or None if they are gone.

        AWS: sequence numbers are decimal numbers of differing length.
        """
        if pointer.shard is None:
            return None
        try:
            iterator = self._streams.get_shard_iterator(
                StreamArn=pointer.stream,
                ShardId=pointer.shard,
                ShardIteratorType="AT_SEQUENCE_NUMBER",
                SequenceNumber=pointer.first,
            ).get("ShardIterator")
            return self._read_shard(iterator, int(pointer.last))
        except ClientError as error:
            if error_code(error) not in GONE:
                raise
            return None

    def _read_shard(self, iterator: str | None, last: int) -> list[Mapping[str, Any]] | None:
        """AWS: a page may be empty although records follow, and at a shard's open end all are."""
        keys: list[Mapping[str, Any]] = []
        empty = 0
        while iterator is not None and empty < EMPTY_PAGES:
            page = self._streams.get_records(ShardIterator=iterator)
            empty = 0 if page["Records"] else empty + 1
            for record in page["Records"]:
                change = record["dynamodb"]
                if int(change["SequenceNumber"]) <= last and _is_shown(change):
                    keys.append(change["Keys"])
                if int(change["SequenceNumber"]) >= last:
                    return keys
            iterator = page.get("NextShardIterator")
        return None

    def _publish_snapshots(self) -> Republished:
        """Once a run and building, for however many pointers need it.

        Raises
        ------
        OperationsError
            Nobody knows a building, or a building that a person named has nothing in the table.
        """
        source = Source.SNAPSHOT if self._named else Source.EVERYWHERE
        for building in self._buildings():
            if building not in self._snapshots or self._snapshots[building].problems:
                done = self._publish(source, self._snapshot(building))
                if self._named and not (done.items or done.problems):
                    raise OperationsError(
                        f"the shard is gone, and the table has no tile of building {building}"
                    )
                self._snapshots[building] = done
        if not any(each.items or each.problems for each in self._snapshots.values()):
            raise OperationsError(
                "the shard is gone and no building is known: name them with --building"
            )
        return Republished(
            source,
            items=sum(each.items for each in self._snapshots.values()),
            buildings=sum(each.buildings for each in self._snapshots.values()),
            problems=tuple(
                problem for each in self._snapshots.values() for problem in each.problems
            ),
        )

    def _snapshot(self, building: str) -> Iterator[Item]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": building_pk(building)}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _publish(self, source: Source, current: Iterable[Item]) -> Republished:
        changes = [
            Change(str(n), {"pk": item["pk"], "sk": item["sk"]}, item, self._table)
            for n, item in enumerate(current)
        ]
        latest, unreadable = coalesce(changes)
        planned, _ = publish_plan(latest)
        # Nobody knows any more what was on the attention list before: operators are told of all.
        publications = [replace(each, attention=True) for each in planned]
        failures = self._appsync.publish(publications, Deadline(PUBLISH_S))
        problems = [str(error) for error in failures.values()]
        problems += [
            f"{change.keys['pk']['S']} {change.keys['sk']['S']}: {poison.detail}"
            for change, poison in unreadable
        ]
        return Republished(
            source,
            items=len(latest),
            buildings=len({each.building for each in publications}),
            problems=tuple(problems),
        )


def _is_shown(change: Mapping[str, Any]) -> bool:
    """Whether the record is what the fan-out's mapping lets through."""
    return change.get("NewImage", {}).get("entity", {}).get("S") in READERS
