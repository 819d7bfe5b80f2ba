"""Tiles that are in the table already: written straight into it, as the projector leaves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from models.sizes import stored_tile
from pipeline.contract import DoorEvent, Kind, PresenceEvent, Thing
from pipeline.items import Item, building_item, locker_item, tile_update
from pipeline.merge import presence_of
from pipeline.store import BATCH_WRITE_ITEMS

DOORS = 4
"""A locker."""
LOCKERS = 50
"""A building."""
PAUSE_S = 0.05
TOLD_EVERY = 10_000
"""Items."""


class ExistingTiles:
    """So many tiles in buildings of their own, with their lockers; blocking.

    Parameters
    ----------
    client
        DynamoDB's.
    on_progress
        Gets a line for people now and then.
    """

    def __init__(self, client: Any, table: str, on_progress: Callable[[str], None]) -> None:
        self._client = client
        self._table = table
        self._on_progress = on_progress
        self.count = 0

    def become(self, count: int) -> None:
        """Write or delete tiles until there are so many."""
        if count > self.count:
            new = (item for tile in range(self.count, count) for item in items(tile))
            self._write({"PutRequest": {"Item": item}} for item in new)
        else:
            old = (item for tile in range(count, self.count) for item in items(tile))
            self._write(
                {"DeleteRequest": {"Key": {name: item[name] for name in ("pk", "sk")}}}
                for item in old
            )
        self.count = count

    def _write(self, requests: Iterator[dict[str, Any]]) -> None:
        done = 0
        while batch := list(islice(requests, BATCH_WRITE_ITEMS)):
            done += len(batch)
            while batch:
                answer = self._client.batch_write_item(RequestItems={self._table: batch})
                batch = answer.get("UnprocessedItems", {}).get(self._table, [])
                if batch:
                    time.sleep(PAUSE_S)
            if done % TOLD_EVERY == 0:
                self._on_progress(f"{done:,} items")


def items(number: int) -> Iterator[Item]:
    """The tile of that number; with a locker's first its locker, with a building's the building."""
    position, door = divmod(number, DOORS)
    building, position = divmod(position, LOCKERS)
    thing = Thing(f"existing-{building:04d}", f"l{position + 1:02d}")
    now_ms = time.time_ns() // 1_000_000
    if door == 0:
        if position == 0:
            yield building_item(thing.building)
        yield locker(thing, now_ms)
    yield tile(thing, f"d{door + 1:02d}", now_ms)


def locker(thing: Thing, now_ms: int) -> Item:
    """A locker that came online just now."""
    connected = PresenceEvent(thing, True, now_ms, "session-1", 1, None, now_ms, None)
    return locker_item(
        thing, presence_of(connected), revision=1, received_at=now_ms, projected_at=now_ms
    )


def tile(thing: Thing, door: str, now_ms: int, *, boot: int = 1, seq: int = 1) -> Item:
    """A door that moved just now: opened with an even sequence number, closed with an odd one."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    event = DoorEvent(
        thing=thing,
        door=door,
        kind=Kind.CLOSED if seq % 2 else Kind.OPENED,
        boot=boot,
        seq=seq,
        at=at.replace("+00:00", "Z"),
        open=seq % 2 == 0,
        occupied=True,
        fault=None,
        received_at=now_ms,
        trace="8f7e0b1c-0000-4000-8000-000000000001",
        client=str(thing),
        payload="{}",
    )
    return stored_tile(tile_update(event, queued_at=now_ms, projected_at=now_ms))
