"""The life of one event: each hop with its time, what became of it, what the logs say of it.

Put together from what is kept anyway: the event in history, the tile of its door, the dead letters,
and the projector's log (CloudWatch Logs), which has a line for whatever did not go well at once.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from operations.errors import OperationsError
from operations.letters import Letter, Queue
from operations.walk import look
from pipeline import items
from pipeline.contract import (
    COUNTER_LIMIT,
    Thing,
    boot_of,
    event_id,
    is_id,
    shorten,
    version_of,
)

_REFERENCE = re.compile(
    r"(?P<thing>[^/]+)/(?P<door>[^@]+)(@(?P<boot>\d{1,10})\.(?P<seq>\d{1,10}))?"
)
LETTERS = 10_000
"""Looked through in one queue at most."""
LOG_BEFORE_MS = 60_000


class Fate(StrEnum):
    SHOWN = "shown"
    """Its door's tile is this very event."""
    SUPERSEDED = "superseded"
    """It is in history, and a newer event of its door is the tile."""
    BEHIND = "behind"
    """It is in history, but its door's tile is older: on its way, or failed between the writes."""
    PARKED = "parked"
    """It is no further than a dead-letter queue."""
    UNKNOWN = "unknown"
    """Nowhere: on its way, expired from history, or never arrived."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A door, and one event of it unless `version` is None: then its latest."""

    thing: Thing
    door: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read `maple-court:l03/d02@1763625600.17` or `maple-court:l03/d02`.

        Raises
        ------
        OperationsError
            It is neither.
        """
        match = _REFERENCE.fullmatch(text.strip())
        try:
            if match is None or not is_id(match["door"]):
                raise ValueError
            thing = Thing.parse(match["thing"])
        except ValueError:
            raise OperationsError(
                f"{shorten(text)} is neither an event (maple-court:l03/d02@1763625600.17) nor a "
                "door (maple-court:l03/d02)"
            ) from None
        if match["boot"] is None:
            return cls(thing, match["door"])
        boot, seq = int(match["boot"]), int(match["seq"])
        if not (boot < COUNTER_LIMIT and 1 <= seq < COUNTER_LIMIT):
            raise OperationsError(f"{shorten(text)}: boot and seq must be below {COUNTER_LIMIT}")
        return cls(thing, match["door"], version_of(boot, seq))


@dataclass(frozen=True, slots=True)
class Stage:
    """One hop: where, when (epoch ms), and what there is to say."""

    where: str
    at_ms: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    at_ms: int
    message: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trace:
    """`state` is the event as received, in GraphQL's names; None if it is not in the table."""

    event_id: str
    fate: Fate
    tile_event_id: str | None = None
    stages: Sequence[Stage] = ()
    state: Mapping[str, Any] | None = None
    trace_id: str | None = None
    letters: Sequence[Letter] = ()
    log: Sequence[LogLine] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "fate": self.fate.value,
            "tile": self.tile_event_id,
            "trace_id": self.trace_id,
            "state": self.state,
            "stages": [
                {"where": stage.where, "at_ms": stage.at_ms, "note": stage.note}
                for stage in self.stages
            ],
            "parked": [
                {"queue": each.queue.value, "reason": each.reason, "error": each.error}
                for each in self.letters
            ],
            "log": [
                {"at_ms": line.at_ms, "message": line.message, "detail": line.detail}
                for line in self.log
            ],
        }


