"""A running fleet as a person sees it: tiles by building, and the figures above them.

A colour and a letter for each status, so that it reads without colours as well.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.contract import Thing, TileStatus
from scripts.sparkline import sparkline
from simulators.session import Session

GLYPHS: Mapping[str, tuple[str, str]] = {
    TileStatus.VACANT: ("·", "dim green"),
    TileStatus.OCCUPIED: ("P", "cyan"),
    TileStatus.OPEN: ("O", "bold black on yellow"),
    TileStatus.FORCED: ("!", "bold white on red"),
    TileStatus.FAULT: ("F", "bold white on magenta"),
    "offline": ("-", "dim"),
    "unknown": ("?", "dim"),
}
LEGEND: Sequence[tuple[str, str]] = (
    (TileStatus.VACANT, "vacant"),
    (TileStatus.OCCUPIED, "parcel"),
    (TileStatus.OPEN, "open"),
    (TileStatus.FORCED, "forced"),
    (TileStatus.FAULT, "fault"),
    ("offline", "offline"),
    ("unknown", "not seen yet"),
)
RATE_WINDOW_S = 4.0
SPARKLINE_COLUMNS = 72
DOORS_DRAWN = 1_000
"""More than fit on a screen one by one: then they are counted by building."""
BUILDINGS_DRAWN = 20
LATEST = 2_000
"""Samples that the figures on the screen are ranked over; the summary ranks all."""


@dataclass(slots=True)
class RateMeter:
    """Events per second over the last few seconds of a growing count."""

    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def read(self, count: int) -> float:
        now = time.monotonic()
        self._points.append((now, count))
        while now - self._points[0][0] > RATE_WINDOW_S:
            self._points.popleft()
        first_at, first = self._points[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0


class LiveView:
    """Draws a session; `dead_letters` (depth by queue) is set by whoever knows them."""

    def __init__(self, session: Session, hints: Sequence[str] = ()) -> None:
        self.dead_letters: Mapping[str, int] = {}
        self._session = session
        self._hints = hints
        self._meter = RateMeter()

    @property
    def phase(self) -> str:
        return self._session.phase

    def line(self) -> str:
        """All of it in one line, for logs and pipes."""
        fleet, viewer = self._session.fleet, self._session.viewer
        if fleet is None or viewer is None:
            return self.phase
        counters = fleet.counters
        rate = self._meter.read(counters.sent)
        latency = viewer.counters.door_to_tile_ms.summary(LATEST)
        parked = sum(self.dead_letters.values())
        faults = fleet.faults.total()
        return (
            f"{self.phase}: {counters.connected}/{self._session.plan.lockers} connected, "
            f"{rate:.0f} events/s{self._due()}, {counters.acknowledged}/{counters.sent} "
            f"acknowledged, {fleet.buffered} buffered, {f'{faults} faults, ' if faults else ''}"
            f"door to tile {latency}, {parked} dead letters"
        )

    def _due(self) -> str:
        """What the profile asks for at this moment."""
        fleet = self._session.fleet
        elapsed_s = fleet.elapsed_s if fleet else None
        return f" of {self._session.plan.rate_at(elapsed_s):.0f}" if elapsed_s is not None else ""

    def __rich__(self) -> RenderableType:
        return Group(*self._figures(), Text(), *self._buildings(), Text(), *self._footer())

    def _figures(self) -> list[Text]:
        fleet, viewer = self._session.fleet, self._session.viewer
        lines = [Text(f"latchline · {self.phase}", style="bold")]
        if fleet is None or viewer is None:
            return lines
        counters = fleet.counters
        lines.append(
            Text(
                f"{counters.connected}/{self._session.plan.lockers} lockers connected   "
                f"{self._meter.read(counters.sent):5.1f}{self._due()} events/s   "
                f"{counters.acknowledged} of {counters.sent} acknowledged   "
                f"{fleet.buffered} buffered   broker {counters.ack_ms.summary(LATEST)}"
            )
        )
        lines += self._day(fleet.elapsed_s or 0.0)
        if fleet.faults:
            told = "  ".join(f"{fault} {n}" for fault, n in sorted(fleet.faults.items()))
            lines.append(Text(f"faults        {told}"))
        latency = viewer.counters.door_to_tile_ms.summary(LATEST)
        lines.append(
            Text.assemble("door to tile  ", (str(latency), "bold"), f"   {latency.count} flips")
        )
        return lines

    def _day(self, elapsed_s: float) -> list[Text]:
        """The profile of the whole run; what is past is bright. None of one without an end."""
        plan = self._session.plan
        if math.isinf(plan.duration_s):
            return []
        curve = sparkline(plan.curve.peaks(plan.duration_s, SPARKLINE_COLUMNS))
        past = min(SPARKLINE_COLUMNS, int(SPARKLINE_COLUMNS * elapsed_s / plan.wall_s))
        return [Text.assemble("profile       ", (curve[:past], "bold cyan"), (curve[past:], "dim"))]

    def _buildings(self) -> list[Text]:
        plan = self._session.plan
        if len(plan.places) > DOORS_DRAWN:
            return self._counts()
        lines = {name: Text(f"{name:18}", overflow="fold") for name in plan.building_names}
        for thing in plan.things:
            line = lines[thing.building]
            for status in self._statuses(thing):
                letter, style = GLYPHS[status]
                line.append(letter, style)
            line.append(" ")
        return list(lines.values())

    def _counts(self) -> list[Text]:
        """Doors by status: a line for each of the first buildings, and one for the others."""
        names = self._session.plan.building_names
        counts: dict[str, Counter[str]] = {name: Counter() for name in names[:BUILDINGS_DRAWN]}
        others: Counter[str] = Counter()
        for thing in self._session.plan.things:
            counts.get(thing.building, others).update(self._statuses(thing))
        if others:
            counts[f"{len(names) - BUILDINGS_DRAWN} more"] = others
        return [self._count_line(name, count) for name, count in counts.items()]

    @staticmethod
    def _count_line(name: str, count: Mapping[str, int]) -> Text:
        line = Text(f"{name:18}", no_wrap=True)
        for status, (letter, style) in GLYPHS.items():
            line.append(letter, style if count.get(status) else "dim")
            line.append(f"{count.get(status, 0):6}  ", "" if count.get(status) else "dim")
        return line

    def _statuses(self, thing: Thing) -> Iterator[str]:
        """What the dashboard shows of each door."""
        viewer = self._session.viewer
        online = viewer is None or viewer.picture.is_online(thing)
        for door in self._session.plan.door_names:
            tile = viewer.picture.tiles.get((thing, door)) if viewer else None
            yield "unknown" if tile is None else tile.status if online else "offline"

    def _footer(self) -> list[Text]:
        legend = Text()
        for status, word in LEGEND:
            letter, style = GLYPHS[status]
            legend.append(letter, style)
            legend.append(f" {word}  ", "dim")
        parked = Text("dead letters: ")
        for queue, depth in self.dead_letters.items():
            parked.append(f"{queue} {depth}  ", "bold red" if depth else "dim")
        return [legend, parked, *(Text(hint, "dim") for hint in self._hints)]
