"""How a locker connects: MQTT 5 over mTLS with the device SDK, within AWS's limits.

awscrt calls back on a thread of its own. Nothing may be forked once `MqttRuntime` exists: that
thread does not survive a fork.
"""

import random
from typing import Any

from awscrt import io, mqtt5  # type: ignore[import-untyped]
from awsiot import mqtt5_client_builder  # type: ignore[import-untyped]

from pipeline.contract import Thing
from simulators.provisioning import Credentials
from simulators.target import IotEndpoint

KEEP_ALIVE_S = (30, 60)
"""AWS: 30 s is the least it honours, and a dead locker is noticed after 1.5 times the keep-alive.
Spread over the fleet so that the pings are, too."""
PING_TIMEOUT_MS = 10_000
RECONNECT_MS = (1_000, 60_000)
"""AWS: one CONNECT per second and client id."""
ACK_TIMEOUT_S = 30
TOPIC_ALIASES = 8
"""AWS: topic aliases per connection."""


class MqttRuntime:
    """awscrt's one event loop thread, shared by every device of the process."""

    def __init__(self) -> None:
        self._group = io.EventLoopGroup(1)
        self._resolver = io.DefaultHostResolver(self._group)
        self.bootstrap = io.ClientBootstrap(self._group, self._resolver)


def mqtt_client(
    thing: Thing,
    credentials: Credentials,
    endpoint: IotEndpoint,
    runtime: MqttRuntime,
    *,
    reconnect_ms: tuple[int, int] = RECONNECT_MS,
    **lifecycle: Any,
) -> Any:
    """Return a client that connects as the thing, once started.

    The SDK's defaults keep it below 100 publishes/s and 512 KB/s (AWS: what a connection may).

    Parameters
    ----------
    lifecycle
        Callbacks `on_lifecycle_*` of the SDK; they come on awscrt's thread.
    """
    return mqtt5_client_builder.mtls_from_path(
        str(credentials.certificate_file),
        str(credentials.key_file),
        endpoint=endpoint.endpoint,
        port=endpoint.port,
        ca_filepath=str(endpoint.ca_file) if endpoint.ca_file else None,
        client_id=str(thing),
        client_bootstrap=runtime.bootstrap,
        keep_alive_interval_sec=random.randint(*KEEP_ALIVE_S),
        ping_timeout_ms=PING_TIMEOUT_MS,
        ack_timeout_sec=ACK_TIMEOUT_S,
        min_reconnect_delay_ms=reconnect_ms[0],
        max_reconnect_delay_ms=reconnect_ms[1],
        retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
        # The device's buffer is the only one: what a disconnect interrupts comes back as failed.
        offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
        topic_aliasing_options=mqtt5.TopicAliasingOptions(
            outbound_behavior=mqtt5.OutboundTopicAliasBehaviorType.LRU,
            outbound_cache_max_size=TOPIC_ALIASES,
        ),
        **lifecycle,
    )
