"""Hypothesis strategies for events; the same event id always has the same content."""

import json
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

from hypothesis import strategies as st

from pipeline.contract import DoorEvent, Kind, PresenceEvent, Thing

AT = "2026-11-20T12:00:00.000Z"


@st.composite
def door_events(
    draw: st.DrawFn, doors: Sequence[str] = ("d01",), lockers: Sequence[str] = ("l03",)
) -> DoorEvent:
    """An event with few boots and sequence numbers, so that versions collide and interleave.

    A sequence number belongs to one door, and the content follows from the id, as on a device.
    """
    boot = draw(st.integers(1, 3))
    seq = draw(st.integers(1, 12))
    locker = draw(st.sampled_from(lockers))
    content = crc32(f"{boot}.{seq}.{locker}".encode())
    kinds = list(Kind)
    return DoorEvent(
        thing=Thing("maple-court", locker),
        door=doors[seq % len(doors)],
        kind=kinds[content % len(kinds)],
        boot=boot,
        seq=seq,
        at=AT,
        open=bool(content & 8),
        occupied=bool(content & 16),
        fault="jammed" if content % 7 == 0 else None,
        received_at=1_763_640_000_000 + draw(st.integers(0, 50)),
        trace=None,
        client=f"maple-court:{locker}",
        payload="{}",
    )


def redelivered(events: list[DoorEvent]) -> st.SearchStrategy[list[DoorEvent]]:
    """The events and some of them again, as a broker would stamp them later."""
    if not events:
        return st.just(events)
    again = st.tuples(st.sampled_from(events), st.integers(0, 50)).map(
        lambda pair: replace(pair[0], received_at=pair[0].received_at + pair[1])
    )
    return st.lists(again, max_size=6).map(lambda more: events + more)


@st.composite
def splits(draw: st.DrawFn, items: Sequence[DoorEvent]) -> list[list[DoorEvent]]:
    """The same items in batches of one to ten, as an event source mapping might cut them."""
    batches: list[list[DoorEvent]] = []
    rest = list(items)
    while rest:
        size = draw(st.integers(1, 10))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def as_payload(event: DoorEvent) -> bytes:
    """What the device would have published for the event."""
    return json.dumps(
        {
            "schema": 1,
            "boot": event.boot,
            "seq": event.seq,
            "at": event.at,
            "open": event.open,
            "occupied": event.occupied,
            "fault": event.fault,
        }
    ).encode()


@st.composite
def presence_events(draw: st.DrawFn) -> PresenceEvent:
    """Lifecycle events without any discipline: clocks, counters and sessions as they come."""
    connected = draw(st.booleans())
    return PresenceEvent(
        thing=Thing("maple-court", "l03"),
        connected=connected,
        at=draw(st.integers(0, 12)) * 60_000,
        session=f"s{draw(st.integers(0, 4))}",
        counter=draw(st.integers(0, 3)),
        reason=None if connected else draw(st.sampled_from(["CONNECTION_LOST", "CLIENT_ERROR"])),
        received_at=0,
        trace=None,
    )
