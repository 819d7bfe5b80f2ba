"""The merge: why order, duplicates and replays cannot make a wrong tile.

Both states here are joins of a semilattice: `join(a, b)` is commutative, associative and
idempotent, so the result depends on *which* events have been seen and on nothing else.
tests/property holds that to be so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.contract import DoorEvent, PresenceEvent

CLOCK_SLACK_MS = 240_000
"""AWS: the timestamp of a lifecycle event is good to ±2 min, so two may be 4 min apart in error."""


def tile_order(event: DoorEvent) -> tuple[int, int]:
    """The event with the greatest is the tile.

    Version first. A redelivery has the version, and so the content, of its original, but the broker
    may have stamped it later: the earliest stamp counts, so that even the timestamps do not depend
    on order.
    """
    return event.version, -event.received_at


REGRESSED_AFTER_MS = 15 * 60_000
"""Longer than a reconnected controller takes for what it has buffered, and than any retry here."""


def boot_regressed(*, boot: int, received_at: int, held_boot: int, held_received_at: int) -> bool:
    """Whether an event that lost to its door's tile says that its controller's boot went back.

    Such a controller (its counter lost, its clock in 1970) is ignored until it passes its old boot.
    An event of an older boot is ordinary where it was stored and forwarded: then the broker has it
    first, or at most the length of the drain after the newer boot's first event. `received_at` is
    the broker's, and redrives and replays keep it. So a later stamp by a quarter of an hour means
    that the lower boot is the one that lives. docs/operations.md#boot-regressed weighs the cases.
    """
    return boot < held_boot and received_at - held_received_at > REGRESSED_AFTER_MS


def newest(events: Iterable[DoorEvent]) -> DoorEvent:
    """The tile that these events of one door make; raise ValueError if there is none."""
    return max(events, key=tile_order)


@dataclass(frozen=True, slots=True, order=True)
class Session:
    """A connection that began; ordered by the broker's clock, then its counter, then its id."""

    at: int
    counter: int
    session: str


@dataclass(frozen=True, slots=True, order=True)
class Disconnect:
    """The end of a session, by the broker's clock in epoch ms."""

    at: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LockerPresence:
    """What is known of a locker's connection.

    `latest` is the newest connect. `disconnects` are the ends, by session, that could still matter:
    a `disconnected` counts only for the session it names, which may be one whose `connected` is
    still on its way. Ends older than the latest connect by more than the clock's slack belong to
    sessions that have lost and are dropped.
    """

    latest: Session | None = None
    disconnects: Mapping[str, Disconnect] = field(default_factory=dict)

    @property
    def connected(self) -> bool:
        return self.latest is not None and self.latest.session not in self.disconnects

    @property
    def since(self) -> int:
        """Epoch ms of the connect, or of the disconnect, that made it so."""
        return self._deciding.at

    @property
    def reason(self) -> str | None:
        """AWS's disconnectReason while disconnected."""
        deciding = self._deciding
        return (deciding.reason or None) if isinstance(deciding, Disconnect) else None

    @property
    def _deciding(self) -> Session | Disconnect:
        if self.latest is None:
            return max(self.disconnects.values(), default=Disconnect(0))
        return self.disconnects.get(self.latest.session, self.latest)


def presence_of(event: PresenceEvent) -> LockerPresence:
    """What one lifecycle event says on its own."""
    if event.connected:
        return LockerPresence(Session(event.at, event.counter, event.session))
    return LockerPresence(None, {event.session: Disconnect(event.at, event.reason or "")})


def join_presence(a: LockerPresence, b: LockerPresence) -> LockerPresence:
    """Everything that is known when both are: commutative, associative, idempotent."""
    latest = max((s for s in (a.latest, b.latest) if s is not None), default=None)
    disconnects = dict(a.disconnects)
    for session, end in b.disconnects.items():
        disconnects[session] = max(end, disconnects.get(session, end))
    if latest is not None:
        oldest = latest.at - CLOCK_SLACK_MS
        disconnects = {session: end for session, end in disconnects.items() if end.at >= oldest}
    return LockerPresence(latest, disconnects)


def locker_online(*, connected: bool, since: int, last_received_at: int | None) -> bool:
    """Whether a viewer shows the locker alive.

    `last_received_at` is the newest `received_at` among its tiles: an event received after the
    disconnect proves that the locker is back, although its `connected` may still be on its way.
    """
    return connected or (last_received_at is not None and last_received_at > since)
