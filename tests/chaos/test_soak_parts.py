"""What a soak is made of, without a stack: its script, its table, its options."""

from collections import Counter

import pytest

from local.faults.outcomes import SDK
from local.faults.plan import Fault, Report
from simulators.faults import MALFORMED, Injection
from simulators.plan import FleetPlan
from simulators.script import Move
from simulators.verdict import Difference, Finding, Verdict, View
from tests.chaos.campaign import BACKLOG, Result, slower
from tests.chaos.report import OVERTAKEN, Totals, table
from tests.chaos.soak import main
from tests.chaos.weather import Weather, script_with_bursts, squall, storm, stretched

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("weather", [storm(), squall()], ids=["storm", "squall"])
def test_every_fault_has_a_chance(weather: Weather):
    """In both forms; those of a whole service come with its incident."""
    assert set(weather.rules) == {each for each in Fault if not each.value.endswith("_down")}


def test_bursts_of_poison_are_in_the_script_in_order():
    """Every reason comes, many lockers at the same moment, and nothing else changes."""
    plan = FleetPlan(lockers=8, buildings=2, doors=2, rate=5, duration_s=20, seed=1)
    weather = squall()
    steps = list(script_with_bursts(plan, weather))
    assert [each.due_s for each in steps] == sorted(each.due_s for each in steps)
    poison = [each for each in steps if isinstance(each, Injection)]
    assert {each.reason for each in poison} == set(MALFORMED)
    assert Counter(each.due_s for each in poison).most_common(1)[0][1] == weather.burst
    moves = [each for each in steps if isinstance(each, Move)]
    assert moves == [each for each in plan.script() if isinstance(each, Move)]


def test_a_stretched_script_is_late_but_complete():
    """Twice as slow from half-way on: the same steps, the second half later."""
    plan = FleetPlan(lockers=4, buildings=2, doors=2, rate=5, duration_s=20, seed=1)
    steps = list(plan.script())
    half = len(steps) // 2
    factors = iter([1.0] * half + [2.0] * (len(steps) - half))
    slow = list(stretched(plan.script(), lambda: next(factors)))
    assert len(slow) == len(steps)
    assert slow[half - 1].due_s == pytest.approx(steps[half - 1].due_s)
    end = steps[half - 1].due_s + 2 * (steps[-1].due_s - steps[half - 1].due_s)
    assert slow[-1].due_s == pytest.approx(end)


def test_traffic_gives_way_to_a_backlog():
    """Not at all up to the limit, and then the more the longer it is."""
    assert slower(0) == slower(BACKLOG) == 1
    assert slower(2 * BACKLOG) == 8


def result(*differences: Difference) -> Result:
    """A round of three events and four faults."""
    return Result(
        verdict=Verdict(3, 3, 0, 0, 0, {View.HISTORY: 3}, differences),
        report=Report(
            injected={Fault.WRITE_FAILED: 2},
            outcomes={Fault.WRITE_FAILED: {SDK: 1}},
            open={Fault.WRITE_FAILED: 1},
        ),
        incidents=Counter(),
        fleet_faults=Counter(duplicate=2),
        redriven=Counter(projector_dlq=1),
        gave_up=Counter(),
        events=3,
        took_s=60,
        backlog_max=0,
        slowest=1.0,
        complaints=[str(each) for each in differences],
    )


def test_a_fault_that_needed_no_mending_is_told_apart():
    """In a round in which nothing is missing, another delivery had done it already."""
    totals = Totals()
    totals.add(result())
    assert totals.outcomes[Fault.WRITE_FAILED] == {SDK: 1, OVERTAKEN: 1}
    assert "| `write_failed` | 2 | 1 | 0 | 0 | 0 | 1 |" in table(totals)
    assert totals.verdict().startswith("ok: 3 of 3 events acknowledged, 0 lost, 0 wrong, 0 extra")


def test_one_lost_event_fails_the_soak():
    """And what was not mended is not called mended."""
    totals = Totals()
    totals.add(result())
    place = FleetPlan().places[0]
    totals.add(result(Difference(View.HISTORY, Finding.LOST, *place, 1, "has no row")))
    assert totals.verdict().startswith("failed: 6 of 6 events acknowledged, 1 lost")
    assert totals.outcomes[Fault.WRITE_FAILED] == {SDK: 2, OVERTAKEN: 1}


def test_a_soak_without_a_round_is_no_success():
    """Nothing was shown."""
    assert Totals().verdict().startswith("failed")


def test_no_events_are_refused(capsys: pytest.CaptureFixture[str]):
    """The message names the value."""
    with pytest.raises(SystemExit):
        main(["--events", "0"])
    assert "must be above 0, not 0" in capsys.readouterr().err
