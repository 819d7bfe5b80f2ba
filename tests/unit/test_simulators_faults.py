"""Faults: at the rates asked for, the same for the same seed; and what is spoiled is poison."""

import base64
import json
from collections import Counter
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import Kind, Thing, parse_envelope
from pipeline.errors import Poison, PoisonReason
from simulators.controller import DoorState, Emission
from simulators.courier import Place
from simulators.errors import FleetError
from simulators.faults import (
    AT_LOCKERS,
    MALFORMED,
    NO_FAULTS,
    Fault,
    Faults,
    Injection,
    injections,
    wire_faults,
)
from simulators.plan import FleetPlan
from simulators.poison import Malformed, malform

PLACES: list[Place] = list(FleetPlan(lockers=10, buildings=2, doors=3).places)
EVERY = Faults(**dict.fromkeys((fault.value for fault in AT_LOCKERS), 2.0))
HOUR_S = 3_600


def during(faults: Faults, hours: float, seed: int = 1) -> list[Injection]:
    return list(
        takewhile(lambda each: each.due_s < hours * HOUR_S, injections(faults, PLACES, seed))
    )


@pytest.mark.unit
def test_without_rates_nothing_goes_wrong() -> None:
    """No fault at a locker, none on the wire."""
    assert list(injections(NO_FAULTS, PLACES, 1)) == []
    assert set(islice(wire_faults(NO_FAULTS, 1), 1_000)) == {None}


@pytest.mark.unit
def test_faults_come_at_their_rates() -> None:
    """10 lockers, 100 hours, 2 an hour: 2,000 of each kind within five standard deviations."""
    counts = Counter(each.fault for each in during(EVERY, 100))
    for fault in AT_LOCKERS:
        assert abs(counts[fault] - 2_000) < 5 * 2_000**0.5


@pytest.mark.unit
def test_the_wire_disturbs_the_shares_asked_for() -> None:
    """Duplicates, reordering and delays exclude each other."""
    faults = Faults(duplicate=0.1, reorder=0.2, delay=0.3, delay_s=4)
    drawn = list(islice(wire_faults(faults, 5), 20_000))
    counts = Counter(None if wire is None else wire.fault for wire in drawn)
    assert counts[Fault.DUPLICATE] == pytest.approx(2_000, rel=0.1)
    assert counts[Fault.REORDER] == pytest.approx(4_000, rel=0.1)
    assert counts[Fault.DELAY] == pytest.approx(6_000, rel=0.1)
    late = [wire.late_s for wire in drawn if wire is not None and wire.fault is Fault.DELAY]
    assert sum(late) / len(late) == pytest.approx(4, rel=0.1)


@pytest.mark.unit
def test_the_same_seed_gives_the_same_faults() -> None:
    """Another seed does not; and changing one rate leaves the times of the others."""
    assert during(EVERY, 2) == during(EVERY, 2)
    assert during(EVERY, 2) != during(EVERY, 2, seed=2)
    fewer = EVERY.model_copy(update={"power_cut": 0.0})
    kept = [each for each in during(EVERY, 2) if each.fault is not Fault.POWER_CUT]
    assert during(fewer, 2) == kept


@pytest.mark.unit
def test_details_make_sense() -> None:
    """Nobody impersonates himself, floods end as they began, every reason has its turn."""
    found = during(EVERY, 20)
    assert all(each.victim != each.thing for each in found)
    assert all(each.count % 2 == 0 for each in found if each.fault is Fault.STUCK_SENSOR)
    assert [each.due_s for each in found] == sorted(each.due_s for each in found)
    malformed = [each.reason for each in found if each.fault is Fault.MALFORMED]
    assert tuple(malformed[: len(MALFORMED)]) == MALFORMED


@pytest.mark.unit
def test_a_single_locker_has_nobody_to_impersonate() -> None:
    """The other faults go on."""
    alone = [place for place in PLACES if place[0] == PLACES[0][0]]
    found = islice(injections(EVERY, alone, 1), 200)
    assert {each.fault for each in found} == set(AT_LOCKERS) - {Fault.IMPERSONATION}


def good(state: DoorState, at_ms: int) -> Emission:
    return Emission(Thing("maple-court", "l01"), "d01", Kind.OPENED, 1_790_000_000, 7, at_ms, state)


def enveloped(publish: Malformed) -> str:
    """What the rule makes of it: thing, door and kind are levels of the topic."""
    levels = publish.topic("door_events").split("/")[3:]
    return json.dumps(
        {
            "payload": base64.b64encode(publish.payload).decode(),
            "thing": levels[2],
            "door": levels[4],
            "kind": levels[5],
            "client": str(publish.thing),
            "received_at": 1,
            "trace": None,
            "type": "door",
        }
    )


@pytest.mark.property
@given(
    reason=st.sampled_from(MALFORMED),
    state=st.builds(
        DoorState, open=st.booleans(), occupied=st.booleans(), fault=st.sampled_from([None, "jam"])
    ),
    at_ms=st.integers(0, 4_102_444_800_000),
)
def test_what_is_spoiled_is_parked_for_that_reason(
    reason: PoisonReason, state: DoorState, at_ms: int
) -> None:
    """The pipeline's own parser agrees, and the mark can be found in the bytes."""
    publish = malform(good(state, at_ms), reason, "1790000000.3")
    with pytest.raises(Poison) as caught:
        parse_envelope(enveloped(publish))
    assert caught.value.reason is reason
    assert b"1790000000.3" in publish.payload


@pytest.mark.unit
@pytest.mark.parametrize("reason", sorted(set(PoisonReason) - set(MALFORMED)))
def test_no_device_can_cause_the_other_reasons(reason: PoisonReason) -> None:
    """Envelope, presence and stream are not in a locker's hands."""
    with pytest.raises(FleetError, match=reason.value):
        malform(good(DoorState(), 0), reason, "m")
