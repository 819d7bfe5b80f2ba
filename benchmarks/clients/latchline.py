"""The fleet's own devices: the AWS device SDK on one event loop thread of awscrt."""

import asyncio
import sys
import time
from pathlib import Path

from benchmarks.task import CONNECT_DEADLINE_S, HANDSHAKES, Task, answer
from pipeline.contract import Thing
from simulators.connection import ConnectGate, MqttRuntime, allow_connections
from simulators.controller import Controller, DoorState, Emission
from simulators.device import Device
from simulators.ground_truth import Outcome
from simulators.provisioning import Credentials
from simulators.target import IotEndpoint


class Listener:
    """Counts, and has a publisher's next event follow its acknowledgement."""

    def __init__(self) -> None:
        self.connections = 0
        self.acknowledged = 0
        self.publishing = False
        self._devices: dict[Thing, Device] = {}

    def watch(self, device: Device) -> None:
        self._devices[device.thing] = device

    def connected(self, device: Device) -> None:
        self.connections += 1

    def disconnected(self, device: Device, reason: str) -> None:
        self.connections -= 1

    def connect_failed(self, device: Device, reason: str) -> None:
        print(f"{device.thing}: {reason}", file=sys.stderr)

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
        if self.publishing and outcome is Outcome.ACKNOWLEDGED:
            self.acknowledged += 1
            self.publish(self._devices[emission.thing])

    def publish(self, device: Device) -> None:
        controller = device.controller
        move = controller.close if controller.state("d01").open else controller.open
        device.send(move("d01", device.clock_ms()))


async def main(task: Task) -> None:
    allow_connections(len(task.lockers))
    listener = Listener()
    runtime = MqttRuntime()
    gate = ConnectGate(per_s=task.per_s, at_a_time=HANDSHAKES)
    endpoint = IotEndpoint.model_validate(
        {"endpoint": task.host, "port": task.port, "ca_file": task.ca}
    )
    devices: list[Device] = []
    answer(ready=True)
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        started = time.monotonic()
        if command == "connect":
            for locker in task.lockers:
                controller = Controller(
                    Thing.parse(locker.thing),
                    {"d01": DoorState()},
                    last_boot=0,
                    now_s=int(time.time()),
                )
                device = Device(
                    controller,
                    Credentials(controller.thing, Path(locker.key).parent),
                    endpoint,
                    rule=task.rule,
                    runtime=runtime,
                    listener=listener,
                    gate=gate,
                )
                listener.watch(device)
                devices.append(device)
                device.connect()
            while (
                listener.connections < len(devices)
                and time.monotonic() < started + CONNECT_DEADLINE_S
            ):
                await asyncio.sleep(0.1)
            answer(connected=listener.connections, seconds=time.monotonic() - started)
        elif command == "publish":
            listener.publishing = True
            for device in devices[: task.publishers]:
                listener.publish(device)
            await asyncio.sleep(task.seconds)
            listener.publishing = False
            answer(acknowledged=listener.acknowledged, seconds=time.monotonic() - started)
    await asyncio.gather(*(device.disconnect() for device in devices))


if __name__ == "__main__":
    asyncio.run(main(Task.load(sys.argv[1])))
