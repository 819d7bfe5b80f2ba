"""Single lockers on the device SDK, driven by a test door by door."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Self

from awscrt import mqtt5

from pipeline.contract import Kind, Thing, device_topic
from simulators.controller import Controller, DoorState, Emission
from simulators.device import Device, MqttRuntime
from simulators.ground_truth import Outcome
from simulators.provisioning import Provisioner
from simulators.target import Target

CONNECT_S = 20.0


class Quiet:
    """A listener that only counts."""

    def __init__(self) -> None:
        self.acknowledged: list[Emission] = []
        self.refused: list[str] = []

    def connected(self, device: Device) -> None: ...

    def disconnected(self, device: Device, reason: str) -> None: ...

    def connect_failed(self, device: Device, reason: str) -> None: ...

    def emitted(self, emission: Emission) -> None: ...

    def published(self, emission: Emission) -> None: ...

    def settled(
        self,
        emission: Emission,
        outcome: Outcome,
        attempts: int,
        latency_ms: float | None,
        reason: str | None,
    ) -> None:
        if outcome is Outcome.ACKNOWLEDGED:
            self.acknowledged.append(emission)
        else:
            self.refused.append(reason or outcome.value)


class Lockers:
    """Provisions and connects lockers of a building of its own; all are stopped at the end."""

    _runtime: MqttRuntime | None = None

    def __init__(self, target: Target, keys: Path) -> None:
        self.target = target
        self.building = f"b-{uuid.uuid4().hex[:10]}"
        self.listener = Quiet()
        self._provisioner = Provisioner(target, keys)
        self._devices: list[Device] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(device.disconnect() for device in self._devices))

    async def connect(self, locker: str = "l01", doors: tuple[str, ...] = ("d01", "d02")) -> Device:
        """A connected locker of this building, with the device SDK over mTLS."""
        thing = Thing(self.building, locker)
        (credentials,) = await asyncio.to_thread(self._provisioner.provision, [thing])
        if Lockers._runtime is None:
            Lockers._runtime = MqttRuntime()
        device = Device(
            Controller(
                thing, {door: DoorState() for door in doors}, last_boot=0, now_s=int(time.time())
            ),
            credentials,
            self.target.iot,
            rule=self.target.door_rule,
            runtime=Lockers._runtime,
            listener=self.listener,
            reconnect_ms=(100, 1_000),
        )
        self._devices.append(device)
        device.connect()
        await asyncio.wait_for(device.wait_connected(), CONNECT_S)
        return device


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def publish_raw(
    device: Device, door: str, kind: Kind, payload: bytes, *, thing: Thing | None = None
) -> int:
    """Publish bytes of the test's choice; return MQTT's reason code."""
    topic = device_topic("door_events", thing or device.thing, door, kind)
    packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
    done = await asyncio.wrap_future(device._client.publish(packet))
    return int(done.puback.reason_code)
