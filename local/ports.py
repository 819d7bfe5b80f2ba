"""The ports of a stack: free ones, unless a person asks for others."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from local.errors import PortTakenError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """None means any free port."""

    gateway: int | None = None
    """AWS APIs (MiniStack)."""
    mqtt: int | None = None
    """MQTT over mutual TLS."""
    realtime: int | None = None
    """GraphQL over HTTP and WebSocket."""
    dashboard: int | None = None
    """The page, over HTTP."""


@dataclass(frozen=True, slots=True)
class ChosenPorts:
    """The ports that will be bound, all different."""

    gateway: int
    mqtt: int
    realtime: int
    dashboard: int


def choose(wanted: Ports) -> ChosenPorts:
    """Raise PortTakenError naming the port and what it was meant for."""
    asked = {
        "--port": ("the AWS endpoint", wanted.gateway),
        "--mqtt-port": ("MQTT", wanted.mqtt),
        "--graphql-port": ("GraphQL", wanted.realtime),
        "--dashboard-port": ("the dashboard", wanted.dashboard),
    }
    seen: dict[int, str] = {}
    for option, (use, port) in asked.items():
        if port is None:
            continue
        if port in seen:
            raise PortTakenError(f"port {port} is asked for twice: {seen[port]} and {use}")
        seen[port] = use
        if not is_free(port):
            raise PortTakenError(
                f"port {port}, asked for as {use}, is in use: "
                f"stop what listens there, or leave {option} out for a free one"
            )
    free = iter(_free_ports(len(asked), avoid=frozenset(seen)))
    chosen = (next(free) if port is None else port for _, port in asked.values())
    return ChosenPorts(*chosen)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int, *, avoid: frozenset[int]) -> list[int]:
    # All are held open together: one at a time, the kernel may hand out the same port again.
    probes = [socket.socket() for _ in range(count + len(avoid))]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        ports = [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
    return [port for port in ports if port not in avoid][:count]
