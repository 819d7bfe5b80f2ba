"""Makes faults happen to the devices of a fleet, and writes down which did.

Each fault is a task. What lasts (an outage, darkness) ends by itself or with `heal`. Every fault is
recorded when it begins, so that a run can be explained by its ground truth.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from awscrt.exceptions import AwsCrtError  # type: ignore[import-untyped]

from pipeline.contract import COUNTER_LIMIT, Kind, Thing, device_topic
from simulators.connection import MqttRuntime, mqtt_client
from simulators.controller import DoorState, Emission
from simulators.device import Device
from simulators.faults import Fault, Injection
from simulators.ground_truth import TruthWriter
from simulators.poison import malform
from simulators.puback import is_success
from simulators.target import IotEndpoint

CONNECT_PAUSE_S = 1.0
"""AWS: one CONNECT per second and client id."""
INTRUDER_S = 5.0
FORGED_SEQ = COUNTER_LIMIT // 2
"""Newer than whatever the victim sends in this boot: if it got through, it would show."""


class Injector:
    """`inject` returns at once; `heal` ends every fault and waits until it has.

    Parameters
    ----------
    speed
        How many of the scenario's seconds pass in one.
    keep_boot
        Persists a device's boot counter after a reboot.
    """

    def __init__(
        self,
        devices: Mapping[Thing, Device],
        truth: TruthWriter,
        *,
        rule: str,
        speed: float,
        endpoint: IotEndpoint,
        runtime: MqttRuntime,
        now_ms: Callable[[], int],
        keep_boot: Callable[[Device, int], None],
    ) -> None:
        self.done: Counter[Fault] = Counter()
        self.wrong_clocks: set[Thing] = set()
        """Whose `at` says nothing about latency."""
        self._devices = devices
        self._truth = truth
        self._rule = rule
        self._speed = speed
        self._endpoint = endpoint
        self._runtime = runtime
        self._now_ms = now_ms
        self._keep_boot = keep_boot
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._marks = 0

    def inject(self, injection: Injection) -> None:
        device = self._devices[injection.thing]
        task = asyncio.create_task(self._run(device, injection))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    def cancel(self) -> None:
        """Forget about what is under way, for a fleet that is about to stop."""
        for task in self._tasks:
            task.cancel()

    async def heal(self) -> None:
        """End all that lasts, have everybody reconnect; raise what went wrong with an injection."""
        self._over.set()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            self._over.clear()
        if self._failure is not None:
            raise self._failure
        for device in self._devices.values():
            device.release_all()
            device.reconnect_now()

    async def _run(self, device: Device, injection: Injection) -> None:
        match injection.fault:
            case Fault.CONNECTION_LOSS:
                self._record(injection, f"for {injection.seconds:.0f} s")
                await self._offline(device, injection.seconds)
            case Fault.POWER_CUT:
                await self._power_cut(device, injection)
            case Fault.CLOCK_SKEW:
                self._skew(device, injection)
            case Fault.MALFORMED:
                await self._malformed(device, injection)
            case Fault.IMPERSONATION:
                await self._impersonation(device, injection)
            case Fault.SECOND_CONNECTION:
                await self._second_connection(device, injection)
            case Fault.FLAPPING:
                await self._flap(device, injection)
            case Fault.STUCK_SENSOR:
                self._flood(device, injection)

    def _record(self, injection: Injection, detail: str | None = None) -> None:
        self.done[injection.fault] += 1
        self._truth.fault(self._now_ms(), injection.fault, injection.thing, injection.door, detail)

    async def _lasts(self, seconds: float) -> None:
        """Sleep so many of the scenario's seconds, or until the fleet is healed."""
        pause_s = max(CONNECT_PAUSE_S, seconds / self._speed)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), pause_s)

    async def _offline(self, device: Device, seconds: float) -> None:
        await device.hold_offline()
        await self._lasts(seconds)
        await device.release_offline()

    async def _flap(self, device: Device, injection: Injection) -> None:
        self._record(injection, f"{injection.count} times")
        for _ in range(injection.count):
            if self._over.is_set():
                return
            await self._offline(device, injection.seconds)
            await self._lasts(injection.seconds)

    def _skew(self, device: Device, injection: Injection) -> None:
        self._record(injection, f"{injection.seconds:+.0f} s")
        device.skew_ms = round(injection.seconds * 1000)
        self.wrong_clocks.add(device.thing)

    async def _power_cut(self, device: Device, injection: Injection) -> None:
        if not device.is_powered:
            return
        kept = "lost" if injection.buffer_lost else "kept"
        self._record(injection, f"for {injection.seconds:.0f} s, buffer {kept}")
        await device.power_off(buffer_lost=injection.buffer_lost)
        await self._lasts(injection.seconds)
        await device.power_on(lambda boot: self._keep_boot(device, boot))

    def _flood(self, device: Device, injection: Injection) -> None:
        """The contact of one door opens and closes as fast as the controller can look."""
        self._record(injection, f"{injection.count} edges")
        controller, door = device.controller, injection.door
        for _ in range(injection.count):
            shut = not controller.state(door).open
            verb = controller.open if shut else controller.close
            device.send(verb(door, device.clock_ms()))

    async def _malformed(self, device: Device, injection: Injection) -> None:
        assert injection.reason is not None
        if not await self._online(device):
            return
        self._marks += 1
        mark = f"{device.controller.boot}.{self._marks}"
        # No event of the controller: it takes no number of its sequence.
        good = Emission(
            device.thing,
            injection.door,
            Kind.OPENED,
            device.controller.boot,
            FORGED_SEQ + self._marks,
            device.clock_ms(),
            replace(device.controller.state(injection.door), open=True),
        )
        publish = malform(good, injection.reason, mark)
        self._record(injection, injection.reason)
        acknowledged: bool | None = None
        try:
            acknowledged = await self._answer(device, publish.topic(self._rule), publish.payload)
        finally:  # it may have arrived also if nobody waits for the answer any more
            self._truth.malformed(publish, acknowledged=acknowledged)

    async def _impersonation(self, device: Device, injection: Injection) -> None:
        """Publish an open door for another locker, newer than its own: only the broker can stop it.

        If it did not, `verify` would find an event that nobody sent.
        """
        assert injection.victim is not None
        if not await self._online(device):
            return
        self._marks += 1
        forged = Emission(
            injection.victim,
            injection.door,
            Kind.FORCED,
            self._devices[injection.victim].controller.boot,
            FORGED_SEQ + self._marks,
            self._now_ms(),
            DoorState(open=True),
        )
        topic = device_topic(self._rule, forged.thing, forged.door, forged.kind)
        answer = await self._answer(device, topic, forged.payload())
        words = {True: "acknowledged", False: "refused", None: "disconnected"}[answer]
        self._record(injection, f"as {injection.victim}: {words}")

    async def _second_connection(self, device: Device, injection: Injection) -> None:
        """Another client with the same certificate and client id throws the locker out, once."""
        if not await self._online(device):
            return
        loop = asyncio.get_running_loop()
        tried = asyncio.Event()

        def told(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tried.set)

        client = mqtt_client(
            device.thing,
            device.credentials,
            self._endpoint,
            self._runtime,
            on_lifecycle_connection_success=told,
            on_lifecycle_connection_failure=told,
        )
        self._record(injection)
        client.start()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(tried.wait(), INTRUDER_S)
        finally:
            client.stop()

    async def _online(self, device: Device) -> bool:
        """Wait for the connection; False if the fleet is healed first, and nothing was injected."""
        online = asyncio.create_task(device.wait_connected())
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait({online, over}, return_when=asyncio.FIRST_COMPLETED)
        for task in (online, over):
            task.cancel()
        return device.is_connected and not self._over.is_set()

    async def _answer(self, device: Device, topic: str, payload: bytes) -> bool | None:
        """Tell whether the broker took it; None if the connection ended instead of an answer."""
        try:
            code = await device.publish_raw(topic, payload)
        except AwsCrtError:
            return None
        return is_success(code)
