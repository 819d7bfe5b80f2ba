"""Frames per second of a page with a thousand doors, fifty of which change every second.

    python -m benchmarks.smooth
    python -m benchmarks.smooth --doors 1000 --rate 50 --duration 30

Starts a laptop stack, writes the building's tiles into its table, opens the page on them, and then
writes changes one by one: the stream and the fan-out carry them to the page as any other. There is
no fleet, broker or projector at work, which would take the processor from the browser; `painted`
measures all of it at once. First the page's frames are timed while nothing changes, for comparison.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import typer
from playwright.async_api import CDPSession, Page
from rich.console import Console
from rich.table import Table

from benchmarks.browser import chromium, sign_in
from benchmarks.existing_tiles import DOORS, locker, tile
from benchmarks.laptop import laptop
from benchmarks.painted import RECORD, Recorded
from local.dashboard import DIST, is_built
from local.info import StackInfo
from local.people import OPERATORS
from pipeline.contract import Thing
from pipeline.items import Item, building_item
from pipeline.store import BATCH_WRITE_ITEMS
from simulators.percentiles import Summary, summarize
from simulators.target import Target

BUILDING = "maple-court"
SETTLE_S = 5.0
"""After what makes the page busy once: signing in, the first snapshot, the one soon after."""


BUSY = "TaskDuration"
"""Chromium's name for the seconds that the main thread has worked."""


@dataclass(frozen=True)
class Smoothness:
    """Of one stretch of time.

    `frames`: milliseconds from each frame to the next. `busy_ms_per_frame`: of the page's main
    thread. `flips_per_s`: changes that were painted.
    """

    flips_per_s: float
    frames_per_s: float
    frames: Summary
    busy_ms_per_frame: float


def main(
    *,
    doors: Annotated[int, typer.Option(min=DOORS, help="Doors of the building.")] = 1_000,
    rate: Annotated[float, typer.Option(min=0.1, help="Tiles that change per second.")] = 50.0,
    duration: Annotated[float, typer.Option(min=5, help="Seconds of either stretch.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time the page's frames while nothing changes, and while tiles do."""
    if not is_built():
        raise SystemExit(f"no page in {DIST}: make dashboard")
    console = Console(stderr=True, highlight=False)
    with laptop("smooth", console.print) as running:
        still, busy = asyncio.run(_run(running.info, doors, rate, duration, console))
    if as_json:
        document = {"doors": doors, "still": _as_json(still), "changing": _as_json(busy)}
        print(json.dumps(document, indent=2))
    else:
        Console().print(_table(doors, still, busy))


async def _run(
    info: StackInfo, doors: int, rate: float, duration_s: float, console: Console
) -> tuple[Smoothness, Smoothness]:
    target = Target.from_info(info.model_dump(mode="json"))
    building = Building(target.client("dynamodb"), target.table, doors)
    await asyncio.to_thread(building.fill)
    operator = next(each for each in info.people if each.group == OPERATORS)
    async with chromium() as browser:
        page = await browser.new_page()
        await page.add_init_script(RECORD)
        await sign_in(page, f"{info.dashboard}#/buildings/{BUILDING}", operator)
        await asyncio.sleep(SETTLE_S)
        devtools = await page.context.new_cdp_session(page)
        console.print(f"{doors:,} doors, nothing changes for {duration_s:g} s")
        still = await _stretch(page, devtools, asyncio.sleep(duration_s))
        console.print(f"{doors:,} doors, {rate:g} change a second for {duration_s:g} s")
        busy = await _stretch(page, devtools, building.change(rate, duration_s))
    return still, busy


class Building:
    """A building's items in the table, and changes of its tiles."""

    def __init__(self, client: Any, table: str, doors: int) -> None:
        self._client = client
        self._table = table
        things = (Thing(BUILDING, f"l{n + 1:03d}") for n in range(-(-doors // DOORS)))
        places = ((thing, f"d{n + 1:02d}") for thing in things for n in range(DOORS))
        self._places = list(itertools.islice(places, doors))

    def fill(self) -> None:
        """Write every locker and every tile (blocking)."""
        items = self._items()
        while batch := list(itertools.islice(items, BATCH_WRITE_ITEMS)):
            requests = [{"PutRequest": {"Item": item}} for item in batch]
            while requests:
                answer = self._client.batch_write_item(RequestItems={self._table: requests})
                requests = answer.get("UnprocessedItems", {}).get(self._table, [])

    def _items(self) -> Iterator[Item]:
        yield building_item(BUILDING)
        for thing, places in itertools.groupby(self._places, lambda place: place[0]):
            yield locker(thing, _now_ms())
            for _, door in places:
                yield tile(thing, door, _now_ms())

    async def change(self, rate: float, duration_s: float) -> None:
        """Move door after door, so many a second, whatever the table's pace."""
        # A step that shares no divisor with the number of doors walks over all, and all over the
        # page.
        began = time.monotonic()
        async with asyncio.TaskGroup() as writing:
            for n in range(int(rate * duration_s)):
                await asyncio.sleep(began + n / rate - time.monotonic())
                turn, place = divmod(n, len(self._places))
                thing, door = self._places[place * _stride(len(self._places)) % len(self._places)]
                item = tile(thing, door, _now_ms(), seq=turn + 2)
                writing.create_task(
                    asyncio.to_thread(self._client.put_item, TableName=self._table, Item=item)
                )


def _stride(count: int) -> int:
    """About the golden section of the count, and coprime to it."""
    return next(n for n in range(int(count * 0.618), count + 2) if math.gcd(n, count) == 1)


async def _stretch(page: Page, devtools: CDPSession, happening: Any) -> Smoothness:
    await devtools.send("Performance.enable")
    began_ms, before = time.time() * 1000, await _busy_s(devtools)
    await happening
    ended_ms, after = time.time() * 1000, await _busy_s(devtools)
    recorded = Recorded(**await page.evaluate("recorded"))
    frames = [at for at in recorded.frames if began_ms <= at <= ended_ms]
    flips = sum(began_ms <= at <= ended_ms for _, at in recorded.marks)
    took_s = (ended_ms - began_ms) / 1000
    return Smoothness(
        flips_per_s=flips / took_s,
        frames_per_s=len(frames) / took_s,
        frames=summarize(after - at for at, after in pairwise(frames)),
        busy_ms_per_frame=1000 * (after - before) / max(1, len(frames)),
    )


async def _busy_s(devtools: CDPSession) -> float:
    """Seconds for which the page's main thread has worked, since it was opened."""
    answer = await devtools.send("Performance.getMetrics")
    return next(float(each["value"]) for each in answer["metrics"] if each["name"] == BUSY)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _as_json(found: Smoothness) -> dict[str, Any]:
    return {
        "flips_per_s": round(found.flips_per_s, 1),
        "frames_per_s": round(found.frames_per_s, 1),
        "frame_ms": found.frames.as_json(),
        "busy_ms_per_frame": round(found.busy_ms_per_frame, 2),
    }


def _table(doors: int, still: Smoothness, busy: Smoothness) -> Table:
    table = Table(title=f"a page of {doors:,} doors")
    for column in ("", "frames/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "busy ms a frame"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in (
        ("nothing changes", still),
        (f"{busy.flips_per_s:.0f} tiles/s change", busy),
    ):
        summary = found.frames
        figures = (summary.p50, summary.p95, summary.p99, summary.worst)
        table.add_row(
            name,
            f"{found.frames_per_s:.1f}",
            *("-" if each is None else f"{each:.0f}" for each in figures),
            f"{found.busy_ms_per_frame:.1f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
