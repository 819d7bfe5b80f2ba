"""A fleet: lockers over buildings, driven by a script, every event of theirs written down."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pipeline.contract import Thing
from simulators.connection import CONNECTS_PER_S, RECONNECT_MS, ConnectGate, MqttRuntime
from simulators.controller import Controller, Emission
from simulators.courier import JAMMED, Action, Place, Step
from simulators.device import STOP_S, Device
from simulators.errors import FleetError
from simulators.faults import Fault
from simulators.ground_truth import Outcome, TruthWriter
from simulators.injector import Injector
from simulators.percentiles import Samples
from simulators.plan import FleetPlan
from simulators.provisioning import Credentials, private_file
from simulators.script import Move, Script
from simulators.target import Target

__all__ = ["Counters", "Fleet", "FleetPlan"]

CONNECT_POLL_S = 0.05
STALLED_S = 60.0
"""Nobody else connected for so long: whoever is still missing will not connect at all."""
FLUSH_S = 1.0


@dataclass(slots=True)
class Counters:
    """Live figures of a fleet; `sent` counts events first published, not repeats."""

    connected: int = 0
    emitted: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    dropped: int = 0
    reconnects: int = 0
    on_the_wire: Counter[Fault] = field(default_factory=Counter)
    last_failure: str | None = None
    ack_ms: Samples = field(default_factory=Samples)
    lag_ms: Samples = field(default_factory=Samples)
    """How late the fleet itself was with what the script had due."""

    @property
    def outstanding(self) -> int:
        """Made but not settled: in flight or stored until the locker is online again."""
        return self.emitted - self.acknowledged - self.refused - self.dropped


class Fleet:
    """Build it on the event loop. `connect`, `run`, `drain`, `stop`, in that order.

    Parameters
    ----------
    credentials
        One per thing of the plan, as `Provisioner.provision` returns them.
    truth
        Gets every event and how it ended.
    script
        What happens, instead of what the plan generates (a replay).
    """

    def __init__(
        self,
        target: Target,
        plan: FleetPlan,
        credentials: Iterable[Credentials],
        truth: TruthWriter,
        *,
        script: Script | None = None,
        connects_per_s: float = CONNECTS_PER_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        reconnect_ms: tuple[int, int] = RECONNECT_MS,
    ) -> None:
        self.plan = plan
        self.counters = Counters()
        self.expected: dict[Place, int] = {}
        """Highest version acknowledged at each door: what a dashboard must come to show."""
        self._truth = truth
        self._now_ms = now_ms
        self._script = plan.script() if script is None else script
        self._all_settled = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        runtime = MqttRuntime()
        gate = ConnectGate(per_s=connects_per_s)
        self.devices = {
            each.thing: Device(
                self._boot(each),
                each,
                target.iot,
                rule=target.door_rule,
                runtime=runtime,
                listener=self,
                gate=gate,
                now_ms=now_ms,
                reconnect_ms=reconnect_ms,
            )
            for each in credentials
        }
        self._seen_online: set[Thing] = set()
        self._run_since: float | None = None
        self._injector = Injector(
            self.devices,
            truth,
            rule=target.door_rule,
            speed=plan.speed,
            endpoint=target.iot,
            runtime=runtime,
            now_ms=now_ms,
            keep_boot=lambda device, boot: keep_boot(device.credentials, boot),
        )

    @property
    def skipped_visits(self) -> int:
        return self._script.skipped

    @property
    def wrong_clocks(self) -> set[Thing]:
        """Lockers whose `at` says nothing about latency."""
        return self._injector.wrong_clocks

    @property
    def faults(self) -> Counter[Fault]:
        """Faults injected so far."""
        return self._injector.done + self.counters.on_the_wire

    @property
    def elapsed_s(self) -> float | None:
        """Seconds by the clock since the traffic started; None before it did."""
        return None if self._run_since is None else time.monotonic() - self._run_since

    @property
    def buffered(self) -> int:
        """Events that wait in the lockers, unacknowledged."""
        return sum(device.buffered for device in self.devices.values())

    @property
    def undecided(self) -> set[Place]:
        """Doors with an event that may or may not have arrived."""
        return {
            (device.thing, door)
            for device in self.devices.values()
            for door in device.waiting_doors
        }

    async def connect(self, stalled_s: float = STALLED_S) -> None:
        """Connect all lockers, in turn.

        Raises
        ------
        FleetError
            Some are not connected, and nobody else was for `stalled_s`; says how many are and the
            last reason of a failure.
        """
        self._flushing = asyncio.create_task(self._flush_now_and_then())
        for device in self.devices.values():
            device.connect()
        most, since = 0, time.monotonic()
        while (connected := self.counters.connected) < len(self.devices):
            if connected > most:
                most, since = connected, time.monotonic()
            elif time.monotonic() - since > stalled_s:
                why = self.counters.last_failure or "no answer"
                raise FleetError(
                    f"{connected} of {len(self.devices)} lockers connected, no other within "
                    f"{stalled_s:.0f} s; last failure: {why}"
                )
            await asyncio.sleep(CONNECT_POLL_S)

    async def run(self) -> None:
        """Play the script; ends with its duration."""
        loop = asyncio.get_running_loop()
        started, speed = loop.time(), self.plan.speed
        self._run_since = time.monotonic()
        for happening in self._script:
            # Open loop: what is late is done at once, and what follows is not pushed back.
            due = started + happening.due_s / speed
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.counters.lag_ms.add(1000 * (loop.time() - due))
            if isinstance(happening, Move):
                self._act(happening)
            else:
                self._injector.inject(happening)
        if not math.isinf(self.plan.duration_s):
            await asyncio.sleep(max(0.0, started + self.plan.wall_s - loop.time()))

    async def drain(self, timeout_s: float = 10.0) -> int:
        """End all faults, and wait until all are connected and every event made is settled.

        Returns how many are not when time is up.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._injector.heal()
                for device in self.devices.values():
                    await device.wait_connected()
                await self._all_settled.wait()
        return self.counters.outstanding

    async def stop(self, within_s: float = STOP_S) -> None:
        """Disconnect all, answered or not, and close the truth with its end record."""
        self._injector.cancel()
        await asyncio.gather(*(device.disconnect(within_s) for device in self.devices.values()))
        if self._flushing is not None:
            self._flushing.cancel()
        self._truth.end(self._now_ms())

    def _boot(self, credentials: Credentials) -> Controller:
        """Read the boot counter kept, count up, keep it, all before the first event."""
        try:
            last_boot = int(credentials.boot_file.read_text())
        except FileNotFoundError:
            last_boot = 0
        except ValueError as error:
            raise FleetError(f"{credentials.boot_file}: no boot counter: {error}") from error
        controller = Controller(
            credentials.thing,
            {door: self._script.initial[credentials.thing, door] for door in self.plan.door_names},
            last_boot=last_boot,
            now_s=self._now_ms() // 1000,
        )
        keep_boot(credentials, controller.boot)
        return controller

    async def _flush_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._truth.flush()

    def _act(self, move: Move) -> None:
        action, wire = move.action, move.wire
        device = self.devices[action.thing]
        if action.step is Step.OPEN and not device.is_powered:
            return  # no lock gives way
        emission = perform(device.controller, action, device.clock_ms())
        if wire is not None and emission is not None and device.is_connected:
            self.counters.on_the_wire[wire.fault] += 1
            wire = replace(wire, late_s=wire.late_s / self.plan.speed)
        device.send(emission, wire)

    # What the devices tell (DeviceListener).

    def connected(self, device: Device) -> None:
        self.counters.connected += 1
        if device.thing in self._seen_online:
            self.counters.reconnects += 1
        self._seen_online.add(device.thing)

    def disconnected(self, device: Device, reason: str) -> None:
        self.counters.connected -= 1
        self.counters.last_failure = f"{device.thing}: {reason}"

    def connect_failed(self, device: Device, reason: str) -> None:
        self.counters.last_failure = f"{device.thing}: connect failed: {reason}"

    def emitted(self, emission: Emission) -> None:
        self.counters.emitted += 1
        self._all_settled.clear()
        self._truth.event(emission)

    def published(self, emission: Emission) -> None:  # noqa: ARG002  (DeviceListener)
        self.counters.sent += 1

    def settled(
        self,
        emission: Emission,
        outcome: Outcome,
        attempts: int,
        latency_ms: float | None,
        reason: str | None,
    ) -> None:
        match outcome:
            case Outcome.ACKNOWLEDGED:
                self.counters.acknowledged += 1
                place = (emission.thing, emission.door)
                self.expected[place] = max(self.expected.get(place, 0), emission.version)
            case Outcome.REFUSED:
                self.counters.refused += 1
                self.counters.last_failure = f"{emission.event_id}: {reason}"
            case Outcome.DROPPED:
                self.counters.dropped += 1
        if not self.counters.outstanding:
            self._all_settled.set()
        if latency_ms is not None:
            self.counters.ack_ms.add(latency_ms)
        self._truth.settled(
            emission, outcome, attempts=attempts, latency_ms=latency_ms, reason=reason
        )


def perform(controller: Controller, action: Action, at_ms: int) -> Emission | None:
    """Do at the door what a person or the door itself does; return the event, if it makes one."""
    door = action.door
    match action.step:
        case Step.OPEN:
            return controller.open(door, at_ms)
        case Step.FORCE:
            return controller.force(door, at_ms)
        case Step.JAM:
            return controller.fail(door, JAMMED, at_ms)
        case Step.CLEAR:
            return controller.clear(door, at_ms)
        case Step.CLOSE_FILLED:
            controller.place(door)
        case Step.CLOSE_EMPTIED:
            controller.take(door)
        case Step.CLOSE:
            pass
    return controller.close(door, at_ms)


def keep_boot(credentials: Credentials, boot: int) -> None:
    """Write the boot counter down before the first event of the boot leaves the device."""
    private_file(credentials.boot_file, str(boot).encode())
