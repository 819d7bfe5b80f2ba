"""Door to tile as a person sees it: from the door's clock to the painted tile in Chromium.

    python -m benchmarks.painted --events 500
    python -m benchmarks.painted --lockers 250 --rate 50       a thousand doors: is it smooth?

Starts a laptop stack and a fleet in one building, opens the dashboard there, and matches every door
event with the mark that the page sets once the tile is on the screen. A subscriber without a page
watches as well, so that what the browser adds stands beside it, and the page's frames are timed.
All clocks are this machine's.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.browser import chromium, sign_in
from benchmarks.laptop import laptop
from latency.journey import Shown, journeys
from local.dashboard import DIST, is_built
from local.info import StackInfo
from local.people import OPERATORS
from pipeline.contract import Kind, Thing
from simulators.fleet import FleetPlan
from simulators.ground_truth import GroundTruth, Outcome, TrueEvent, read_ground_truth
from simulators.observation import read_arrivals
from simulators.percentiles import Summary, summarize
from simulators.session import Files, Session
from simulators.target import Target
from simulators.viewer import epoch_ms

LEAD_IN = 1.3
"""More traffic than is asked for: the first seconds are warm-up, and rates are random."""
RECORD = """
window.recorded = { marks: [], frames: [] };
new PerformanceObserver((list) => {
  for (const mark of list.getEntries()) {
    if (!mark.name.startsWith('tile:')) continue;
    recorded.marks.push([mark.name, performance.timeOrigin + mark.startTime]);
  }
}).observe({ type: 'mark' });
requestAnimationFrame(function frame(at) {
  recorded.frames.push(performance.timeOrigin + at);
  requestAnimationFrame(frame);
});
"""
"""What the page's marks and frames were, all of them, as epoch milliseconds."""

Place = tuple[str, str]
"""Locker and door."""


@dataclass(frozen=True)
class Recorded:
    """What the page did, in epoch milliseconds: marks by name, and the start of every frame."""

    marks: list[tuple[str, float]]
    frames: list[float]


@dataclass(frozen=True)
class Painted:
    """Milliseconds. `unpainted` events never reached the screen, `superseded` only as a newer one.

    `subscriber` is the same events at a subscriber without a page, `frames` the time from each of
    the page's frames to the next while they came.
    """

    events: int
    unpainted: int
    superseded: int
    painted: Summary
    subscriber: Summary
    frames: Summary
    frames_per_s: float


def main(
    *,
    events: Annotated[int, typer.Option(min=20, help="Door events that are measured.")] = 500,
    rate: Annotated[float, typer.Option(min=0.1, help="Door events per second.")] = 10.0,
    lockers: Annotated[int, typer.Option(min=1, help="Lockers of the building.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure from the door's clock to the painted tile."""
    if not is_built():
        raise SystemExit(f"no page in {DIST}: make dashboard")
    plan = FleetPlan(
        lockers=lockers, buildings=1, rate=rate, duration_s=LEAD_IN * events / rate + 5.0
    )
    console = Console(stderr=True)
    with laptop("painted", console.print) as running:
        files = Files.beside(running.folder / "truth.jsonl", running.folder / "keys")
        recorded = asyncio.run(_run(running.info, plan, files, console))
        measured = measure(files, recorded, events)
    if as_json:
        print(json.dumps(_as_json(measured), indent=2))
    else:
        Console().print(_table(measured))


async def _run(info: StackInfo, plan: FleetPlan, files: Files, console: Console) -> Recorded:
    """Run the fleet in front of the page."""
    (building,) = plan.building_names
    operator = next(each for each in info.people if each.group == OPERATORS)
    session = Session(Target.from_info(info.model_dump(mode="json")), plan, files)
    async with chromium() as browser:
        page = await browser.new_page()
        await page.add_init_script(RECORD)
        await sign_in(page, f"{info.dashboard}#/buildings/{building}", operator)
        console.print(f"{plan.lockers} lockers, {plan.rate:g} events/s, {plan.duration_s:.0f} s")
        await session.run(asyncio.Event())
        return Recorded(**await page.evaluate("recorded"))


def measure(files: Files, recorded: Recorded, count: int) -> Painted:
    """Match the last `count` events, with what the page marked and with what was pushed."""
    truth = read_ground_truth(files.truth)
    events = sorted(_door_events(truth), key=lambda event: epoch_ms(event.at))[-count:]
    began, ended = epoch_ms(events[0].at), epoch_ms(events[-1].at)
    seen = journeys(truth, read_arrivals(files.seen), since_ms=began)
    by_place: defaultdict[Place, list[tuple[int, float]]] = defaultdict(list)
    for name, painted_ms in recorded.marks:
        door, _, version = name.removeprefix("tile:").rpartition(":")
        locker, _, door_id = door.partition("/")
        by_place[locker, door_id].append((int(version), painted_ms))
    took: list[float] = []
    superseded = 0
    for event in events:
        # The first paint of this version or a newer one: then the door's news was on the screen.
        shown = [each for each in by_place[_place(event)] if each[0] >= event.version]
        if shown:
            painted_version, painted_ms = min(shown, key=lambda each: each[1])
            superseded += painted_version != event.version
            took.append(painted_ms - epoch_ms(event.at))
    frames = [at for at in recorded.frames if began <= at <= ended]
    pushed = (each.took_ms for each in seen if each.shown is not Shown.LOST)
    return Painted(
        events=len(events),
        unpainted=len(events) - len(took),
        superseded=superseded,
        painted=summarize(took),
        subscriber=summarize(each for each in pushed if each is not None),
        frames=summarize(after - at for at, after in pairwise(frames)),
        frames_per_s=1000 * len(frames) / (ended - began),
    )


def _door_events(truth: GroundTruth) -> Iterator[TrueEvent]:
    """What a door did and the broker acknowledged; reports after connecting move no door."""
    for event in truth.events.values():
        if event.outcome is Outcome.ACKNOWLEDGED and event.kind is not Kind.REPORTED:
            yield event


def _place(event: TrueEvent) -> Place:
    thing: Thing = event.thing
    return thing.locker, event.door


def _as_json(measured: Painted) -> dict[str, Any]:
    return {
        "events": measured.events,
        "unpainted": measured.unpainted,
        "superseded": measured.superseded,
        "door_to_painted_ms": measured.painted.as_json(),
        "door_to_subscriber_ms": measured.subscriber.as_json(),
        "frame_ms": measured.frames.as_json(),
        "frames_per_s": round(measured.frames_per_s, 1),
    }


def _table(measured: Painted) -> Table:
    table = Table(
        title=f"{measured.events} door events, {measured.unpainted} not painted, "
        f"{measured.superseded} painted as a newer one of their door"
    )
    for column in ("", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(column, justify="right" if column else "left")
    rows = {
        "door to painted tile": measured.painted,
        "door to subscriber": measured.subscriber,
        f"a frame ({measured.frames_per_s:.0f}/s)": measured.frames,
    }
    for name, summary in rows.items():
        figures = (summary.p50, summary.p95, summary.p99, summary.worst)
        table.add_row(name, *("-" if each is None else f"{each:.0f}" for each in figures))
    return table


if __name__ == "__main__":
    typer.run(main)
