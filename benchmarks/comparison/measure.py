"""Runs the comparison: repetition by repetition, quantity by quantity, both designs in turn."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.comparison.artifact import deployed_bytes, source_bytes
from benchmarks.comparison.cold_start import ROOT, cold_start
from benchmarks.comparison.designs import DESIGNS, OURS, TEXTBOOK, Design, Function
from benchmarks.comparison.emulator import Emulator, stream_events
from benchmarks.comparison.errors import ComparisonError
from benchmarks.comparison.events import SQS_BATCH, Message, Traffic, doors, sqs_events
from benchmarks.comparison.figures import Pair, Quantity
from benchmarks.comparison.wire import Usage
from infra.errors import LayerError
from models.design import STREAM_BATCH

DUPLICATES = 0.015
"""Share of events that come twice: of a bad day, for at-least-once queues promise nothing."""
CPU_SLICES = 5
ZIP_BAR_MB = 20
LINE_BYTES = 2**26
MICRO, MILLI, MEGA = 1e6, 1e3, 1e6

Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    events: int = 300
    """Of the backlog, in each repetition."""
    repetitions: int = 5
    warm_ups: int = 1
    """Repetitions before, of which nothing is kept: caches fill in them."""
    changed: int = STREAM_BATCH
    """Tiles whose pushes are counted."""
    counted: int = 200
    """Events of mixed traffic whose requests are counted; a multiple of a batch."""
    cpu_batches: int = 20
    """In each slice of CPU without a network."""


@dataclass
class Figures:
    """Pairs by quantity, and usage whose write units are known at the end only."""

    pairs: defaultdict[Quantity, list[Pair]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    _writes: list[tuple[Quantity, int, Mapping[str, Usage]]] = field(default_factory=list)

    def add(self, quantity: Quantity, values: Mapping[str, float]) -> None:
        self.pairs[quantity].append((values[OURS.name], values[TEXTBOOK.name]))

    def add_writes(self, quantity: Quantity, events: int, usage: Mapping[str, Usage]) -> None:
        self._writes.append((quantity, events, usage))

    def weigh(self, units: Mapping[tuple[str, str], int]) -> None:
        """Turn writes into write units, by what each item takes."""
        for quantity, events, usage in self._writes:
            taken = {
                name: sum(count * units[item] for item, count in used.writes.items()) / events
                for name, used in usage.items()
            }
            self.add(quantity, taken)
        self._writes.clear()


class Worker:
    """A design in its own process."""

    def __init__(self, design: Design, process: asyncio.subprocess.Process) -> None:
        self.design = design
        self._process = process

    async def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Return its answer; raise ComparisonError if it ended, or left records unfinished."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise ComparisonError(f"{self.design.name} ended: see its message above")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("failed"):
            raise ComparisonError(
                f"{self.design.name}: {answer['failed']} records were to come again; figures of "
                "failed work compare nothing"
            )
        return answer


@asynccontextmanager
async def worker(design: Design, environment: Mapping[str, str]) -> AsyncIterator[Worker]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.comparison.worker", design.name),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    try:
        yield Worker(design, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class Runner:
    """Compares on one emulator."""

    def __init__(
        self,
        emulator: Emulator,
        workers: Sequence[Worker],
        scale: Scale,
        on_progress: Callable[[str], None],
    ) -> None:
        self._emulator = emulator
        self._workers = list(workers)
        self._scale = scale
        self._on_progress = on_progress
        self._traffic = Traffic(seed=1)
        self.figures = Figures()

    async def run(self) -> Figures:
        kept, scale = self.figures, self._scale
        for repetition in range(1 - scale.warm_ups, scale.repetitions + 1):
            warm_up = repetition < 1
            told = f"repetition {repetition} of {scale.repetitions}"
            self._on_progress("warm-up" if warm_up else told)
            self.figures = Figures() if warm_up else kept
            await self._requests()
            await self._appsync_requests()
            await self._cpu()
            await self._backlog()
            await self._cold_starts()
            # Neither of them always goes first.
            self._workers.reverse()
        self.figures.weigh(await asyncio.to_thread(self._emulator.item_units))
        return self.figures

    async def _requests(self) -> None:
        ten, two = (self._traffic.over(doors(n), SQS_BATCH) for n in (10, 2))
        mixed = self._traffic.mixed(self._scale.counted, duplicates=DUPLICATES)
        await self._counted(ten, Quantity.REQUESTS_10_DOORS, Quantity.WRITE_UNITS_10_DOORS)
        await self._counted(two, Quantity.REQUESTS_2_DOORS, Quantity.WRITE_UNITS_2_DOORS)
        usage = await self._counted(mixed, Quantity.REQUESTS_MIXED, Quantity.WRITE_UNITS_MIXED)
        count = len(mixed)
        self._add(Quantity.READS_MIXED, {name: used.reads / count for name, used in usage.items()})

    async def _counted(
        self, messages: Sequence[Message], requests: Quantity, writes: Quantity
    ) -> dict[str, Usage]:
        """Count the requests and writes of the projectors."""
        port = urlsplit(self._emulator.endpoint.url).port or 0
        events, count = list(sqs_events(messages)), len(messages)
        usage = {
            each.design.name: await self._count(each, Function.PROJECTOR, events)
            for each in self._workers
        }
        self._add(requests, {name: used.requests[port] / count for name, used in usage.items()})
        self.figures.add_writes(writes, count, usage)
        return usage

    async def _appsync_requests(self) -> None:
        """Doors change once each; their records make one batch."""
        count = self._scale.changed
        changed = await self._project(self._traffic.over(doors(count), count))
        port = urlsplit(self._emulator.graphql_url).port or 0
        taken = {}
        for each in self._workers:
            events = changed[each.design.name]
            usage = await self._count(each, Function.FANOUT, events)
            tiles = sum(len(event["Records"]) for event in events)
            taken[each.design.name] = usage.requests[port] / tiles
        self._add(Quantity.APPSYNC_REQUESTS, taken)

    async def _cpu(self) -> None:
        """The least of several slices: whatever else the processor does can only add to it."""
        (event,) = sqs_events(self._traffic.over(doors(10), SQS_BATCH))
        events = [event] * self._scale.cpu_batches
        count = SQS_BATCH * len(events)
        least: dict[Quantity, dict[str, float]] = {Quantity.OWN_CPU: {}, Quantity.SDK_CPU: {}}
        for _ in range(CPU_SLICES):
            own = await self._ask("own_code", events=events)
            sdk = await self._ask(
                "handle", function=Function.PROJECTOR, events=events, offline=True
            )
            for values, answers in zip(least.values(), (own, sdk), strict=True):
                for name, got in answers.items():
                    values[name] = min(values.get(name, math.inf), MICRO * got["cpu_s"] / count)
        for quantity, values in least.items():
            self._add(quantity, values)

    async def _backlog(self) -> None:
        """Everything through the projector, then what changed through the fan-out."""
        messages = self._traffic.mixed(self._scale.events, duplicates=DUPLICATES)
        events, count = list(sqs_events(messages)), len(messages)
        await self._drain()
        projected = await self._ask("handle", function=Function.PROJECTOR, events=events)
        pushed, records = {}, {}
        for each in self._workers:
            batches = stream_events(await self._emulator.changes(each.design))
            records[each.design.name] = sum(len(batch["Records"]) for batch in batches)
            pushed[each.design.name] = await each.ask(
                "handle", function=Function.FANOUT, events=batches
            )
        wall = {name: got["wall_s"] for name, got in projected.items()}
        self._add(Quantity.PROJECTOR_RATE, {name: count / wall[name] for name in wall})
        self._add(
            Quantity.RATE, {name: count / (wall[name] + pushed[name]["wall_s"]) for name in wall}
        )
        self._add(
            Quantity.PROJECTOR_CPU,
            {name: MICRO * got["cpu_s"] / count for name, got in projected.items()},
        )
        self._add(
            Quantity.FANOUT_CPU,
            {name: MICRO * got["cpu_s"] / records[name] for name, got in pushed.items()},
        )

    async def _cold_starts(self) -> None:
        for function, wall, cpu in (
            (Function.PROJECTOR, Quantity.COLD_PROJECTOR, Quantity.COLD_PROJECTOR_CPU),
            (Function.FANOUT, Quantity.COLD_FANOUT, Quantity.COLD_FANOUT_CPU),
        ):
            starts = {
                each.design.name: await asyncio.to_thread(cold_start, each.design, function)
                for each in self._workers
            }
            self._add(wall, {name: start.wall_ms for name, start in starts.items()})
            self._add(cpu, {name: start.cpu_ms for name, start in starts.items()})

    async def _project(self, messages: Sequence[Message]) -> dict[str, list[dict[str, Any]]]:
        """Through both projectors; return the batches that their streams then hold."""
        await self._drain()
        await self._ask("handle", function=Function.PROJECTOR, events=list(sqs_events(messages)))
        return {
            each.design.name: stream_events(await self._emulator.changes(each.design))
            for each in self._workers
        }

    async def _drain(self) -> None:
        for each in self._workers:
            await self._emulator.changes(each.design)

    async def _count(
        self, asked: Worker, function: Function, events: Sequence[dict[str, Any]]
    ) -> Usage:
        answer = await asked.ask("handle", function=function, events=events, count=True)
        return Usage.from_json(answer["usage"])

    async def _ask(self, do: str, **arguments: object) -> dict[str, Answers]:
        return {each.design.name: await each.ask(do, **arguments) for each in self._workers}

    def _add(self, quantity: Quantity, values: Mapping[str, float]) -> None:
        self.figures.add(quantity, values)


async def compare(emulator: Emulator, scale: Scale, on_progress: Callable[[str], None]) -> Figures:
    """Measure everything on this emulator.

    Raises
    ------
    ComparisonError
        A design failed, or the two did not leave the same tiles behind.
    """
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(worker(design, emulator.environment(design)))
            for design in DESIGNS
        ]
        figures = await Runner(emulator, workers, scale, on_progress).run()
    await asyncio.to_thread(_same_tiles, emulator)
    return figures


def add_zips(figures: Figures) -> None:
    """Add the sizes of what is deployed; a note where that cannot be known (blocking)."""
    for function, quantity in (
        (Function.PROJECTOR, Quantity.ZIP_PROJECTOR),
        (Function.FANOUT, Quantity.ZIP_FANOUT),
    ):
        title = quantity.value.title
        try:
            sizes = {each.name: source_bytes(each, function) / MEGA for each in DESIGNS}
            deployed = deployed_bytes(function) / MEGA
        except LayerError as error:
            figures.notes.append(f"{title}: left out, {error}.")
            continue
        figures.add(quantity, sizes)
        kept = "kept" if deployed <= ZIP_BAR_MB else "**missed**"
        figures.notes.append(
            f"{title}: {deployed:.1f} MB as `make deploy` uploads it, bytecode included "
            f"(bar: ≤ {ZIP_BAR_MB} MB, {kept})."
        )


def _same_tiles(emulator: Emulator) -> None:
    """Speed is worth comparing only of those who did the same work."""
    client = emulator.endpoint.client("dynamodb")
    found = []
    for design in DESIGNS:
        pages = client.get_paginator("scan").paginate(TableName=design.table)
        items = (item for page in pages for item in page["Items"])
        found.append(
            {
                (item["pk"]["S"], item["sk"]["S"]): (item["version"], item["status"], item["at"])
                for item in items
            }
        )
    ours, textbook = found
    if ours != textbook:
        different = sum(ours.get(key) != textbook.get(key) for key in ours.keys() | textbook.keys())
        raise ComparisonError(f"{different} items differ between the designs' tables")
