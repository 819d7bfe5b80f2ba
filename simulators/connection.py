"""How a locker connects: MQTT 5 over mTLS with the device SDK, within AWS's limits.

When it does is the device's decision, not the SDK's: all lockers of a process take turns at one
`ConnectGate`, at the start and after a broker was lost.

awscrt calls back on a thread of its own. Nothing may be forked once `MqttRuntime` exists: that
thread does not survive a fork.
"""

import asyncio
import random
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from awscrt import io, mqtt5  # type: ignore[import-untyped]
from awsiot import mqtt5_client_builder  # type: ignore[import-untyped]

from pipeline.contract import Thing
from simulators.errors import FleetError
from simulators.provisioning import Credentials
from simulators.target import IotEndpoint

KEEP_ALIVE_S = (30, 60)
"""AWS: 30 s is the least it honours, and a dead locker is noticed after 1.5 times the keep-alive.
Spread over the fleet so that the pings are, too."""
PING_TIMEOUT_MS = 10_000
CONNECTS_PER_S = 100.0
"""AWS: 500 CONNECTs per second and account."""
HANDSHAKES = 32
"""Connections that are being opened at a time. A broker that is asked for more TLS handshakes than
it can do in their ten seconds finishes none of them, and their repeats keep it at that."""
RECONNECT_MS = (1_000, 60_000)
"""AWS: one CONNECT per second and client id."""
STEADY_S = 30.0
"""A connection that was held so long starts the backoff anew."""
SDK_RECONNECT_MS = 3_600_000
"""Whoever started the SDK's client stops it first."""
SPARE_FILES = 256
"""Open files of a process besides its connections."""
ACK_TIMEOUT_S = 30
TOPIC_ALIASES = 8
"""AWS: topic aliases per connection."""


class MqttRuntime:
    """awscrt's one event loop thread, shared by every device of the process."""

    def __init__(self) -> None:
        self._group = io.EventLoopGroup(1)
        self._resolver = io.DefaultHostResolver(self._group)
        self.bootstrap = io.ClientBootstrap(self._group, self._resolver)


class ConnectGate:
    """Lets lockers connect in turn: so many a second, evenly, and so many at a time.

    First come, first served: whoever cannot connect goes to the end of the line, and nobody waits
    for ever.
    """

    def __init__(self, *, per_s: float = CONNECTS_PER_S, at_a_time: int = HANDSHAKES) -> None:
        self._interval_s = 1.0 / per_s
        self._next = 0.0
        self._free = asyncio.Semaphore(at_a_time)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold it for one attempt to connect, until that has succeeded or failed."""
        async with self._free:
            now = asyncio.get_running_loop().time()
            due = max(self._next, now)
            self._next = due + self._interval_s
            await asyncio.sleep(due - now)
            yield


class Backoff:
    """Pauses before a reconnect, in seconds: full jitter above the least, the ceiling doubles."""

    def __init__(self, least_ms: int, most_ms: int) -> None:
        self._least_s, self._most_s = least_ms / 1000, most_ms / 1000
        self._attempts = 0

    def next(self, held_s: float) -> float:
        """Return the pause after an attempt that led to a connection of so many seconds, or 0."""
        self._attempts = 1 if held_s >= STEADY_S else self._attempts + 1
        # 2**1000 is no float any more, and 60 s are reached long before.
        ceiling = min(self._most_s, self._least_s * 2.0 ** min(self._attempts, 32))
        return random.uniform(self._least_s, ceiling)


def allow_connections(count: int) -> None:
    """Let this process hold so many, by raising its limit of open files as far as needed.

    Raises
    ------
    FleetError
        The hard limit is below that; only its owner or the administrator can raise it.
    """
    needed = count + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise FleetError(
            f"{count} lockers need {needed} open files, and this process may have {hard}: run fewer"
            " lockers, or raise the hard limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def mqtt_client(
    thing: Thing,
    credentials: Credentials,
    endpoint: IotEndpoint,
    runtime: MqttRuntime,
    **lifecycle: Any,
) -> Any:
    """Return a client that connects as the thing, once for each start.

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
        min_reconnect_delay_ms=SDK_RECONNECT_MS,
        max_reconnect_delay_ms=SDK_RECONNECT_MS,
        retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.NONE,
        # The device's buffer is the only one: what a disconnect interrupts comes back as failed.
        offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
        topic_aliasing_options=mqtt5.TopicAliasingOptions(
            outbound_behavior=mqtt5.OutboundTopicAliasBehaviorType.LRU,
            outbound_cache_max_size=TOPIC_ALIASES,
        ),
        **lifecycle,
    )
