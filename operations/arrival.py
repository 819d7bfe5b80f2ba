"""Tells whether an event is where it belongs: in history and in its tile, or in its locker's item.

A door event has arrived when history holds it and its door's tile is at its version or newer; a
presence event when joining it into what is known of the locker changes nothing.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from operations.letters import Letter
from pipeline import items
from pipeline.contract import DoorEvent, PresenceEvent
from pipeline.merge import join_presence, presence_of

BATCH_GET_KEYS = 100
"""AWS: keys of one BatchGetItem."""
UNPROCESSED_PAUSE_S = 0.2
HISTORY_DAYS = 90
"""An event received longer ago than this is not kept in history; then its tile must do."""
DAY_MS = items.DAY_S * 1000

Event = DoorEvent | PresenceEvent


def identity_of(letter: Letter) -> object:
    """The same for all letters of one event, whatever queue they lie in."""
    event = letter.event
    if isinstance(event, DoorEvent):
        return event.event_id
    if isinstance(event, PresenceEvent):
        return str(event.thing), event.session, event.connected, event.at
    if letter.pointer is not None:
        return letter.pointer.stream, letter.pointer.first, letter.pointer.last
    return _canonical(letter.body if letter.envelope is None else letter.envelope)


class Arrivals:
    """Looks into the table. `client` is a boto3 DynamoDB client; reads are strongly consistent."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def arrived(self, events: Iterable[Event]) -> set[Event]:
        """Those of the events that are where they belong."""
        wanted = list(events)
        keys = {_hashable(key): key for event in wanted for key in _keys(event)}
        found = self._get(list(keys.values()))
        now_ms = time.time_ns() // 1_000_000
        return {event for event in wanted if _is_there(event, found, now_ms)}

    def read(self, keys: Iterable[items.Item]) -> Iterator[items.Item]:
        """The items of the keys that there are, in no order."""
        distinct = {_hashable(key): key for key in keys}
        yield from self._get(list(distinct.values())).values()

    def _get(self, keys: list[items.Item]) -> dict[tuple[str, str], items.Item]:
        found: dict[tuple[str, str], items.Item] = {}
        for start in range(0, len(keys), BATCH_GET_KEYS):
            todo: Any = keys[start : start + BATCH_GET_KEYS]
            while todo:
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": todo, "ConsistentRead": True}}
                )
                for item in answer["Responses"].get(self._table, []):
                    found[_hashable(item)] = item
                todo = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                if todo:
                    time.sleep(UNPROCESSED_PAUSE_S)
        return found


def _keys(event: Event) -> list[items.Item]:
    if isinstance(event, PresenceEvent):
        return [items.locker_key(event.thing)]
    return [
        items.history_key(event.thing, event.version),
        items.tile_key(event.thing, event.door),
    ]


def _is_there(event: Event, found: Mapping[tuple[str, str], items.Item], now_ms: int) -> bool:
    if isinstance(event, PresenceEvent):
        held = found.get(_hashable(items.locker_key(event.thing)))
        if held is None:
            return False
        known = items.read_presence(held)
        return join_presence(known, presence_of(event)) == known
    tile = found.get(_hashable(items.tile_key(event.thing, event.door)))
    if tile is None or "version" not in tile or items.read_version(tile) < event.version:
        return False
    history = found.get(_hashable(items.history_key(event.thing, event.version)))
    if history is None:
        return event.received_at < now_ms - HISTORY_DAYS * DAY_MS
    return bool(history["door"]["S"] == event.door)


def _hashable(key: Mapping[str, Any]) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


def _canonical(envelope: str) -> str:
    """The same for all spellings of one JSON document: pipe and bus write it anew."""
    try:
        return json.dumps(json.loads(envelope), sort_keys=True)
    except (ValueError, RecursionError):
        return envelope