class Tracer:
    """Looks an event up; reads only, and leaves the dead letters where they are.

    Parameters
    ----------
    queues
        URLs of the dead-letter queues by name; those that are missing are not looked at.
    log_group
        The projector's; None reads no log.
    """

    def __init__(
        self,
        dynamodb: Any,
        sqs: Any,
        logs: Any,
        *,
        table: str,
        queues: Mapping[str, str],
        log_group: str | None,
    ) -> None:
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._logs = logs
        self._table = table
        self._queues = queues
        self._log_group = log_group

    def trace(self, reference: Reference) -> Trace:
        """Follow an event, or the latest of a door.

        Raises
        ------
        OperationsError
            A door was asked for that has no tile.
        """
        tile = self._get(items.tile_key(reference.thing, reference.door))
        version = reference.version
        if version is None:
            if tile is None:
                raise OperationsError(
                    f"{reference.thing}/{reference.door} has no tile: no event of it ever arrived"
                )
            version = items.read_version(tile)
        name = _event_id(reference, version)
        history = self._get(items.history_key(reference.thing, version))
        if history is not None and history["door"]["S"] != reference.door:
            raise OperationsError(
                f"{name}: this number is of door {history['door']['S']}: "
                f"{reference.thing}/{history['door']['S']}@{name.partition('@')[2]}"
            )
        shown = tile is not None and items.read_version(tile) == version
        # A door event that is where it belongs needs no dead letter looked for.
        letters = [] if shown else self._letters(reference.thing, version)
        return Trace(
            event_id=name,
            fate=_fate(history, tile, version, letters),
            tile_event_id=None if tile is None else _event_id(reference, items.read_version(tile)),
            stages=_stages(history, tile if shown else None),
            state=_state(history or (tile if shown else None)),
            trace_id=None if history is None else history.get("trace", {}).get("S"),
            letters=letters,
            log=self._log(name, history),
        )

    def _get(self, key: items.Item) -> Mapping[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        found: Mapping[str, Any] | None = answer.get("Item")
        return found

    def _letters(self, thing: Thing, version: int) -> list[Letter]:
        return [
            letter
            for queue in Queue
            if queue in self._queues
            for letter in look(self._sqs, queue, self._queues[queue], limit=LETTERS)
            if letter.thing == thing and letter.version == version
        ]

    def _log(self, event: str, history: Mapping[str, Any] | None) -> list[LogLine]:
        if self._log_group is None:
            return []
        # AWS: without a start the whole group is read, page by page.
        since = {} if history is None else {"startTime": _received_at(history) - LOG_BEFORE_MS}
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._log_group, filterPattern=f'"{event}"', **since
        )
        try:
            found = [line for page in pages for line in page["events"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []  # the function has never run
            raise
        return list(_lines(found))


def _fate(
    history: Mapping[str, Any] | None,
    tile: Mapping[str, Any] | None,
    version: int,
    letters: Sequence[Letter],
) -> Fate:
    if tile is not None and items.read_version(tile) == version:
        return Fate.SHOWN
    if history is None:
        return Fate.PARKED if letters else Fate.UNKNOWN
    if tile is not None and items.read_version(tile) > version:
        return Fate.SUPERSEDED
    return Fate.PARKED if letters else Fate.BEHIND


def _stages(history: Mapping[str, Any] | None, tile: Mapping[str, Any] | None) -> list[Stage]:
    """Hops in the order of the path; the inner stamps are kept by the tile alone."""
    item = history or tile
    if item is None:
        return []
    at_ms = datetime.fromisoformat(item["at"]["S"]).timestamp() * 1000
    stages = [
        Stage("device", at_ms, f"{item['kind']['S']}, by the device's own clock"),
        Stage("broker", _received_at(item), "the rule took it, identity from the topic"),
    ]
    if tile is None:
        return stages
    if "queued_at" in tile:
        stages.append(Stage("queue", int(tile["queued_at"]["N"]), "in the projector's queue"))
    stages.append(
        Stage("projector", int(tile["projected_at"]["N"]), "history first, then the tile")
    )
    return stages


def _state(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if item is None:
        return None
    return {
        "kind": item["kind"]["S"],
        "status": item["status"]["S"],
        "open": item["open"]["BOOL"],
        "occupied": item["occupied"]["BOOL"],
        "fault": item["fault"]["S"] if "fault" in item else None,
    }


def _lines(events: Iterable[Mapping[str, Any]]) -> Iterable[LogLine]:
    """The function's structured lines; whatever else the runtime prints is left out."""
    for event in events:
        try:
            line = json.loads(event["message"])
            receives = line.get("receive_count")
            detail = line.get("detail") or line.get("exception_name") or ""
            times = f"delivery {receives}" if receives else ""
            told = "; ".join(part for part in (times, str(detail)) if part)
            yield LogLine(int(event["timestamp"]), str(line["message"]), told)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue


def _received_at(item: Mapping[str, Any]) -> int:
    return int(item["received_at"]["N"])


def _event_id(reference: Reference, version: int) -> str:
    boot = boot_of(version)
    return event_id(reference.thing, reference.door, boot, version - version_of(boot, 0))
