"""One round: a fleet runs through the weather, everything is mended, and the outcome is judged.

traffic, with faults of the fleet, of the stack and incidents
faults off ─▶ the fleet empties its buffers ─▶ queues empty ─▶ `latchline dlq redrive`
─▶ the subscriber converges ─▶ table, history, quarantine, subscriber against the ground truth
"""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from local.faults.outcomes import DELIVERED_AGAIN, REDRIVEN
from local.faults.plan import Fault, Report, Rule
from local.faults.switch import FaultSwitch
from operations.parked import parked_of
from simulators.fleet import Fleet, FleetPlan
from simulators.ground_truth import Run, TruthWriter, read_ground_truth
from simulators.observation import ObservationWriter, ViewerRun, read_observation
from simulators.provisioning import Provisioner
from simulators.session import Files, only_fleet_on, writable
from simulators.target import Target
from simulators.verdict import Verdict
from simulators.verification import verify
from simulators.viewer import Viewer
from tests.chaos.incidents import Incidents
from tests.chaos.queues import ON_THE_WAY, Queues, condition_of
from tests.chaos.weather import Incident, Weather, script_with_bursts, stretched

DEAD = ("ingest_dlq", "projector_dlq")
EMPTY_WHATEVER_HAPPENS = ("bus_dlq", "iot_errors")
BACKLOG = 1_000
"""With more messages on their way, lockers are used less often until the stack has caught up."""
WATCH_S = 2.0
MENDED_S = 330.0
"""Longer than a dashboard takes to load its snapshot again."""
PUSHED_S = 120.0
"""Shorter than that: unless the fan-out gave up on something, pushes alone must do."""
PUBLISH_FAULTS = frozenset(
    {
        Fault.FANOUT_KILLED_BEFORE_PUBLISH,
        Fault.FANOUT_KILLED_AFTER_PUBLISH,
        Fault.APPSYNC_FAILED,
        Fault.APPSYNC_ALIAS_ERRORS,
        Fault.APPSYNC_ANSWER_LATE,
    }
)
POISON = "PoisonRecord"
GIVEN_UP = frozenset({"RetryAttemptsExhausted", "RecordAgeExceeded"})
"""Conditions of what a redrive of the fan-out's dead letters can publish."""
SDK_ATTEMPTS = 3
LAST_EVENT = {
    Fault.PUT_EVENTS_PARTIAL: 1,
    Fault.BATCH_THROTTLED: SDK_ATTEMPTS,
    Fault.WRITE_THROTTLED: SDK_ATTEMPTS,
    Fault.APPSYNC_FAILED: 1,
    Fault.APPSYNC_ALIAS_ERRORS: 1,
}
"""Fault to how often it has to happen in a row."""
HOW = ("--yes", "--rate=100", "--canary=60", "--wait=240")

Say = Callable[[str], None]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass
class Result:
    """What a round came to; `complaints` is empty if all is as promised."""

    verdict: Verdict
    report: Report
    incidents: Counter[Incident]
    fleet_faults: Counter[str]
    redriven: Counter[str]
    gave_up: Counter[str]
    """Dead letters left of the fan-out, by their condition."""
    events: int
    took_s: float
    backlog_max: int
    slowest: float
    """So many times less often than wanted lockers were used at worst."""
    complaints: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.complaints


