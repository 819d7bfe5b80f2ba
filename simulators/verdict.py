"""Holds what the pipeline has against what the fleet did. Pure: three views in, one verdict out.

    lost    acknowledged by the broker, but not there (or a door that shows an older event)
    wrong   there, but with other content than the device sent
    extra   there, but no device of the run sent it, or the broker had refused it

The same words hold for the quarantine: what a device spoiled on purpose must be parked there, for
the reason it was spoiled for, and nothing else of the run may be.

Unacknowledged events, and dropped ones that had been published, may be there or not.
Only boots of the run are looked at, so what earlier runs left in the same table does not count.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.contract import COUNTER_LIMIT, Kind, Thing, TileStatus, format_version
from simulators.ground_truth import GroundTruth, Outcome, TrueEvent

Place = tuple[Thing, str]
CLOCKS_MS = 2_000
"""That two clocks may be apart."""


class View(StrEnum):
    TABLE = "table"
    HISTORY = "history"
    SUBSCRIPTION = "subscription"
    QUARANTINE = "quarantine"


class Finding(StrEnum):
    LOST = "lost"
    WRONG = "wrong"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Stored:
    """One event as the pipeline has it: a tile, a row of history, a tile on a dashboard."""

    thing: Thing
    door: str
    version: int
    kind: Kind
    status: TileStatus
    open: bool
    occupied: bool
    fault: str | None
    at: str

    @property
    def place(self) -> Place:
        return self.thing, self.door


@dataclass(frozen=True, slots=True)
class Parked:
    """A message in quarantine: the levels of its topic, the bytes published, and why."""

    thing: Thing
    door: str
    reason: str
    payload: bytes
    received_at: int
    """The rule's clock, epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`version` is None of what never was an event."""

    view: View
    finding: Finding
    thing: Thing
    door: str
    version: int | None
    detail: str

    def __str__(self) -> str:
        return f"{self.finding} in {self.view}: {self.thing}/{self.door} {self.detail}"

    def as_json(self) -> dict[str, Any]:
        return {
            "view": self.view.value,
            "finding": self.finding.value,
            "thing": str(self.thing),
            "door": self.door,
            "version": None if self.version is None else format_version(self.version),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """`checked` counts what was held against the truth, by view."""

    events: int
    acknowledged: int
    unacknowledged: int
    refused: int
    dropped: int
    checked: Mapping[View, int]
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return not self.differences

    def count(self, finding: Finding, view: View | None = None) -> int:
        return sum(
            each.finding is finding and view in (None, each.view) for each in self.differences
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "events": self.events,
            "acknowledged": self.acknowledged,
            "unacknowledged": self.unacknowledged,
            "refused": self.refused,
            "dropped": self.dropped,
            "views": {
                view.value: {
                    "checked": checked,
                    **{finding.value: self.count(finding, view) for finding in Finding},
                }
                for view, checked in self.checked.items()
            },
            "differences": [each.as_json() for each in self.differences],
        }


def judge(
    truth: GroundTruth,
    *,
    tiles: Iterable[Stored],
    history: Iterable[Stored],
    seen: Iterable[Stored] | None,
    parked: Iterable[Parked] | None = None,
    unwatched: Collection[Place] = (),
) -> Verdict:
    """Compare; a view that is None was not looked at and is left out of the verdict.

    At the doors that are `unwatched` nothing is asked of the subscription.
    """
    rows = list(history)
    scope = _Scope(truth)
    differences = [*_judge_history(scope, rows)]
    expected = scope.expected_tiles(rows)
    in_table = {each.place: each for each in tiles}
    differences += _judge_tiles(scope, View.TABLE, expected, in_table)
    checked = {View.HISTORY: scope.acknowledged, View.TABLE: len(expected)}
    if seen is not None:
        shown = {each.place: each for each in seen if each.place not in unwatched}
        watched = {place: each for place, each in expected.items() if place not in unwatched}
        differences += _judge_tiles(scope, View.SUBSCRIPTION, watched, shown)
        checked[View.SUBSCRIPTION] = len(watched)
    if parked is not None:
        differences += _judge_quarantine(truth, list(parked))
        checked[View.QUARANTINE] = sum(each.acknowledged is True for each in truth.malformed)
    outcomes = Counter(event.outcome for event in truth.events.values())
    return Verdict(
        events=len(truth.events),
        acknowledged=outcomes[Outcome.ACKNOWLEDGED],
        unacknowledged=outcomes[None],
        refused=outcomes[Outcome.REFUSED],
        dropped=outcomes[Outcome.DROPPED],
        checked=checked,
        differences=tuple(differences),
    )


class _Scope:
    """The run's events, and which versions belong to the run at all."""

    def __init__(self, truth: GroundTruth) -> None:
        self.events = truth.events
        self._boots = {(thing, version // COUNTER_LIMIT) for thing, version in truth.events}
        self._last_boot: dict[Thing, int] = {}
        for thing, boot in self._boots:
            self._last_boot[thing] = max(boot, self._last_boot.get(thing, 0))
        self._started_s = truth.run.started_at_ms // 1000
        self.acknowledged = truth.count(Outcome.ACKNOWLEDGED)

    def covers(self, stored: Stored) -> bool:
        """Whether this can only come from the run.

        A thing that the run does not have counts if it booted while the run was on: boot counters
        are clock seconds or later, so what an earlier run left behind is older.
        """
        boot = stored.version // COUNTER_LIMIT
        if stored.thing in self._last_boot:
            return (stored.thing, boot) in self._boots
        return boot >= self._started_s

    def is_newer(self, stored: Stored) -> bool:
        """Tell whether another run, with a later boot, went over the door since."""
        return stored.version // COUNTER_LIMIT > self._last_boot[stored.thing]

    def sent(self, stored: Stored) -> TrueEvent | None:
        """Return the event behind it, unless it cannot have reached the table."""
        event = self.events.get((stored.thing, stored.version))
        if event is None or event.outcome is Outcome.REFUSED:
            return None
        if event.outcome is Outcome.DROPPED and event.attempts == 0:
            return None
        return event

    def expected_tiles(self, rows: Iterable[Stored]) -> dict[Place, TrueEvent]:
        """Per door, the highest event that was acknowledged or is known to have arrived."""
        certain = [e for e in self.events.values() if e.outcome is Outcome.ACKNOWLEDGED]
        arrived = [event for event in map(self.sent, rows) if event is not None]
        expected: dict[Place, TrueEvent] = {}
        for event in (*certain, *arrived):
            place = (event.thing, event.door)
            known = expected.get(place)
            if known is None or known.version < event.version:
                expected[place] = event
        return expected


def _judge_history(scope: _Scope, rows: Iterable[Stored]) -> Iterable[Difference]:
    there = set()
    for row in rows:
        there.add((row.thing, row.version))
        if not scope.covers(row):
            continue
        event = scope.sent(row)
        if event is None:
            yield _extra(View.HISTORY, row)
        elif fault := mismatch(event, row):
            yield _difference(View.HISTORY, Finding.WRONG, event, fault)
    for key, event in scope.events.items():
        if event.outcome is Outcome.ACKNOWLEDGED and key not in there:
            yield _difference(View.HISTORY, Finding.LOST, event, "acknowledged, but has no row")


def _judge_tiles(
    scope: _Scope,
    view: View,
    expected: Mapping[Place, TrueEvent],
    tiles: Mapping[Place, Stored],
) -> Iterable[Difference]:
    for place, event in expected.items():
        tile = tiles.get(place)
        if tile is None:
            yield _difference(view, Finding.LOST, event, "no tile")
        elif scope.is_newer(tile):
            continue
        elif tile.version < event.version:
            detail = f"shows version {tile.version}, sent was {event.version}"
            yield _difference(view, Finding.LOST, event, detail)
        elif tile.version == event.version and (fault := mismatch(event, tile)):
            yield _difference(view, Finding.WRONG, event, fault)
    for tile in tiles.values():
        if not scope.covers(tile):
            continue
        known = scope.sent(tile)
        if known is None:
            yield _extra(view, tile)
            continue
        due = expected.get(tile.place)
        ahead = due is None or known.version > due.version
        if ahead and (fault := mismatch(known, tile)):
            yield _difference(view, Finding.WRONG, known, fault)


def _judge_quarantine(truth: GroundTruth, parked: Iterable[Parked]) -> Iterable[Difference]:
    """At least once is enough: a message that is parked twice was delivered twice."""
    reasons: dict[tuple[Thing, bytes], set[str]] = {}
    for message in parked:
        reasons.setdefault((message.thing, message.payload), set()).add(message.reason)
    for sent in truth.malformed:
        found = reasons.get((sent.thing, sent.payload), set())
        if not found and sent.acknowledged:
            detail = f"acknowledged, but not parked as {sent.reason}"
            yield _unparked(Finding.LOST, sent.thing, sent.door, detail)
        elif found - {sent.reason.value}:
            detail = f"parked as {', '.join(sorted(found))}, not {sent.reason}"
            yield _unparked(Finding.WRONG, sent.thing, sent.door, detail)
    spoiled = {(sent.thing, sent.payload) for sent in truth.malformed}
    things = truth.things
    for message in parked:
        of_run = message.thing in things and _within(truth, message.received_at)
        if of_run and (message.thing, message.payload) not in spoiled:
            detail = f"parked as {message.reason}, but nobody spoiled it: {message.payload[:60]!r}"
            yield _unparked(Finding.EXTRA, message.thing, message.door, detail)


def _within(truth: GroundTruth, at_ms: int) -> bool:
    """Tell whether it was received during the run; the rule's clock may differ from ours."""
    ended = math.inf if truth.ended_at_ms is None else truth.ended_at_ms
    return truth.run.started_at_ms - CLOCKS_MS <= at_ms <= ended + CLOCKS_MS


def _unparked(finding: Finding, thing: Thing, door: str, detail: str) -> Difference:
    return Difference(View.QUARANTINE, finding, thing, door, None, detail)


def mismatch(event: TrueEvent, stored: Stored) -> str | None:
    """Name the fields that differ, as "open: sent True, has False"; None if all agree."""
    names = ("door", "kind", "status", "open", "occupied", "fault", "at")
    faults = [
        f"{name}: sent {getattr(event, name)!s}, has {getattr(stored, name)!s}"
        for name in names
        if getattr(event, name) != getattr(stored, name)
    ]
    return "; ".join(faults) or None


def _difference(view: View, finding: Finding, event: TrueEvent, detail: str) -> Difference:
    return Difference(view, finding, event.thing, event.door, event.version, detail)


def _extra(view: View, stored: Stored) -> Difference:
    detail = f"has version {stored.version} ({stored.kind}), which nobody sent"
    return Difference(view, Finding.EXTRA, stored.thing, stored.door, stored.version, detail)
