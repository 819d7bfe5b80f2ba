"""The script that everybody writes: a paho-mqtt client and a thread for each device."""

from __future__ import annotations

import sys
import threading
import time

import paho.mqtt.client as mqtt

from benchmarks.task import CONNECT_DEADLINE_S, HANDSHAKES, Sequence, Task, answer, commands


class Swarm:
    """All clients of the task."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._clients: list[mqtt.Client] = []
        self._lock = threading.Lock()
        self._connected: set[str] = set()
        self._acknowledged = 0
        self._publishing = False

    def connect(self) -> None:
        started = time.monotonic()
        for number, locker in enumerate(self._task.lockers):
            client = mqtt.Client(
                mqtt.CallbackAPIVersion.VERSION2,
                client_id=locker.thing,
                protocol=mqtt.MQTTv5,
                userdata=(locker.thing, self._task.topic(locker), Sequence()),
            )
            client.tls_set(self._task.ca, locker.certificate, locker.key)
            client.on_connect = self._on_connect
            client.on_disconnect = self._on_disconnect
            client.on_publish = self._on_publish
            client.connect_async(self._task.host, self._task.port, keepalive=45)
            client.loop_start()
            self._clients.append(client)
            time.sleep(max(0.0, started + (number + 1) / self._task.per_s - time.monotonic()))
            while (
                len(self._clients) - len(self._connected) > HANDSHAKES
                and time.monotonic() < started + CONNECT_DEADLINE_S
            ):
                time.sleep(0.01)
        while (
            len(self._connected) < len(self._clients)
            and time.monotonic() < started + CONNECT_DEADLINE_S
        ):
            time.sleep(0.1)
        answer(connected=len(self._connected), seconds=time.monotonic() - started)

    def publish(self) -> None:
        started = time.monotonic()
        self._publishing = True
        for client in self._clients[: self._task.publishers]:
            self._next(client, client.user_data_get())
        time.sleep(self._task.seconds)
        self._publishing = False
        answer(acknowledged=self._acknowledged, seconds=time.monotonic() - started)

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()

    def _next(self, client: mqtt.Client, userdata: tuple[str, str, Sequence]) -> None:
        _, topic, sequence = userdata
        client.publish(topic, sequence.next(), qos=1)

    def _on_connect(self, _client, userdata, _flags, reason, _properties) -> None:
        if reason.is_failure:
            print(f"{userdata[0]}: {reason}", file=sys.stderr)
            return
        with self._lock:
            self._connected.add(userdata[0])

    def _on_disconnect(self, _client, userdata, _flags, _reason, _properties) -> None:
        with self._lock:
            self._connected.discard(userdata[0])

    def _on_publish(self, client, userdata, _mid, _reason, _properties) -> None:
        if self._publishing:
            with self._lock:
                self._acknowledged += 1
            self._next(client, userdata)


if __name__ == "__main__":
    swarm = Swarm(Task.load(sys.argv[1]))
    commands({"connect": swarm.connect, "publish": swarm.publish})
    swarm.close()
