"""The merge is a join: which events were seen decides, and nothing else."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import DoorEvent, Kind, PresenceEvent, Thing
from pipeline.merge import (
    CLOCK_SLACK_MS,
    LockerPresence,
    join_presence,
    locker_online,
    newest,
    presence_of,
    tile_order,
)
from tests.support.strategies import door_events, presence_events, redelivered, splits

pytestmark = pytest.mark.property

LOCKER = Thing("maple-court", "l03")


def joined(events: list[PresenceEvent]) -> LockerPresence:
    state = LockerPresence()
    for event in events:
        state = join_presence(state, presence_of(event))
    return state


@given(st.lists(door_events(), min_size=1).flatmap(redelivered), st.data())
def test_the_tile_is_the_highest_version(events: list[DoorEvent], data: st.DataObject):
    """For any order, duplicates and split into batches the tile is that of the highest version."""
    expected = max(events, key=lambda event: (event.version, -event.received_at))
    shuffled = data.draw(st.permutations(events))
    held: DoorEvent | None = None
    for batch in data.draw(splits(shuffled)):
        best = newest(batch)
        if held is None or tile_order(best) > tile_order(held):
            held = best
    assert held is not None
    assert (held.version, held.received_at) == (expected.version, expected.received_at)
    assert held.status is expected.status


@given(st.lists(presence_events()), st.data())
def test_presence_depends_on_the_set_of_events(events: list[PresenceEvent], data: st.DataObject):
    """Any order, with any events repeated, gives the same state."""
    again = data.draw(st.lists(st.sampled_from(events))) if events else []
    shuffled = data.draw(st.permutations(events + again))
    assert joined(shuffled) == joined(events)


@given(st.lists(presence_events()), st.lists(presence_events()), st.lists(presence_events()))
def test_presence_join_is_a_semilattice(
    a: list[PresenceEvent], b: list[PresenceEvent], c: list[PresenceEvent]
):
    """Commutative, associative, idempotent: batches may be joined in any grouping."""
    x, y, z = joined(a), joined(b), joined(c)
    assert join_presence(x, y) == join_presence(y, x)
    assert join_presence(join_presence(x, y), z) == join_presence(x, join_presence(y, z))
    assert join_presence(x, x) == x


@given(st.lists(st.integers(min_value=1, max_value=1_000_000), min_size=1, unique=True), st.data())
def test_orderly_sessions_end_in_the_last_ones_state(moments: list[int], data: st.DataObject):
    """Sessions that follow each other show the last one's state, in whatever order told."""
    moments.sort()
    events = []
    for counter, (begin, end) in enumerate(pairwise([*moments, moments[-1] + 10])):
        events.append(lifecycle(f"s{counter}", begin, counter, connected=True))
        events.append(lifecycle(f"s{counter}", end, counter, connected=False))
    still_up = data.draw(st.booleans())
    if still_up:
        events.pop()
    state = joined(data.draw(st.permutations(events)))
    assert state.connected is still_up
    assert state.since == (moments[-1] if still_up else moments[-1] + 10)


def test_a_takeover_does_not_grey_the_locker():
    """The old session's late disconnect, stamped after the new connect, counts only for itself."""
    state = joined(
        [
            lifecycle("s1", 1_000, 1, connected=True),
            lifecycle("s2", 5_000, 2, connected=True),
            lifecycle("s1", 5_400, 1, connected=False),
        ]
    )
    assert state.connected
    assert state.since == 5_000


def test_a_disconnect_may_arrive_before_its_connect():
    """The end of a session that nobody has heard of waits for its beginning."""
    end = lifecycle("s2", 9_000, 2, connected=False)
    before = joined([lifecycle("s1", 1_000, 1, connected=True), end])
    assert before.connected
    after = joined(
        [lifecycle("s1", 1_000, 1, connected=True), end, lifecycle("s2", 8_000, 2, connected=True)]
    )
    assert not after.connected
    assert after.since == 9_000
    assert after.reason == "CONNECTION_LOST"


def test_old_disconnects_are_dropped():
    """A flapping client does not make its item grow for ever."""
    events = [lifecycle(f"s{n}", n * CLOCK_SLACK_MS, n, connected=False) for n in range(1, 50)]
    state = joined([*events, lifecycle("s50", 50 * CLOCK_SLACK_MS, 50, connected=True)])
    assert set(state.disconnects) == {"s49"}


def test_a_later_door_event_shows_the_locker_alive():
    """An event received after the disconnect proves that the locker is back."""
    assert locker_online(connected=False, since=5_000, last_received_at=5_001)
    assert not locker_online(connected=False, since=5_000, last_received_at=5_000)
    assert not locker_online(connected=False, since=5_000, last_received_at=None)
    assert locker_online(connected=True, since=5_000, last_received_at=None)


def test_nothing_known_is_not_connected():
    """A locker that has never been heard of is not shown as connected."""
    assert not LockerPresence().connected
    assert LockerPresence().reason is None


def lifecycle(session: str, at: int, counter: int, *, connected: bool) -> PresenceEvent:
    return PresenceEvent(
        thing=LOCKER,
        connected=connected,
        at=at,
        session=session,
        counter=counter,
        reason=None if connected else "CONNECTION_LOST",
        received_at=at,
        trace=None,
    )


def test_kinds_do_not_matter_for_order():
    """Only the version orders events; a later `closed` of a lower version stays behind."""
    first = door_event(seq=2, kind=Kind.FORCED)
    late = door_event(seq=1, kind=Kind.CLOSED)
    assert newest([late, first]) is first


def door_event(*, seq: int, kind: Kind) -> DoorEvent:
    return DoorEvent(
        thing=LOCKER, door="d01", kind=kind, boot=1, seq=seq, at="2026-11-20T12:00:00.000Z",
        open=True, occupied=False, fault=None, received_at=1, trace=None, client=None, payload="{}",
    )  # fmt: skip
