"""One locker on the wire: MQTT 5 over mTLS, store-and-forward, every PUBACK accounted for.

An event is done with only when the broker acknowledged it with a success code. Until then it stays
in the device's buffer; whatever the connection did not survive is published again after reconnect,
so the broker may see an event twice but never not at all. After each connect every door is
reported.

awscrt calls back on its own thread; everything here that has state runs on the asyncio loop.
Nothing may be forked once `MqttRuntime` exists: awscrt's threads do not survive a fork.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from awscrt import io, mqtt5  # type: ignore[import-untyped]
from awsiot import mqtt5_client_builder  # type: ignore[import-untyped]

from pipeline.contract import Thing
from pipeline.contract import device_topic as door_topic
from simulators.controller import Controller, Emission
from simulators.ground_truth import Outcome
from simulators.provisioning import Credentials
from simulators.target import IotEndpoint

BUFFER_EVENTS = 1_000
KEEP_ALIVE_S = (30, 60)
"""AWS: 30 s is the least it honours, and a dead locker is noticed after 1.5 times the keep-alive.
Spread over the fleet so that the pings are, too."""
PING_TIMEOUT_MS = 10_000
RECONNECT_MS = (1_000, 60_000)
"""AWS: one CONNECT per second and client id."""
ACK_TIMEOUT_S = 30
STOP_S = 2.0
RETRY_MAX_S = 30.0
TOPIC_ALIASES = 8
"""AWS: topic aliases per connection."""

RETRYABLE = frozenset(
    {
        mqtt5.PubackReasonCode.UNSPECIFIED_ERROR,
        mqtt5.PubackReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
        mqtt5.PubackReasonCode.PACKET_IDENTIFIER_IN_USE,
        mqtt5.PubackReasonCode.QUOTA_EXCEEDED,
    }
)
FIRST_FAILURE_CODE = 0x80
"""MQTT 5, 2.4: reason codes below it say success."""


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


class MqttRuntime:
    """awscrt's one event loop thread, shared by every device of the process."""

    def __init__(self) -> None:
        self._group = io.EventLoopGroup(1)
        self._resolver = io.DefaultHostResolver(self._group)
        self.bootstrap = io.ClientBootstrap(self._group, self._resolver)


@dataclass(slots=True)
class _Buffered:
    emission: Emission
    attempts: int = 0
    in_flight: bool = False


class Device:
    """Must be built, driven and stopped on the event loop.

    Parameters
    ----------
    rule
        Name of the IoT rule that Basic Ingest hands the events to (it is part of the topic).
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
        buffer_events: int = BUFFER_EVENTS,
        reconnect_ms: tuple[int, int] = RECONNECT_MS,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.controller = controller
        self._rule = rule
        self._listener = listener
        self._capacity = buffer_events
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._buffer: dict[int, _Buffered] = {}
        self._connected = False
        self._online = asyncio.Event()
        self._halted = asyncio.Event()
        self._halted.set()
        self._client: Any = mqtt5_client_builder.mtls_from_path(
            str(credentials.certificate_file),
            str(credentials.key_file),
            endpoint=endpoint.endpoint,
            port=endpoint.port,
            ca_filepath=str(endpoint.ca_file) if endpoint.ca_file else None,
            client_id=str(controller.thing),
            client_bootstrap=runtime.bootstrap,
            keep_alive_interval_sec=random.randint(*KEEP_ALIVE_S),
            ping_timeout_ms=PING_TIMEOUT_MS,
            ack_timeout_sec=ACK_TIMEOUT_S,
            min_reconnect_delay_ms=reconnect_ms[0],
            max_reconnect_delay_ms=reconnect_ms[1],
            retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
            # The buffer here is the only one: what a disconnect interrupts comes back as failed.
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            topic_aliasing_options=mqtt5.TopicAliasingOptions(
                outbound_behavior=mqtt5.OutboundTopicAliasBehaviorType.LRU,
                outbound_cache_max_size=TOPIC_ALIASES,
            ),
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

    def connect(self) -> None:
        """Start to hold a connection; returns at once, `wait_connected` waits."""
        self._halted.clear()
        self._client.start()

    async def wait_connected(self) -> None:
        await self._online.wait()

    async def disconnect(self) -> None:
        """Close the connection and stay offline; events are kept until `connect`.

        Ends within STOP_S, answered or not.
        """
        if self._halted.is_set():
            return
        self._client.stop()
        try:
            await asyncio.wait_for(self._halted.wait(), STOP_S)
        except TimeoutError:
            self._on_disconnected("no answer to stop")

    def send(self, emission: Emission | None) -> None:
        """Take an event of the controller; None (nothing changed at the door) sends nothing."""
        if emission is None:
            return
        self._listener.emitted(emission)
        entry = self._buffer[emission.version] = _Buffered(emission)
        if len(self._buffer) > self._capacity:
            self._drop_oldest()
        if self._connected:
            self._publish(entry)

    def _publish(self, entry: _Buffered) -> None:
        emission = entry.emission
        entry.attempts += 1
        entry.in_flight = True
        started = time.monotonic()
        future: Future[Any] = self._client.publish(
            mqtt5.PublishPacket(
                topic=door_topic(self._rule, emission.thing, emission.door, emission.kind),
                payload=emission.payload(),
                qos=mqtt5.QoS.AT_LEAST_ONCE,
            )
        )
        if entry.attempts == 1:
            self._listener.published(emission)
        version = emission.version
        future.add_done_callback(
            lambda done: self._from_crt(
                self._on_puback, version, done, (time.monotonic() - started) * 1000
            )
        )

    def _publish_buffered(self) -> None:
        for entry in list(self._buffer.values()):
            if self._connected and not entry.in_flight:
                self._publish(entry)

    def _drop_oldest(self) -> None:
        oldest = self._buffer.pop(next(iter(self._buffer)))
        self._settle(oldest, Outcome.DROPPED, reason=f"buffer of {self._capacity} is full")

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
        if code is not None and code < FIRST_FAILURE_CODE:
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
        self._listener.connected(self)
        self._publish_buffered()
        for emission in self.controller.report(self._now_ms()):
            self.send(emission)

    def _on_disconnected(self, reason: str) -> None:
        """May be told twice, by the disconnect and by the stop that caused it."""
        self._online.clear()
        if self._connected:
            self._connected = False
            self._listener.disconnected(self, reason)

    def _on_connect_failed(self, reason: str) -> None:
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