class Campaign:
    """Build one for a round.

    Parameters
    ----------
    switch
        Of the stack that `target` describes.
    command
        Runs `latchline` with these arguments for that stack.
    folder
        Gets the ground truth, what the subscriber saw, and the lockers' keys.
    """

    def __init__(
        self,
        target: Target,
        switch: FaultSwitch,
        plan: FleetPlan,
        weather: Weather,
        *,
        command: Command,
        folder: Path,
        say: Say,
    ) -> None:
        self._target = target
        self._switch = switch
        self._command = command
        self._plan = plan
        self._weather = weather
        self._files = Files.beside(folder / "truth.jsonl", folder / "keys")
        self._say = say
        self._queues = Queues(target)
        self._incidents = Incidents(target, switch, weather, first=plan.seed)
        self._redriven: Counter[str] = Counter()
        self._backlog_max = 0
        self._slower = 1.0
        self._slowest = 1.0

    async def run(self) -> Result:
        """Return the round's result; what is wrong in it is no exception."""
        started = time.monotonic()
        await asyncio.to_thread(self._queues.shorten, self._weather.visibility_s)
        fleet, complaints = await self._play()
        letters = await asyncio.to_thread(self._queues.fanout_letters)
        verdict = await asyncio.to_thread(self._verify)
        result = Result(
            verdict=verdict,
            report=self._switch.report(),
            incidents=self._incidents.done,
            fleet_faults=Counter({each.value: count for each, count in fleet.faults.items()}),
            redriven=self._redriven,
            gave_up=Counter(map(condition_of, letters)),
            events=fleet.counters.emitted,
            took_s=time.monotonic() - started,
            backlog_max=self._backlog_max,
            slowest=self._slowest,
            complaints=complaints,
        )
        parked = {each["keys"]["sk"]["S"] for each in letters if condition_of(each) == POISON}
        if parked != self._incidents.poisoned:
            lost = sorted(self._incidents.poisoned ^ parked)
            result.complaints.append(f"poison stream records and their dead letters differ: {lost}")
        if not self._redriven["fanout_dlq"]:
            result.complaints += [
                f"{count} times {fault}, and no later push of all that it stopped"
                for fault, count in result.report.open.items()
                if fault in PUBLISH_FAULTS
            ]
        if result.gave_up.keys() - {POISON}:
            result.complaints.append(f"left in fanout_dlq: {dict(result.gave_up)}")
        result.complaints += [str(each) for each in verdict.differences]
        depths = await asyncio.to_thread(self._queues.depths)
        result.complaints += [
            f"{depths[name]} messages in {name}"
            for name in (*ON_THE_WAY, *DEAD, *EMPTY_WHATEVER_HAPPENS)
            if depths[name]
        ]
        return result

    def _verify(self) -> Verdict:
        done, seen = read_ground_truth(self._files.truth), read_observation(self._files.seen)
        with parked_of(self._target) as parked:
            return verify(self._target, done, seen, parked=parked, timeout_s=MENDED_S)

    async def _play(self) -> tuple[Fleet, list[str]]:
        plan, files = self._plan, self._files
        with ExitStack() as opened:
            opened.enter_context(only_fleet_on(files.keys))
            provisioner = Provisioner(self._target, files.keys)
            credentials = await asyncio.to_thread(provisioner.provision, plan.things)
            now_ms = time.time_ns() // 1_000_000
            parameters = {**plan.as_parameters(), "table": self._target.table}
            truth = TruthWriter(
                opened.enter_context(writable(files.truth)),
                Run(started_at_ms=now_ms, parameters=parameters),
            )
            seen = ObservationWriter(
                opened.enter_context(writable(files.seen)), ViewerRun(now_ms, plan.building_names)
            )
            script = stretched(script_with_bursts(plan, self._weather), lambda: self._slower)
            fleet = Fleet(self._target, plan, credentials, truth, script=script)
            try:
                async with Viewer(self._target, plan.building_names, record=seen) as viewer:
                    await fleet.connect()
                    await self._storm(fleet)
                    return fleet, await self._mend(fleet, viewer)
            finally:
                await fleet.stop()

    async def _storm(self, fleet: Fleet) -> None:
        await asyncio.to_thread(
            self._switch.set,
            rules=self._weather.rules,
            phase=DELIVERED_AGAIN,
            seed=self._plan.seed,
        )
        incidents = asyncio.create_task(self._incidents.run())
        watch = asyncio.create_task(self._watch(fleet))
        try:
            await fleet.run()
            if self._weather.rounds_of_incidents is not None:
                await incidents
                # What waits in the queues meets faults, too.
                await self._until_injected(dict.fromkeys(self._weather.rules, 1))
        finally:
            for task in (incidents, watch):
                task.cancel()
            done = await asyncio.gather(incidents, watch, return_exceptions=True)
            await asyncio.to_thread(self._switch.off, phase=DELIVERED_AGAIN)
        for each in done:
            if isinstance(each, Exception):
                raise each

    async def _watch(self, fleet: Fleet) -> None:
        """Say how far it is, and slow down when too much is on its way."""
        told = 0.0
        while True:
            depths = await asyncio.to_thread(self._queues.depths)
            backlog = sum(depths[name] for name in ON_THE_WAY)
            self._backlog_max = max(self._backlog_max, backlog)
            self._slower = slower(backlog)
            self._slowest = max(self._slowest, self._slower)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self._say(self._line(fleet, backlog, depths))
            await asyncio.sleep(WATCH_S)

    def _line(self, fleet: Fleet, backlog: int, depths: dict[str, int]) -> str:
        report = self._switch.report()
        return (
            f"{fleet.elapsed_s or 0:5.0f} s  {fleet.counters.emitted} events, "
            f"{sum(report.injected.values())} faults in the stack, "
            f"{sum(fleet.faults.values())} in the fleet, {backlog} on their way, dead letters "
            + " ".join(f"{name} {depths[name]}" for name in (*DEAD, "fanout_dlq"))
            + (f", {self._slower:.1f} times slower" if self._slower > 1 else "")
        )

    async def _mend(self, fleet: Fleet, viewer: Viewer) -> list[str]:
        complaints = []
        left = await fleet.drain(MENDED_S)
        if left:
            complaints.append(f"{left} events were never acknowledged")
        complaints += await self._fail_the_last_event(fleet)
        complaints += await self._redrive()
        gave_up = self._redriven["fanout_dlq"] > 0
        behind = await viewer.wait_for(fleet.expected, MENDED_S if gave_up else PUSHED_S)
        complaints += [f"the subscriber does not show {thing}/{door}" for thing, door in behind]
        offline = [thing for thing in self._plan.things if not viewer.picture.is_online(thing)]
        complaints += [f"the subscriber shows {thing} as offline" for thing in offline]
        return complaints

    async def _fail_the_last_event(self, fleet: Fleet) -> list[str]:
        """One more event, which fails once at every hop and outlasts the SDK's attempts.

        No later event of its door covers up for it: if a failure were not answered for, this event,
        its tile or its push would be missing.
        """
        await self._until_arrived()
        done = (await asyncio.to_thread(self._switch.report)).injected
        rules = {
            fault: Rule(chance=1, limit=done.get(fault, 0) + times)
            for fault, times in LAST_EVENT.items()
        }
        await asyncio.to_thread(self._switch.set, rules=rules)
        for device in fleet.devices.values():
            door = self._plan.door_names[0]
            shut = not device.controller.state(door).open
            verb = device.controller.open if shut else device.controller.close
            emission = verb(door, device.clock_ms())
            if emission is not None:
                device.send(emission)
                break
        await fleet.drain(MENDED_S)
        missed = await self._until_injected({fault: rules[fault].limit or 0 for fault in rules})
        await self._until_arrived()
        return [f"the last event did not meet {fault}" for fault in missed]

    async def _until_injected(self, wanted: Mapping[Fault, int]) -> list[Fault]:
        """Wait until each fault has happened so often, over all; return those that did not."""
        deadline = time.monotonic() + PUSHED_S
        while True:
            injected = self._switch.report().injected
            missed = [each for each, times in wanted.items() if injected.get(each, 0) < times]
            if not missed or time.monotonic() > deadline:
                return missed
            await asyncio.sleep(WATCH_S / 4)

    async def _until_arrived(self) -> None:
        """Wait until nothing is on its way; what never is shows in the verdict."""
        deadline = time.monotonic() + MENDED_S
        while time.monotonic() < deadline:
            depths = await asyncio.to_thread(self._queues.depths)
            if not any(depths[name] for name in ON_THE_WAY):
                return
            await asyncio.sleep(WATCH_S / 4)

    async def _redrive(self) -> list[str]:
        """Bring the dead letters back as a person on call would, until none is left."""
        await asyncio.to_thread(self._switch.off, phase=REDRIVEN)
        deadline = time.monotonic() + MENDED_S
        while time.monotonic() < deadline:
            depths = await asyncio.to_thread(self._queues.depths)
            dead = [name for name in DEAD if depths[name]]
            if not dead:
                break
            self._redriven.update({name: depths[name] for name in dead})
            if complaint := await self._command_fails(*dead):
                return [complaint]
            await self._until_arrived()
        letters = await asyncio.to_thread(self._queues.fanout_conditions)
        given_up = sorted(letters.keys() & GIVEN_UP)
        if given_up:
            self._redriven["fanout_dlq"] = sum(letters[each] for each in given_up)
            reasons = [f"--reason={each}" for each in given_up]
            if complaint := await self._command_fails("fanout_dlq", *reasons):
                return [complaint]
        return []

    async def _command_fails(self, *selection: str) -> str | None:
        done = await asyncio.to_thread(self._command, "dlq", "redrive", *selection, *HOW)
        if not done.returncode:
            return None
        return f"dlq redrive {' '.join(selection)}: {done.stdout}{done.stderr}"


def slower(backlog: int) -> float:
    """How much less often lockers are used: 3 times at 1.5 of the backlog allowed, 8 at twice."""
    return max(1.0, (backlog / BACKLOG) ** 3)
