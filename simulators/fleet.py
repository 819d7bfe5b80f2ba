"""A fleet: lockers over buildings, driven by the traffic, every event of theirs written down."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.contract import Thing
from simulators.controller import Controller, Emission
from simulators.courier import Action, Place, Step, Traffic
from simulators.device import RECONNECT_MS, Device, MqttRuntime
from simulators.errors import FleetError
from simulators.ground_truth import Outcome, TruthWriter
from simulators.percentiles import Samples
from simulators.provisioning import Credentials, private_file
from simulators.target import Target

BUILDINGS = (
    "maple-court", "birch-house", "cedar-tower", "dock-street", "elm-gardens",
    "foundry-lofts", "grove-place", "harbour-view", "iris-square", "juniper-hall",
)  # fmt: skip
CONNECTS_PER_S = 100.0
FLUSH_S = 1.0


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to run. `duration_s` of the traffic; infinity runs until it is cancelled."""

    lockers: int = 24
    buildings: int = 3
    doors: int = 4
    rate: float = 15.0
    duration_s: float = math.inf
    seed: int = 1
    dwell_scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("lockers", "buildings", "doors"):
            value = getattr(self, name)
            if value < 1:
                raise FleetError(f"{name} must be at least 1, not {value}")
        if self.buildings > self.lockers:
            raise FleetError(
                f"{self.buildings} buildings need at least as many lockers, not {self.lockers}"
            )
        if not 0 < self.rate < math.inf:
            raise FleetError(f"rate must be above 0 events/s, not {self.rate}")
        if not self.duration_s > 0:
            raise FleetError(f"duration must be above 0 s, not {self.duration_s}")
        if self.dwell_scale is not None and not self.dwell_scale > 0:
            raise FleetError(f"dwell scale must be above 0, not {self.dwell_scale}")

    @property
    def building_names(self) -> tuple[str, ...]:
        return tuple(building_name(index) for index in range(self.buildings))

    @property
    def things(self) -> tuple[Thing, ...]:
        """Dealt out to the buildings in turn, so that these differ by at most one locker."""
        return tuple(
            Thing(building_name(n % self.buildings), f"l{n // self.buildings + 1:02d}")
            for n in range(self.lockers)
        )

    @property
    def door_names(self) -> tuple[str, ...]:
        return tuple(f"d{n:02d}" for n in range(1, self.doors + 1))

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple((thing, door) for thing in self.things for door in self.door_names)

    def traffic(self) -> Traffic:
        return Traffic(
            self.places,
            rate=self.rate,
            seed=self.seed,
            duration_s=self.duration_s,
            dwell_scale=self.dwell_scale,
        )

    def as_parameters(self) -> dict[str, Any]:
        """For the header of the ground truth; infinity is not JSON, so it becomes null."""
        return {
            "lockers": self.lockers,
            "buildings": self.buildings,
            "doors": self.doors,
            "rate": self.rate,
            "duration_s": None if math.isinf(self.duration_s) else self.duration_s,
            "seed": self.seed,
            "dwell_scale": self.dwell_scale,
        }


def building_name(index: int) -> str:
    round_, which = divmod(index, len(BUILDINGS))
    return BUILDINGS[which] if round_ == 0 else f"{BUILDINGS[which]}-{round_ + 1}"


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
    last_failure: str | None = None
    ack_ms: Samples = field(default_factory=Samples)

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
    """

    def __init__(
        self,
        target: Target,
        plan: FleetPlan,
        credentials: Iterable[Credentials],
        truth: TruthWriter,
        *,
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
        self._connects_per_s = connects_per_s
        self._traffic = plan.traffic()
        self._all_settled = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        runtime = MqttRuntime()
        self.devices = {
            each.thing: Device(
                self._boot(each),
                each,
                target.iot,
                rule=target.door_rule,
                runtime=runtime,
                listener=self,
                now_ms=now_ms,
                reconnect_ms=reconnect_ms,
            )
            for each in credentials
        }
        self._seen_online: set[Thing] = set()

    @property
    def skipped_visits(self) -> int:
        return self._traffic.skipped

    async def connect(self, timeout_s: float = 60.0) -> None:
        """Connect all lockers, evenly spread.

        Raises
        ------
        FleetError
            Not all were connected in time; says how many were and the last reason of a failure.
        """
        self._flushing = asyncio.create_task(self._flush_now_and_then())
        try:
            async with asyncio.timeout(timeout_s + len(self.devices) / self._connects_per_s):
                await self._start_evenly(list(self.devices.values()))
                for device in self.devices.values():
                    await device.wait_connected()
        except TimeoutError:
            why = self.counters.last_failure or "no answer"
            raise FleetError(
                f"{self.counters.connected} of {len(self.devices)} lockers connected in "
                f"{timeout_s:.0f} s; last failure: {why}"
            ) from None

    async def run(self) -> None:
        """Play the traffic; ends with its duration."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for action in self._traffic:
            # Open loop: an action that is late is done at once, and the next is not pushed back.
            await asyncio.sleep(max(0.0, started + action.due_s - loop.time()))
            self._act(action)
        if not math.isinf(self.plan.duration_s):
            await asyncio.sleep(max(0.0, started + self.plan.duration_s - loop.time()))

    async def drain(self, timeout_s: float = 10.0) -> int:
        """Wait until every event made is settled; return how many are not when time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_settled.wait(), timeout_s)
        return self.counters.outstanding

    async def stop(self) -> None:
        """Disconnect all (within 2 s) and close the truth with its end record."""
        await asyncio.gather(*(device.disconnect() for device in self.devices.values()))
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
            {door: self._traffic.initial[credentials.thing, door] for door in self.plan.door_names},
            last_boot=last_boot,
            now_s=self._now_ms() // 1000,
        )
        private_file(credentials.boot_file, str(controller.boot).encode())
        return controller

    async def _start_evenly(self, devices: Sequence[Device]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for n, device in enumerate(devices):
            await asyncio.sleep(max(0.0, started + n / self._connects_per_s - loop.time()))
            device.connect()

    async def _flush_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._truth.flush()

    def _act(self, action: Action) -> None:
        device = self.devices[action.thing]
        controller, now = device.controller, self._now_ms()
        match action.step:
            case Step.OPEN:
                device.send(controller.open(action.door, now))
            case Step.CLOSE_FILLED:
                controller.place(action.door)
                device.send(controller.close(action.door, now))
            case Step.CLOSE_EMPTIED:
                controller.take(action.door)
                device.send(controller.close(action.door, now))

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
