"""Locust, the load tool, with its own MQTT users (on gevent, the selectors loop switched on)."""

from __future__ import annotations

from locust import User  # isort: skip  (first: it has gevent patch the standard library)

import os
import sys
import time
from typing import ClassVar

import gevent
import paho.mqtt.client as mqtt
from locust.contrib.mqtt import MqttClient
from locust.env import Environment

from benchmarks.task import CONNECT_DEADLINE_S, Locker, Sequence, Task, answer

TASK = Task.load(sys.argv[1])
LOCKERS = iter(TASK.lockers)


class Swarm:
    """What all users of the process have done."""

    connected: ClassVar[set[str]] = set()
    acknowledged = 0
    publishing = False


class LockerUser(User):
    """One device; publishes once told to."""

    def on_start(self) -> None:
        locker: Locker = next(LOCKERS)
        self.topic, self.sequence = TASK.topic(locker), Sequence()
        self.thing = locker.thing
        self.client = MqttClient(
            mqtt.CallbackAPIVersion.VERSION2,
            environment=self.environment,
            client_id=locker.thing,
            protocol=mqtt.MQTTv5,
            use_loop_selectors=True,
        )
        self.client.tls_set(TASK.ca, locker.certificate, locker.key)
        self.client.on_connect = lambda *_: Swarm.connected.add(locker.thing)
        self.client.on_disconnect = lambda *_: Swarm.connected.discard(locker.thing)
        self.client.on_publish = self.acknowledged
        self.client.connect_async(TASK.host, TASK.port, keepalive=45)
        self.client.loop_start()

    def acknowledged(self, *_: object) -> None:
        if Swarm.publishing:
            Swarm.acknowledged += 1
            self.publish()

    def publish(self) -> None:
        self.client.publish(self.topic, self.sequence.next(), qos=1)

    def run(self) -> None:
        self.on_start()
        gevent.sleep(float("1e9"))


def main() -> None:
    environment = Environment(user_classes=[LockerUser])
    runner = environment.create_local_runner()
    answer(ready=True)
    threads = gevent.get_hub().threadpool
    while command := threads.apply(sys.stdin.readline).strip():
        started = time.monotonic()
        if command == "connect":
            runner.start(len(TASK.lockers), spawn_rate=TASK.per_s)
            while (
                len(Swarm.connected) < len(TASK.lockers)
                and time.monotonic() < started + CONNECT_DEADLINE_S
            ):
                gevent.sleep(0.1)
            answer(connected=len(Swarm.connected), seconds=time.monotonic() - started)
        else:
            Swarm.publishing = True
            things = {locker.thing for locker in TASK.lockers[: TASK.publishers]}
            for user in runner.user_greenlets:
                if (each := user.args[0]).thing in things:
                    each.publish()
            gevent.sleep(TASK.seconds)
            Swarm.publishing = False
            answer(acknowledged=Swarm.acknowledged, seconds=time.monotonic() - started)
    # Locust would wait for every user; the broker learns of the end from the sockets.
    os._exit(0)


if __name__ == "__main__":
    main()
