"""Door to tile over a large table, against the same load over a small one.

    python -m benchmarks.table_size
    python -m benchmarks.table_size --large 5000 --duration 10 --repetitions 1

Starts a laptop stack and puts the same load on it, in turn with few and with many tiles of other
buildings in its table. They are written as the projector would have left them, lockers and
buildings included, and taken out again for the next turn; the fan-out publishes all of it, and has
caught up before anything is measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any

import typer
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

from benchmarks.existing_tiles import ExistingTiles
from benchmarks.laptop import Laptop, laptop
from latency.measurement import Measurement, measure_files
from local.errors import NotReadyError
from local.readiness import Access, wait_until_ready
from simulators.plan import FleetPlan
from simulators.session import Files, Session
from simulators.target import Target

CATCH_UP_S = 900.0
BAR = 1.1
"""Ratio of the medians of p95, large over small."""


@dataclass(frozen=True)
class Turn:
    """The same load over so many existing tiles."""

    tiles: int
    measurement: Measurement


def main(
    *,
    small: Annotated[int, typer.Option(min=1, help="Existing tiles of the small table.")] = 1_000,
    large: Annotated[int, typer.Option(min=1, help="Of the large one.")] = 100_000,
    rate: Annotated[float, typer.Option(min=0.1, help="Door events per second.")] = 50.0,
    lockers: Annotated[int, typer.Option(min=1, help="Lockers that make them.")] = 200,
    duration: Annotated[float, typer.Option(min=1, help="Seconds measured in each turn.")] = 30.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before, not measured.")] = 10.0,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns over either table.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure door to tile over a small and a large table in turn."""
    if small >= large:
        raise typer.BadParameter(f"--small {small} must be below --large {large}")
    console = Console(stderr=True, highlight=False)
    plan = FleetPlan(
        lockers=lockers, buildings=min(lockers, 10), rate=rate, duration_s=warm_up + duration
    )
    with laptop("table-size", console.print) as running:
        bench = Bench(running, plan, warm_up, console)
        turns = [bench.turn(tiles) for tiles in order(small, large, repetitions)]
    if as_json:
        print(json.dumps(as_document(turns), indent=2))
    else:
        Console().print(_table(turns))
    if any(turn.measurement.lost for turn in turns):
        raise typer.Exit(1)


def order(small: int, large: int, repetitions: int) -> list[int]:
    """Small, large, large, small, …: what drifts with time does so for both."""
    pairs = [(small, large) if n % 2 == 0 else (large, small) for n in range(repetitions)]
    return [tiles for pair in pairs for tiles in pair]


class Bench:
    """One stack, and the turns on it."""

    def __init__(
        self, running: Laptop, plan: FleetPlan, warm_up_s: float, console: Console
    ) -> None:
        self._info = running.info
        self._plan = plan
        self._target = Target.from_info(running.info.model_dump(mode="json"))
        self._files = Files.beside(running.folder / "truth.jsonl", running.folder / "keys")
        self._warm_up_s = warm_up_s
        self._say = console.print
        self._existing = ExistingTiles(
            self._target.client("dynamodb"), self._target.table, console.print
        )

    def turn(self, tiles: int) -> Turn:
        """Measure over so many existing tiles (blocking)."""
        self._say(f"{tiles:,} existing tiles")
        self._existing.become(tiles)
        asyncio.run(self._caught_up())
        session = Session(self._target, self._plan, self._files)
        asyncio.run(session.run(asyncio.Event()))
        found = measure_files(self._files.truth, self._files.seen, warm_up_s=self._warm_up_s)
        self._say(f"  door to tile {found.latency}, {found.events} events, {found.lost} lost")
        return Turn(tiles, found)

    async def _caught_up(self) -> None:
        """Wait until an event gets through: it is behind all that was written before it.

        Raises
        ------
        NotReadyError
            It does not, for a quarter of an hour.
        """
        assert self._info.access_key_id is not None
        assert self._info.secret_access_key is not None
        keys = Credentials(self._info.access_key_id, self._info.secret_access_key)
        access = Access(self._target.client, keys)
        give_up_at = time.monotonic() + CATCH_UP_S
        while True:
            try:
                await wait_until_ready(access, self._info, self._target.door_rule)
            except NotReadyError:
                if time.monotonic() > give_up_at:
                    raise
                self._say("  the fan-out is still publishing what was written")
            else:
                return


def ratios(turns: Sequence[Turn], percentile: str) -> list[float]:
    """Large over small, pair by pair."""
    found = []
    for pair in zip(turns[::2], turns[1::2], strict=True):
        few, many = sorted(pair, key=lambda turn: turn.tiles)
        values = [getattr(turn.measurement.latency, percentile) for turn in (few, many)]
        if None not in values:
            found.append(values[1] / values[0])
    return found


def as_document(turns: Sequence[Turn]) -> Mapping[str, Any]:
    return {
        "turns": [
            {
                "existing_tiles": turn.tiles,
                "events": turn.measurement.events,
                "lost": turn.measurement.lost,
                "door_to_tile_ms": turn.measurement.latency.as_json(),
            }
            for turn in turns
        ],
        "large_over_small": {name: ratios(turns, name) for name in ("p50", "p95")},
        "p95_ratio": median(ratios(turns, "p95")) if ratios(turns, "p95") else None,
        "bar": BAR,
    }


def _table(turns: Sequence[Turn]) -> Table:
    p95 = ratios(turns, "p95")
    verdict = "nothing to compare"
    if p95:
        verdict = (
            f"large over small, p95: {median(p95):.2f} ({min(p95):.2f}–{max(p95):.2f}), "
            f"p50: {median(ratios(turns, 'p50')):.2f}; bar ≤ {BAR}"
        )
    table = Table(title=verdict)
    for column in ("existing tiles", "events", "lost", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for turn in turns:
        found = turn.measurement
        figures = (found.latency.p50, found.latency.p95, found.latency.p99)
        table.add_row(
            f"{turn.tiles:,}",
            str(found.events),
            str(found.lost),
            *("-" if each is None else f"{each:.0f}" for each in figures),
        )
    return table


if __name__ == "__main__":
    typer.run(main)
