"""The locker controller: order over reboots, whole state in each event."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import Kind, Thing, TileStatus
from simulators.controller import Controller, DoorState, Emission, next_boot
from simulators.errors import FleetError

THING = Thing.parse("maple-court:l03")
DOORS = ("d01", "d02")
BORN_S = 1_790_000_000
AT_MS = BORN_S * 1000 + 123

VERBS: dict[str, Callable[[Controller, str], Emission | None]] = {
    "open": lambda c, d: c.open(d, AT_MS),
    "force": lambda c, d: c.force(d, AT_MS),
    "close": lambda c, d: c.close(d, AT_MS),
    "fail": lambda c, d: c.fail(d, "jammed", AT_MS),
    "clear": lambda c, d: c.clear(d, AT_MS),
    "place": lambda c, d: c.place(d),
    "take": lambda c, d: c.take(d),
}

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(VERBS)), st.sampled_from(DOORS)),
        st.tuples(st.just("reboot"), st.integers(-100_000, 100_000)),
        st.tuples(st.just("report"), st.just("")),
    ),
    max_size=60,
)


def controller(**states: DoorState) -> Controller:
    doors = {door: states.get(door, DoorState()) for door in DOORS}
    return Controller(THING, doors, last_boot=0, now_s=BORN_S)


def play(locker: Controller, script: list[tuple[str, str | int]]) -> list[Emission]:
    sent: list[Emission] = []
    for verb, argument in script:
        if verb == "reboot":
            assert isinstance(argument, int)
            locker.reboot(BORN_S + argument)
        elif verb == "report":
            sent += locker.report(AT_MS)
        else:
            event = VERBS[verb](locker, str(argument))
            sent += [] if event is None else [event]
    return sent


@pytest.mark.property
@given(steps)
def test_versions_grow_strictly_over_reboots_and_clock_steps(
    script: list[tuple[str, str | int]],
) -> None:
    """Whatever happens, and however the clock jumps at a reboot, each event outranks the last."""
    versions = [event.version for event in play(controller(), script)]
    assert versions == sorted(set(versions))


@pytest.mark.property
@given(steps)
def test_each_event_carries_the_whole_state_of_its_door(
    script: list[tuple[str, str | int]],
) -> None:
    """The last event of a door, alone, tells how the door stands."""
    locker = controller()
    sent = [*play(locker, script), *locker.report(AT_MS)]
    last = {event.door: event for event in sent}
    assert {door: event.state for door, event in last.items()} == {
        door: locker.state(door) for door in DOORS
    }


@pytest.mark.property
@given(steps)
def test_sequence_numbers_have_no_holes_within_a_boot(
    script: list[tuple[str, str | int]],
) -> None:
    """The audit of history counts on 1, 2, 3… from each boot."""
    by_boot: dict[int, list[int]] = {}
    for event in play(controller(), script):
        by_boot.setdefault(event.boot, []).append(event.seq)
    for numbers in by_boot.values():
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("verb", "before", "kind", "status"),
    [
        ("open", DoorState(), Kind.OPENED, TileStatus.OPEN),
        ("force", DoorState(occupied=True), Kind.FORCED, TileStatus.FORCED),
        ("close", DoorState(open=True, occupied=True), Kind.CLOSED, TileStatus.OCCUPIED),
        ("close", DoorState(open=True), Kind.CLOSED, TileStatus.VACANT),
        ("fail", DoorState(open=True), Kind.FAULTED, TileStatus.FAULT),
        ("clear", DoorState(fault="jammed"), Kind.CLEARED, TileStatus.VACANT),
    ],
)
def test_a_change_is_published_with_its_kind_and_status(
    verb: str, before: DoorState, kind: Kind, status: TileStatus
) -> None:
    """Every verb that changes a door publishes the kind that the contract names for it."""
    event = VERBS[verb](controller(d01=before), "d01")
    assert event is not None
    assert (event.kind, event.status) == (kind, status)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("open", DoorState(open=True)),
        ("force", DoorState(open=True)),
        ("close", DoorState()),
        ("clear", DoorState()),
        ("fail", DoorState(fault="jammed")),
    ],
)
def test_nothing_is_published_when_nothing_changed(verb: str, state: DoorState) -> None:
    """A sensor reports edges, so opening an open door is silent."""
    locker = controller(d01=state)
    assert VERBS[verb](locker, "d01") is None
    assert locker.seq == 0


@pytest.mark.unit
def test_nobody_reaches_through_a_closed_door() -> None:
    """Placing and taking need an open door."""
    locker = controller()
    locker.place("d01")
    assert not locker.state("d01").occupied


@pytest.mark.unit
def test_the_payload_has_exactly_the_fields_of_the_contract() -> None:
    """A device sends schema, boot, seq, at, open, occupied and fault, and nothing else."""
    event = controller().open("d01", AT_MS)
    assert event is not None
    assert json.loads(event.payload()) == {
        "schema": 1,
        "boot": BORN_S,
        "seq": 1,
        "at": "2026-09-21T14:13:20.123Z",
        "open": True,
        "occupied": False,
        "fault": None,
    }


@pytest.mark.unit
def test_the_boot_counter_survives_a_clock_that_went_back() -> None:
    """`max(last boot + 1, now)`: a device with a flat battery still counts on."""
    assert next_boot(BORN_S, 0) == BORN_S + 1
    assert next_boot(BORN_S, BORN_S + 60) == BORN_S + 60


@pytest.mark.unit
def test_a_door_that_is_not_there_is_named() -> None:
    """An unknown door is refused with the locker and the door in the message."""
    with pytest.raises(FleetError, match=r"maple-court:l03 has no door 'd09'"):
        controller().open("d09", AT_MS)
