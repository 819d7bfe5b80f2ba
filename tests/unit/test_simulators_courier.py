"""Traffic: the same for the same seed, at the rate asked for, and as people behave."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract import Thing
from simulators.controller import DoorState
from simulators.courier import MAX_OPEN_SHARE, Action, Behaviour, Place, Step, Traffic, after
from simulators.errors import FleetError
from simulators.fleet import FleetPlan
from simulators.profile import Curve

PLACES: list[Place] = FleetPlan(lockers=20, buildings=2, doors=4).places  # type: ignore[assignment]


def traffic(*, rate: float = 10.0, seed: int = 7, duration_s: float = 120.0) -> Traffic:
    return Traffic(PLACES, rate=rate, seed=seed, duration_s=duration_s)


@pytest.mark.property
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.5, 40))
def test_the_same_seed_gives_the_same_actions(seed: int, rate: float) -> None:
    """A run can be repeated action for action, initial picture included."""
    one = traffic(rate=rate, seed=seed, duration_s=20)
    two = traffic(rate=rate, seed=seed, duration_s=20)
    assert one.initial == two.initial
    assert [*map(fields, one)] == [*map(fields, two)]


@pytest.mark.property
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.5, 200))
def test_people_open_closed_doors_and_close_open_ones(seed: int, rate: float) -> None:
    """At each door visits follow each other, deliver into empty ones and collect from full ones."""
    run = traffic(rate=rate, seed=seed, duration_s=20)
    doors = dict(run.initial)
    for action in run:
        before = doors[action.thing, action.door]
        match action.step:
            case Step.OPEN:
                assert not before.open
                after = DoorState(open=True, occupied=before.occupied)
            case Step.CLOSE_FILLED:
                assert before == DoorState(open=True, occupied=False)
                after = DoorState(occupied=True)
            case Step.CLOSE_EMPTIED:
                assert before == DoorState(open=True, occupied=True)
                after = DoorState()
        doors[action.thing, action.door] = after


@pytest.mark.unit
def test_actions_come_in_order_and_within_the_duration() -> None:
    """Due times never go back and stay below the duration."""
    due = [action.due_s for action in traffic()]
    assert all(earlier <= later for earlier, later in pairwise(due))
    assert due[0] >= 0
    assert due[-1] < 120


@pytest.mark.unit
@pytest.mark.parametrize("rate", [2.0, 10.0, 30.0])
def test_the_rate_is_the_target_from_the_first_seconds_on(rate: float) -> None:
    """The process is stationary: both thirds of a run have the rate, within its randomness."""
    actions = list(traffic(rate=rate, duration_s=300))
    for begin in (0, 200):
        found = sum(begin <= action.due_s < begin + 100 for action in actions)
        expected = rate * 100
        assert abs(found - expected) < 5 * (2 * expected) ** 0.5


@pytest.mark.unit
def test_the_picture_stays_plausible_at_a_city_s_rate() -> None:
    """50 events/s over 800 doors: about half hold a parcel and few stand open."""
    plan = FleetPlan(lockers=200, buildings=10, doors=4, rate=50, duration_s=60)
    run = plan.traffic()
    doors = dict(run.initial)
    for action in run:
        before = doors[action.thing, action.door]
        is_open = action.step is Step.OPEN
        occupied = before.occupied if is_open else action.step is Step.CLOSE_FILLED
        doors[action.thing, action.door] = DoorState(open=is_open, occupied=occupied)
    share_open = sum(door.open for door in doors.values()) / len(doors)
    share_full = sum(door.occupied for door in doors.values()) / len(doors)
    assert share_open < 1.5 * MAX_OPEN_SHARE
    assert 0.35 < share_full < 0.65
    assert run.skipped == 0


@pytest.mark.unit
def test_deliveries_and_collections_balance() -> None:
    """Over a while as many parcels leave as arrive."""
    steps = Counter(action.step for action in traffic(duration_s=600))
    assert abs(steps[Step.CLOSE_FILLED] - steps[Step.CLOSE_EMPTIED]) <= len(PLACES)


@pytest.mark.unit
def test_now_and_then_a_door_is_left_open() -> None:
    """A few visits last many times as long as the others."""
    opened: dict[Place, float] = {}
    stood: list[float] = []
    for action in traffic(rate=20, duration_s=600):
        place = (action.thing, action.door)
        if action.step is Step.OPEN:
            opened[place] = action.due_s
        elif place in opened:
            stood.append(action.due_s - opened.pop(place))
    stood.sort()
    median = stood[len(stood) // 2]
    assert 0 < sum(seconds > 4 * median for seconds in stood) < 0.05 * len(stood)


@pytest.mark.unit
def test_a_rate_above_what_the_doors_can_take_is_counted_not_hidden() -> None:
    """Visits that find every door open are skipped and reported."""
    one_door = [(Thing("maple-court", "l01"), "d01")]
    run = Traffic(one_door, rate=100, seed=1, duration_s=10, dwell_scale=1.0)
    list(run)
    assert run.skipped > 0


@pytest.mark.unit
@pytest.mark.parametrize(("rate", "scale"), [(0, None), (-1, None), (1, 0)])
def test_impossible_parameters_are_refused(rate: float, scale: float | None) -> None:
    """The value that makes no sense is in the message."""
    with pytest.raises(FleetError, match=r"must be above 0"):
        Traffic(PLACES, rate=rate, seed=1, duration_s=1, dwell_scale=scale)


@pytest.mark.unit
def test_visits_are_spread_over_all_doors() -> None:
    """No door is a favourite."""
    visits: dict[Place, int] = defaultdict(int)
    for action in traffic(rate=40, duration_s=600):
        visits[action.thing, action.door] += 1
    assert set(visits) == set(PLACES)


LIVELY = Behaviour(left_open=0.05, forced=0.05, jammed=0.1, bounce=0.2)


def lively(*, rate: float = 5.0, duration_s: float = 1_200.0, seed: int = 3) -> Traffic:
    return Traffic(PLACES, rate=rate, seed=seed, duration_s=duration_s, behaviour=LIVELY)


@pytest.mark.property
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.5, 60))
def test_every_step_changes_the_door_it_is_done_at(seed: int, rate: float) -> None:
    """However lively: doors are opened when closed, closed when open, jammed and cleared in turn.

    Whoever leaves with a parcel found one, and only a good lock is closed.
    """
    run = lively(rate=rate, duration_s=60, seed=seed)
    doors = dict(run.initial)
    for action in run:
        before = doors[action.place]
        doors[action.place] = after(before, action.step)
        match action.step:
            case Step.OPEN | Step.FORCE:
                assert before == DoorState(occupied=before.occupied)
            case Step.CLOSE | Step.CLOSE_FILLED | Step.CLOSE_EMPTIED:
                assert before == DoorState(open=True, occupied=before.occupied)
                assert before.occupied is (action.step is Step.CLOSE_EMPTIED) or (
                    action.step is Step.CLOSE
                )
            case Step.JAM:
                assert before == DoorState(open=True, occupied=before.occupied)
            case Step.CLEAR:
                assert before.open
                assert before.fault == "jammed"


@pytest.mark.unit
def test_now_and_then_doors_are_forced_jam_or_bounce() -> None:
    """Each in its share of the visits, within its randomness."""
    steps = Counter(action.step for action in lively(rate=10, duration_s=3_000))
    visits = steps[Step.CLOSE_FILLED] + steps[Step.CLOSE_EMPTIED]
    assert steps[Step.FORCE] == pytest.approx(0.05 * visits, rel=0.2)
    assert steps[Step.JAM] == pytest.approx(0.1 * visits, rel=0.2)
    assert steps[Step.CLOSE] == pytest.approx(2 * 0.2 * visits, rel=0.2)


@pytest.mark.unit
def test_the_rate_counts_bounces_and_faults_as_well() -> None:
    """Lively doors have fewer visits, so that the events are as many as asked for."""
    found = sum(1 for _ in lively(rate=5, duration_s=4_000))
    assert found == pytest.approx(20_000, rel=0.05)


@pytest.mark.unit
def test_visits_follow_the_curve() -> None:
    """Three times the weight is three times the events, and the mean is the rate."""
    curve = Curve([(0, 1), (1_000, 1), (1_000, 3), (2_000, 3)])
    run = Traffic(PLACES, rate=5, seed=2, duration_s=2_000, curve=curve)
    due = [action.due_s for action in run]
    quiet = sum(due_s < 1_000 for due_s in due)
    assert len(due) == pytest.approx(10_000, rel=0.05)
    assert len(due) - quiet == pytest.approx(3 * quiet, rel=0.1)


@pytest.mark.unit
@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_between_none_and_all(share: float) -> None:
    """Pydantic names field and value."""
    with pytest.raises(ValueError, match=r"jammed[\s\S]*input_value"):
        Behaviour(jammed=share)


def fields(action: Action) -> tuple[float, Thing, str, Step]:
    return action.due_s, action.thing, action.door, action.step
