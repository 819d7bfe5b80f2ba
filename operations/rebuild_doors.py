"""What a door's tile should be by its history, and how the one that is there compares. Pure.

The tile is `pipeline.merge` of the events on record, nothing else. There is one exception, which a
person has to ask for: a controller whose boot number went back (its counter lost, its clock in
1970) sends events that lose to its own past for ever. Then the tile may be made of what came after
that past, see `Record.reset`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline import items
from pipeline.contract import DoorEvent, Thing, boot_of
from pipeline.merge import boot_regressed, newest, tile_order

COMPARED = ("kind", "status", "open", "occupied", "fault", "at", "building", "locker", "door")


class Finding(StrEnum):
    """How a tile compares with the history of its door."""

    SAME = "same"
    EXPIRED = "expired"
    """Its event is older than the history; nothing speaks against the tile."""
    MISSING = "missing"
    BEHIND = "behind"
    DIFFERENT = "different"
    """At the version of history, with other content."""
    AHEAD = "ahead"
    """Newer than all that is on record, although its own event could not have expired."""
    REGRESSED = "regressed"
    """Kept by a boot that its controller has lost; see docs/operations.md#boot-regressed."""


FORWARD = frozenset({Finding.MISSING, Finding.BEHIND})
"""What the projector's own conditional update mends."""
FORCED = frozenset({Finding.DIFFERENT, Finding.AHEAD})
"""What only an overwrite mends."""
FINE = frozenset({Finding.SAME, Finding.EXPIRED})


@dataclass(frozen=True, slots=True)
class Door:
    """One door: its tile as stored, what it should be, and the finding."""

    thing: Thing
    door: str
    finding: Finding
    held: Mapping[str, Any] | None
    """The tile's item in wire form."""
    wanted: DoorEvent | None
    """The event that should be the tile; None where history has nothing to say."""

    @property
    def held_version(self) -> int | None:
        return None if self.held is None else items.read_version(self.held)


@dataclass(slots=True)
class Record:
    """What is kept of one controller while its history is read: a few events a door."""

    merged: dict[str, DoorEvent] = field(default_factory=dict)
    """Door → the merge of all its events."""
    heard: dict[int, int] = field(default_factory=dict)
    """Boot → when its last event was received, epoch ms."""
    by_boot: dict[tuple[str, int], DoorEvent] = field(default_factory=dict)
    """Door and boot → the merge of its events in that boot."""

    def add(self, event: DoorEvent) -> None:
        door, boot = event.door, event.boot
        self.merged[door] = newest(each for each in (self.merged.get(door), event) if each)
        self.heard[boot] = max(event.received_at, self.heard.get(boot, 0))
        place = door, boot
        self.by_boot[place] = newest(each for each in (self.by_boot.get(place), event) if each)

    @property
    def living_boot(self) -> int | None:
        """The boot that the broker heard last, if that is not the highest: it went back.

        By the very rule by which the projector tells it from store-and-forward.
        """
        if not self.heard:
            return None
        living, top = max(self.heard, key=lambda boot: self.heard[boot]), max(self.heard)
        gone_back = boot_regressed(
            boot=living,
            received_at=self.heard[living],
            held_boot=top,
            held_received_at=self.heard[top],
        )
        return living if gone_back else None

    def reset(self) -> dict[str, DoorEvent]:
        """Door → the merge of what came after the controller's lost past; empty without one."""
        living = self.living_boot
        if living is None:
            return {}
        lost_at = max(at for boot, at in self.heard.items() if boot > living)
        found: dict[str, DoorEvent] = {}
        for (door, boot), event in self.by_boot.items():
            if boot <= living and event.received_at > lost_at:
                found[door] = newest(each for each in (found.get(door), event) if each)
        return found


def record_of(events: Iterable[DoorEvent]) -> Record:
    record = Record()
    for event in events:
        record.add(event)
    return record


def compare(
    thing: Thing, tiles: Mapping[str, Mapping[str, Any]], record: Record, *, oldest_ms: int
) -> list[Door]:
    """Judge every door of a controller that has a tile or history.

    `tiles` are the stored items by door; what was received before `oldest_ms` may have expired.
    """
    reset = record.reset()
    doors = []
    for door in sorted(tiles.keys() | record.merged.keys()):
        held, living = tiles.get(door), reset.get(door)
        wanted = living or record.merged.get(door)
        finding = _finding(held, wanted, oldest_ms)
        if living is not None and held is not None and _boot(held) > living.boot:
            finding = Finding.REGRESSED
        doors.append(Door(thing, door, finding, held, wanted))
    return doors


def _boot(item: Mapping[str, Any]) -> int:
    return boot_of(items.read_version(item))


def _finding(held: Mapping[str, Any] | None, wanted: DoorEvent | None, oldest_ms: int) -> Finding:
    if held is None:
        return Finding.MISSING
    received_at = items.read_received_at(held)
    order = items.read_version(held), -received_at
    if wanted is None or order[0] > wanted.version:
        return Finding.EXPIRED if received_at < oldest_ms else Finding.AHEAD
    if order[0] == wanted.version and content(held) != content_of(wanted):
        return Finding.DIFFERENT
    # A redelivery rewrites its history item with a later stamp: a tile with an earlier one is fine.
    return Finding.BEHIND if order < tile_order(wanted) else Finding.SAME


def content(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a viewer shows of a tile's item; not when and by which way it came."""
    return {name: next(iter(item[name].values())) for name in COMPARED if name in item}


def content_of(event: DoorEvent) -> dict[str, Any]:
    """The same of the tile that the event would make."""
    return content(items.history_item(event, days=1))
