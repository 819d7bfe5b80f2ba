"""The locker's controller as a pure state machine: no clock, no file, no network.

What happens at a door goes in as a verb, and what a real controller would publish comes out. A
verb that changes nothing (opening an open door) publishes nothing, as a door sensor reports edges.

    verb      from                 to                      published
    open      closed               open                    opened
    force     closed               open                    forced
    place     open, empty          open, occupied          (seen by the next event)
    take      open, occupied       open, empty             (seen by the next event)
    close     open                 closed                  closed
    fail      no fault             fault                   faulted
    clear     fault                no fault                cleared
    report    any                  the same                reported

Every event carries the whole state of its door. (boot, seq) grows with each event and over reboots:
`boot = max(last boot + 1, now)` keeps it growing although the clock may have gone back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.contract import SCHEMA, Kind, Thing, TileStatus, event_id, tile_status, version_of
from simulators.errors import FleetError


@dataclass(frozen=True, slots=True)
class DoorState:
    open: bool = False
    occupied: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """One event as the controller made it. `at_ms` is the device's clock, epoch milliseconds."""

    thing: Thing
    door: str
    kind: Kind
    boot: int
    seq: int
    at_ms: int
    state: DoorState

    @property
    def version(self) -> int:
        return version_of(self.boot, self.seq)

    @property
    def event_id(self) -> str:
        return event_id(self.thing, self.door, self.boot, self.seq)

    @property
    def status(self) -> TileStatus:
        return tile_status(
            kind=self.kind,
            open=self.state.open,
            occupied=self.state.occupied,
            fault=self.state.fault,
        )

    @property
    def at(self) -> str:
        moment = datetime.fromtimestamp(self.at_ms / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def payload(self) -> bytes:
        """Return the JSON a device publishes, in the contract's field order."""
        fields = {
            "schema": SCHEMA,
            "boot": self.boot,
            "seq": self.seq,
            "at": self.at,
            "open": self.state.open,
            "occupied": self.state.occupied,
            "fault": self.state.fault,
        }
        return json.dumps(fields, separators=(",", ":")).encode()


class Controller:
    """The doors of one locker and the counters that order its events.

    Parameters
    ----------
    doors
        How the doors stand when the controller boots.
    last_boot
        The boot counter kept from the run before, 0 for a factory-new controller. The caller
        persists `boot` before the first event leaves the device.
    now_s
        The device's clock at boot, epoch seconds.
    """

    def __init__(
        self,
        thing: Thing,
        doors: Mapping[str, DoorState],
        *,
        last_boot: int,
        now_s: int,
    ) -> None:
        self.thing = thing
        self._doors = dict(doors)
        self._boot = next_boot(last_boot, now_s)
        self._seq = 0

    @property
    def boot(self) -> int:
        return self._boot

    @property
    def seq(self) -> int:
        """The last sequence number used in this boot, 0 before the first event."""
        return self._seq

    @property
    def doors(self) -> tuple[str, ...]:
        return tuple(self._doors)

    def state(self, door: str) -> DoorState:
        try:
            return self._doors[door]
        except KeyError:
            raise FleetError(f"{self.thing} has no door {door!r}") from None

    def open(self, door: str, at_ms: int) -> Emission | None:
        return self._change(door, Kind.OPENED, at_ms, replace(self.state(door), open=True))

    def force(self, door: str, at_ms: int) -> Emission | None:
        return self._change(door, Kind.FORCED, at_ms, replace(self.state(door), open=True))

    def close(self, door: str, at_ms: int) -> Emission | None:
        return self._change(door, Kind.CLOSED, at_ms, replace(self.state(door), open=False))

    def fail(self, door: str, fault: str, at_ms: int) -> Emission | None:
        return self._change(door, Kind.FAULTED, at_ms, replace(self.state(door), fault=fault))

    def clear(self, door: str, at_ms: int) -> Emission | None:
        return self._change(door, Kind.CLEARED, at_ms, replace(self.state(door), fault=None))

    def place(self, door: str) -> None:
        self._fill(door, occupied=True)

    def take(self, door: str) -> None:
        self._fill(door, occupied=False)

    def report(self, at_ms: int) -> list[Emission]:
        """Report every door, as is done after each connect."""
        return [
            self._emit(door, Kind.REPORTED, at_ms, state) for door, state in self._doors.items()
        ]

    def reboot(self, now_s: int) -> None:
        """Start a new boot; the doors stay as they are, since they are not in the controller."""
        self._boot = next_boot(self._boot, now_s)
        self._seq = 0

    def _fill(self, door: str, *, occupied: bool) -> None:
        state = self.state(door)
        if state.open:  # nobody reaches through a closed door
            self._doors[door] = replace(state, occupied=occupied)

    def _change(self, door: str, kind: Kind, at_ms: int, after: DoorState) -> Emission | None:
        if after == self._doors[door]:
            return None
        self._doors[door] = after
        return self._emit(door, kind, at_ms, after)

    def _emit(self, door: str, kind: Kind, at_ms: int, state: DoorState) -> Emission:
        self._seq += 1
        return Emission(self.thing, door, kind, self._boot, self._seq, at_ms, state)


def next_boot(last_boot: int, now_s: int) -> int:
    """Count on although the clock may have gone back; a new device starts at its clock."""
    return max(last_boot + 1, now_s)
