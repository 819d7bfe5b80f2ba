"""The floor: the same message through the broker alone, published and received by one client.

What no pipeline behind this broker could beat. The probe is a thing of its own with a policy of its
own, made for the measurement and taken away after it; the lockers' policy lets nobody subscribe.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from awscrt import mqtt5  # type: ignore[import-untyped]
from botocore.exceptions import ClientError

from latency.errors import LatencyError
from pipeline.contract import Thing
from simulators.connection import MqttRuntime, mqtt_client
from simulators.provisioning import Credentials, Provisioner, error_code
from simulators.target import Target

POLICY = "latchline-latency-probe"
PER_S = 5.0
CONNECT_S = 20.0
STOP_S = 2.0
TOPIC = "latchline/probe"
PAYLOAD_BYTES = 118
"""About what a door's event takes."""


@contextmanager
def provisioned(target: Target, keys: Path) -> Iterator[Credentials]:
    """Register a probe with IoT Core, and take everything of it away afterwards.

    Raises
    ------
    LatencyError
        IoT refused; says what a person may do.
    """
    iot = target.client("iot")
    # A name of its own each time: two measurements may run side by side.
    thing = Thing("latency-probe", f"p{random.randrange(10**8):08d}")
    policy = f"{POLICY}-{thing.locker}"
    try:
        caller = target.client("sts").get_caller_identity()
        iot.create_policy(
            policyName=policy,
            policyDocument=json.dumps(document(thing, caller["Arn"], target.region)),
        )
    except ClientError as error:
        raise LatencyError(
            f"cannot make the policy of the broker's probe ({error_code(error)}): "
            "measure without it (--no-floor), or with rights to iot:CreatePolicy"
        ) from error
    provisioner = Provisioner(target.model_copy(update={"device_policy": policy}), keys)
    try:
        (credentials,) = provisioner.provision([thing])
        yield credentials
    finally:
        provisioner.deprovision([thing])
        iot.delete_policy(policyName=policy)


def document(thing: Thing, caller: str, region: str) -> dict[str, Any]:
    """Return the policy: connect as itself; publish to, subscribe to and receive one topic.

    `caller` is an ARN of the account, which also tells the partition.
    """
    _, partition, _, _, account, _ = caller.split(":", 5)
    arn = f"arn:{partition}:iot:{region}:{account}"
    topic = f"{TOPIC}/{thing}"
    grants = {
        "iot:Connect": f"{arn}:client/{thing}",
        "iot:Publish": f"{arn}:topic/{topic}",
        "iot:Receive": f"{arn}:topic/{topic}",
        "iot:Subscribe": f"{arn}:topicfilter/{topic}",
    }
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in grants.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}


class BrokerProbe:
    """Sends itself a message now and then; `took_ms` holds (epoch ms of sending, milliseconds)."""

    def __init__(self, target: Target, credentials: Credentials, *, per_s: float = PER_S) -> None:
        self.took_ms: list[tuple[float, float]] = []
        self.failure: str | None = None
        self._target = target
        self._credentials = credentials
        self._per_s = per_s

    async def run(self) -> None:
        """Until cancelled. What fails is kept in `failure`: it must not end the run it measures."""
        loop = asyncio.get_running_loop()
        connected, stopped = asyncio.Event(), asyncio.Event()

        def on_loop(event: asyncio.Event) -> None:
            loop.call_soon_threadsafe(event.set)

        client = mqtt_client(
            self._credentials.thing,
            self._credentials,
            self._target.iot,
            MqttRuntime(),
            on_lifecycle_connection_success=lambda _: on_loop(connected),
            on_lifecycle_stopped=lambda _: on_loop(stopped),
            on_publish_received=self._received,
        )
        client.start()
        try:
            await asyncio.wait_for(connected.wait(), CONNECT_S)
            topic = f"{TOPIC}/{self._credentials.thing}"
            subscription = mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS.AT_LEAST_ONCE)
            subscribed = client.subscribe(mqtt5.SubscribePacket(subscriptions=[subscription]))
            await asyncio.wait_for(asyncio.wrap_future(subscribed), CONNECT_S)
            while True:
                # Jittered, so as not to beat in time with anything on the way.
                await asyncio.sleep(random.uniform(0.5, 1.5) / self._per_s)
                client.publish(
                    mqtt5.PublishPacket(topic=topic, payload=stamped(), qos=mqtt5.QoS.AT_LEAST_ONCE)
                )
        except Exception as error:  # noqa: BLE001  (awscrt's own, without a common base)
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            client.stop()
            await asyncio.wait_for(stopped.wait(), STOP_S)

    def _received(self, data: Any) -> None:
        """Take the time on awscrt's thread, before the event loop gets to it."""
        now = time.time_ns()
        sent = int(data.publish_packet.payload.split()[0])
        self.took_ms.append((sent / 1e6, (now - sent) / 1e6))


def stamped() -> bytes:
    """Return a payload as large as a door's event that begins with the time in nanoseconds."""
    return f"{time.time_ns()} ".encode().ljust(PAYLOAD_BYTES, b".")
