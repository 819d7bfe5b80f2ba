"""One run from provisioning to the last tile: a fleet, a viewer beside it, and both recorded.

The command line, end-to-end tests and benchmarks all run a fleet through this.
"""

import asyncio
import fcntl
import math
import resource
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from simulators.connection import CONNECTS_PER_S, allow_connections
from simulators.device import STOP_S
from simulators.errors import FleetError
from simulators.fleet import Fleet, FleetPlan
from simulators.ground_truth import Run, TruthWriter
from simulators.observation import ObservationWriter, ViewerRun
from simulators.provisioning import Credentials, Provisioner
from simulators.script import Script, ScriptWriter
from simulators.target import Target
from simulators.viewer import Viewer

DRAIN_S = 10.0
STOPPING_S = 0.5
"""After Ctrl-C, for the last acknowledgements, for the last tiles and for the broker's goodbye, one
after the other. What is not there by then is reported as such."""
SETTLE_S = 20.0
FIRST_PICTURE_S = 60.0
PROGRESS_S = 0.5
MIB = 2**20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in getrusage's unit of memory."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a run keeps its things.

    `seen` is the recorded subscription, `script` what was played (None: not written down).
    """

    keys: Path
    truth: Path
    seen: Path
    script: Path | None = None

    @classmethod
    def beside(cls, truth: Path, keys: Path, script: Path | None = None) -> "Files":
        seen = truth.with_suffix(".seen.jsonl")
        return cls(keys=keys, truth=truth, seen=seen, script=script)


class _ToldToStop(Exception):
    """Leaves provisioning early; what was done is used by the next run."""


class Session:
    """`run` does it all; `fleet` and `viewer` can be looked at meanwhile.

    Parameters
    ----------
    things_per_s
        Rate limit of provisioning, None for none (see `Provisioner`).
    script
        What happens, instead of what the plan generates (a replay).
    """

    def __init__(
        self,
        target: Target,
        plan: FleetPlan,
        files: Files,
        *,
        things_per_s: float | None = None,
        connects_per_s: float = CONNECTS_PER_S,
        script: Script | None = None,
    ) -> None:
        self.target = target
        self.plan = plan
        self.files = files
        self.fleet: Fleet | None = None
        self.viewer: Viewer | None = None
        self.doors_behind = 0
        """At the end: doors of which the viewer did not show the last event acknowledged."""
        self._things_per_s = things_per_s
        self._connects_per_s = connects_per_s
        self._script = script
        self.phase = "starting"
        """What it is doing, for people."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until the plan's duration is over or `stop` is set; then drain, settle, disconnect.

        Raises
        ------
        SimulatorError
            Whatever part of the fleet cannot be had. The files are closed in order all the same.
        """
        allow_connections(self.plan.lockers)
        with ExitStack() as files:
            files.enter_context(only_fleet_on(self.files.keys))
            credentials = await self._provision(stop)
            if stop.is_set():
                return
            now_ms = time.time_ns() // 1_000_000
            self.files.truth.parent.mkdir(parents=True, exist_ok=True)
            truth_file = files.enter_context(writable(self.files.truth))
            seen_file = files.enter_context(writable(self.files.seen))
            script = self._script or self.plan.script()
            if self.files.script is not None:
                script_file = files.enter_context(writable(self.files.script))
                script = ScriptWriter(script_file, self.plan.as_parameters(), script.initial).tee(
                    script
                )
            truth = TruthWriter(truth_file, Run(started_at_ms=now_ms, parameters=self._parameters))
            seen = ObservationWriter(seen_file, ViewerRun(now_ms, self.plan.building_names))
            self.phase = "subscribing to the buildings"
            fleet = Fleet(
                self.target,
                self.plan,
                credentials,
                truth,
                script=script,
                connects_per_s=self._connects_per_s,
            )
            try:
                async with Viewer(self.target, self.plan.building_names, record=seen) as viewer:
                    self.viewer, self.fleet = viewer, fleet
                    viewer.untimed = fleet.wrong_clocks
                    await self._drive(fleet, viewer, stop)
            finally:
                self.phase = "disconnecting"
                # After the viewer: that lockers go offline now is none of its business.
                await fleet.stop(STOPPING_S if stop.is_set() else STOP_S)
            behind = await viewer.wait_for(fleet.expected, 0.0)
            self.doors_behind = len(behind)
            if stop.is_set():
                seen.left(fleet.undecided.union(behind))

    def summary(self) -> dict[str, Any]:
        """Figures of the run, for machines. Latencies in milliseconds."""
        fleet, viewer = self.fleet, self.viewer
        if fleet is None or viewer is None:
            return {"lockers": self.plan.lockers, "events": 0, "acknowledged": 0}
        counters = fleet.counters
        return {
            "lockers": self.plan.lockers,
            "events": counters.emitted,
            "acknowledged": counters.acknowledged,
            "refused": counters.refused,
            "dropped": counters.dropped,
            "unacknowledged": counters.outstanding,
            "skipped_visits": fleet.skipped_visits,
            "reconnects": counters.reconnects,
            "faults": {fault.value: count for fault, count in sorted(fleet.faults.items())},
            "flips": viewer.counters.tiles,
            "doors_behind": self.doors_behind,
            "viewer_reconnects": viewer.counters.reconnects,
            "ack_ms": counters.ack_ms.summary().as_json(),
            "door_to_tile_ms": viewer.counters.door_to_tile_ms.summary().as_json(),
            "peak_memory_mib": round(peak_memory_mib(), 1),
            "truth": str(self.files.truth),
            "seen": str(self.files.seen),
        }

    def summary_line(self) -> str:
        fleet, viewer = self.fleet, self.viewer
        if fleet is None or viewer is None:
            return "ended before any locker was connected"
        counters = fleet.counters
        short = {
            "refused": counters.refused,
            "dropped": counters.dropped,
            "unacknowledged": counters.outstanding,
            "faults injected": fleet.faults.total(),
        }
        told = "".join(f"{count} {word}, " for word, count in short.items() if count)
        return (
            f"{counters.emitted} events from {self.plan.lockers} lockers, "
            f"{counters.acknowledged} acknowledged, {told}{viewer.counters.tiles} tiles flipped; "
            f"door to tile {viewer.counters.door_to_tile_ms.summary()}"
        )

    def verdict_line(self) -> str:
        """What can be told without asking the table, which is for `latchline verify`."""
        if self.fleet is None or self.viewer is None:
            return "nothing was sent, so there is nothing to judge"
        doors = len(self.fleet.expected)
        if self.doors_behind:
            return (
                f"behind: {self.doors_behind} of {doors} doors do not show their last acknowledged "
                "event yet; latchline verify waits for it"
            )
        return f"up to date: all {doors} doors show their last acknowledged event"

    @property
    def _parameters(self) -> dict[str, object]:
        return {**self.plan.as_parameters(), "table": self.target.table}

    async def _provision(self, stop: asyncio.Event) -> list[Credentials]:
        """Return what the lockers connect with; none if told to stop meanwhile."""
        self.phase = f"provisioning {self.plan.lockers} lockers"
        provisioner = Provisioner(self.target, self.files.keys, per_s=self._things_per_s)

        def provisioned(done: int, total: int) -> None:
            self.phase = f"provisioned {done} of {total} lockers"
            if stop.is_set():
                raise _ToldToStop

        try:
            return await asyncio.to_thread(provisioner.provision, self.plan.things, provisioned)
        except _ToldToStop:
            return []

    async def _drive(self, fleet: Fleet, viewer: Viewer, stop: asyncio.Event) -> None:
        self.phase = f"connecting {self.plan.lockers} lockers"
        await _unless(stop, fleet.connect())
        # The first picture before the traffic: it also has warmed whatever starts cold.
        await _unless(stop, self._settle(fleet, viewer, "the first picture", FIRST_PICTURE_S))
        self.phase = f"running at {self.plan.rate * self.plan.speed:g} events/s"
        await _unless(stop, fleet.run())
        await _unless(stop, self._settle(fleet, viewer, "the last tiles", SETTLE_S))
        if stop.is_set():
            self.phase = "stopping"
            await fleet.drain(STOPPING_S)
            await viewer.wait_for(fleet.expected, STOPPING_S)

    async def _settle(self, fleet: Fleet, viewer: Viewer, what: str, patience_s: float) -> None:
        """Wait for all acknowledgements, then for the viewer to show what was acknowledged.

        Gives up when it has come no nearer to that for `patience_s`.
        """
        self.phase = f"waiting for {what}"
        await fleet.drain(DRAIN_S)
        fewest, since = math.inf, time.monotonic()
        while behind := len(await viewer.wait_for(fleet.expected, PROGRESS_S)):
            self.phase = f"waiting for {what}, {behind} doors to go"
            if behind < fewest:
                fewest, since = behind, time.monotonic()
            elif time.monotonic() - since > patience_s:
                return


def peak_memory_mib() -> float:
    """Return the most that this process had resident, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / MIB


def writable(path: Path) -> IO[str]:
    """Open a new file; raise FleetError naming it and the reason if that cannot be."""
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise FleetError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def only_fleet_on(keys: Path) -> Iterator[None]:
    """Hold the lockers' identities for this process.

    AWS: a second connection under a client id throws out the first, which then reconnects and
    throws out the second, for ever.

    Raises
    ------
    FleetError
        Another process holds them.
    """
    keys.parent.mkdir(parents=True, exist_ok=True)
    with keys.with_name(f"{keys.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FleetError(
                f"another fleet is running with the lockers of {keys}: wait for it to end, or use "
                "another stack (--name)"
            ) from None
        yield


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Do the work, or give it up as soon as `stop` is set."""
    if stop.is_set():
        work.close()
        return
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, stopping):
            each.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
