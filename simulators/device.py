"""One locker on the wire: MQTT 5 over mTLS, store-and-forward, every PUBACK accounted for.

An event is done with only when the broker acknowledged it with a success code. Until then it stays
in the device's buffer; whatever the connection did not survive is published again after reconnect,
so the broker may see an event twice but never not at all. After each connect every door is
reported. The SDK keeps a connection below AWS's 100 publishes/s and 512 KB/s.
A lost connection is tried again after a jittered pause, in turn with other lockers (`ConnectGate`).

Faults come in from outside: `hold_offline` and `power_off` take the locker away until they are
released, a `Wire` disturbs one publish, `skew_ms` sets the clock wrong.

awscrt calls back on its own thread; everything here that has state runs on the asyncio loop.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from awscrt import mqtt5  # type: ignore[import-untyped]

from pipeline.contract import Thing
from pipeline.contract import device_topic as door_topic
from simulators.connection import RECONNECT_MS, Backoff, ConnectGate, MqttRuntime, mqtt_client
from simulators.controller import Controller, Emission
from simulators.faults import Fault, Wire
from simulators.ground_truth import Outcome
from simulators.provisioning import Credentials
from simulators.puback import RETRYABLE, is_success
from simulators.target import IotEndpoint

BUFFER_EVENTS = 1_000
STOP_S = 2.0
RETRY_MAX_S = 30.0
REORDER_WITHIN_S = 2.0
"""Wait no longer for a next event that an event could be published after."""


class DeviceListener(Protocol):
    """Told what a device does; always on the event loop."""

    def connected(self, device: "Device") -> None: ...

    def disconnected(self, device: "Device", reason: str) -> None: ...

    def connect_failed(self, device: "Device", reason: str) -> None: ...

    def emitted(self, emission: Emission) -> None: ...

    def published(self, emission: Emission) -> None: ...

    def settled(
        self,
        emission: Emission,
        outcome: Outcome,
        attempts: int,
        latency_ms: float | None,
        reason: str | None,
    ) -> None: ...


@dataclass(slots=True)
class _Buffered:
    emission: Emission
    attempts: int = 0
    in_flight: bool = False
    copies: int = 1
    """Publishes of the first attempt."""
    held: bool = False
    """By a fault on the wire, until `release`."""


class Device:
    """Must be built, driven and stopped on the event loop.

    Parameters
    ----------
    rule
        Name of the IoT rule that Basic Ingest hands the events to (it is part of the topic).
    gate
        Where it waits for its turn to connect; one of its own if it is alone.
    reconnect_ms
        Least and greatest pause before a reconnect; jittered in between, doubling.
    """

    def __init__(
        self,
        controller: Controller,
        credentials: Credentials,
        endpoint: IotEndpoint,
        *,
        rule: str,
        runtime: MqttRuntime,
        listener: DeviceListener,
        gate: ConnectGate | None = None,
        buffer_events: int = BUFFER_EVENTS,
        reconnect_ms: tuple[int, int] = RECONNECT_MS,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.controller = controller
        self.credentials = credentials
        self.skew_ms = 0
        """How far the device's clock is off."""
        self._rule = rule
        self._listener = listener
        self._capacity = buffer_events
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._buffer: dict[int, _Buffered] = {}
        self._gate = ConnectGate() if gate is None else gate
        self._reconnect_ms = reconnect_ms
        self._connected = False
        self._online = asyncio.Event()
        self._attempted = asyncio.Event()
        self._lost = asyncio.Event()
        self._hurry = asyncio.Event()
        self._halted = asyncio.Event()
        self._halted.set()
        self._holding: asyncio.Task[None] | None = None
        self._offline_holds = 0
        self._powered = True
        self._overtaken: list[int] = []
        # Built when it is first this locker's turn: of thousands that takes many seconds.
        self._client: Any = None
        self._build_client = partial(
            mqtt_client,
            controller.thing,
            credentials,
            endpoint,
            runtime,
            on_lifecycle_connection_success=lambda _: self._from_crt(self._on_connected),
            on_lifecycle_connection_failure=lambda data: self._from_crt(
                self._on_connect_failed, str(data.exception)
            ),
            on_lifecycle_disconnection=lambda data: self._from_crt(
                self._on_disconnected, str(data.exception)
            ),
            on_lifecycle_stopped=lambda _: self._from_crt(self._on_halted),
        )

    @property
    def thing(self) -> Thing:
        return self.controller.thing

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def buffered(self) -> int:
        """Events that the broker has not acknowledged yet."""
        return len(self._buffer)

    @property
    def waiting_doors(self) -> set[str]:
        return {entry.emission.door for entry in self._buffer.values()}

    @property
    def is_powered(self) -> bool:
        return self._powered

    def clock_ms(self) -> int:
        """Return the device's own time, epoch milliseconds."""
        return self._now_ms() + self.skew_ms

    def connect(self) -> None:
        """Start to hold a connection; returns at once, `wait_connected` waits."""
        if self._holding is None:
            self._holding = self._loop.create_task(self._hold_connection())

    async def wait_connected(self) -> None:
        await self._online.wait()

    async def disconnect(self, within_s: float = STOP_S) -> None:
        """Close the connection, answered or not; events are kept until `connect`."""
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
        await self._stop_client(within_s)

    async def _hold_connection(self) -> None:
        """Connect when it is this locker's turn, and again after each loss, until cancelled."""
        backoff = Backoff(*self._reconnect_ms)
        while True:
            self._attempted.clear()
            self._lost.clear()
            async with self._gate.turn():
                self._client = self._client or self._build_client()
                self._halted.clear()
                self._client.start()
                await self._attempted.wait()
            since = self._loop.time()
            await self._lost.wait()
            pause_s = backoff.next(held_s=self._loop.time() - since)
            await self._stop_client(STOP_S)
            self._hurry.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause_s)

    async def _stop_client(self, within_s: float) -> None:
        if self._halted.is_set():
            return
        self._client.stop()
        try:
            await asyncio.wait_for(self._halted.wait(), within_s)
        except TimeoutError:
            self._on_disconnected("no answer to stop")

    async def hold_offline(self) -> None:
        """Lose the connection, without a DISCONNECT, until `release_offline`; holds add up."""
        self._offline_holds += 1
        await self.disconnect()

    async def release_offline(self) -> None:
        """Connect again, as soon as the last hold is gone."""
        self._offline_holds -= 1
        if not self._offline_holds:
            await self.disconnect()  # a stop that is still under way
            self.connect()

    def reconnect_now(self) -> None:
        """Do not wait for the backoff, if it is what this locker is waiting for."""
        self._hurry.set()

    async def power_off(self, *, buffer_lost: bool) -> None:
        """Go dark; what happens at a door from now on makes no event."""
        self._powered = False
        if buffer_lost:
            while self._buffer:
                self._drop_oldest("power cut, the buffer was in memory")
        await self.hold_offline()

    async def power_on(self, keep_boot: Callable[[int], None]) -> None:
        """Boot, count up, have the counter kept, and connect."""
        self.controller.reboot(self.clock_ms() // 1000)
        keep_boot(self.controller.boot)
        self._powered = True
        await self.release_offline()

    def send(self, emission: Emission | None, wire: Wire | None = None) -> None:
        """Take an event of the controller; None (nothing changed at the door) sends nothing.

        `wire` is what happens to its first publish if there is a connection.
        """
        if emission is None or not self._powered:
            return
        self._listener.emitted(emission)
        entry = self._buffer[emission.version] = _Buffered(emission)
        if len(self._buffer) > self._capacity:
            self._drop_oldest(f"buffer of {self._capacity} is full")
        overtaken, self._overtaken = self._overtaken, []
        if wire is not None:
            self._disturb(entry, wire)
        if self._connected and not entry.held:
            self._publish(entry)
        for version in overtaken:
            self.release(version)

    def _disturb(self, entry: _Buffered, wire: Wire) -> None:
        match wire.fault:
            case Fault.DUPLICATE:
                entry.copies = 2
            case Fault.REORDER:
                entry.held = True
                self._overtaken.append(entry.emission.version)
                self._loop.call_later(REORDER_WITHIN_S, self.release, entry.emission.version)
            case Fault.DELAY:
                entry.held = True
                self._loop.call_later(wire.late_s, self.release, entry.emission.version)

    def release(self, version: int) -> None:
        """Publish an event that the wire has held back, if it still is."""
        entry = self._buffer.get(version)
        if entry is not None and entry.held:
            entry.held = False
            if self._connected and not entry.in_flight:
                self._publish(entry)

    def release_all(self) -> None:
        for version in list(self._buffer):
            self.release(version)

    async def publish_raw(self, topic: str, payload: bytes) -> mqtt5.PubackReasonCode:
        """Publish bytes that are no event, once.

        Raises
        ------
        AwsCrtError
            The connection ended before an answer.
        """
        done = await asyncio.wrap_future(self._client.publish(_packet(topic, payload)))
        return done.puback.reason_code

    def _publish(self, entry: _Buffered) -> None:
        emission = entry.emission
        entry.attempts += 1
        entry.in_flight = True
        started = time.monotonic()
        topic = door_topic(self._rule, emission.thing, emission.door, emission.kind)
        packet = _packet(topic, emission.payload())
        future: Future[Any] = self._client.publish(packet)
        if entry.attempts == 1:
            self._listener.published(emission)
            for _ in range(1, entry.copies):
                self._client.publish(packet)  # the first one's PUBACK decides
                entry.attempts += 1
        version = emission.version
        future.add_done_callback(
            lambda done: self._from_crt(
                self._on_puback, version, done, (time.monotonic() - started) * 1000
            )
        )

    def _publish_buffered(self) -> None:
        for entry in list(self._buffer.values()):
            if self._connected and not entry.in_flight and not entry.held:
                self._publish(entry)

    def _drop_oldest(self, reason: str) -> None:
        oldest = self._buffer.pop(next(iter(self._buffer)))
        self._settle(oldest, Outcome.DROPPED, reason=reason)

    def _settle(
        self,
        entry: _Buffered,
        outcome: Outcome,
        latency_ms: float | None = None,
        reason: str | None = None,
    ) -> None:
        self._listener.settled(entry.emission, outcome, entry.attempts, latency_ms, reason)

    def _on_puback(self, version: int, done: Future[Any], latency_ms: float) -> None:
        entry = self._buffer.get(version)
        if entry is None:  # dropped while in flight
            return
        entry.in_flight = False
        error = done.exception()
        if error is not None:
            self._retry(entry)
            return
        code = done.result().puback.reason_code
        if is_success(code):
            del self._buffer[version]
            self._settle(entry, Outcome.ACKNOWLEDGED, latency_ms)
        elif code in RETRYABLE:
            self._retry(entry)
        else:
            del self._buffer[version]
            self._settle(entry, Outcome.REFUSED, reason=getattr(code, "name", "unknown code"))

    def _retry(self, entry: _Buffered) -> None:
        """Now belongs to the reconnect if there is no connection, else to a jittered pause."""
        if self._connected:
            pause = random.uniform(0.5, 1.0) * min(RETRY_MAX_S, 0.25 * 2**entry.attempts)
            self._loop.call_later(pause, self._publish_buffered)

    def _on_connected(self) -> None:
        self._connected = True
        self._online.set()
        self._attempted.set()
        self._listener.connected(self)
        self._publish_buffered()
        for emission in self.controller.report(self.clock_ms()):
            self.send(emission)

    def _on_disconnected(self, reason: str) -> None:
        """May be told twice, by the disconnect and by the stop that caused it."""
        self._online.clear()
        self._attempted.set()
        self._lost.set()
        if self._connected:
            self._connected = False
            self._listener.disconnected(self, reason)

    def _on_connect_failed(self, reason: str) -> None:
        self._attempted.set()
        self._lost.set()
        self._listener.connect_failed(self, reason)

    def _on_halted(self) -> None:
        self._on_disconnected("stopped")
        self._halted.set()

    def _from_crt(self, call: Callable[..., None], *args: object) -> None:
        """Hop from awscrt's thread to the loop; a loop that has ended needs no news."""
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(call, *args)
            except RuntimeError:
                return


def _packet(topic: str, payload: bytes) -> Any:
    return mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
