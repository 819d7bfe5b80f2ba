"""Scenario files: those shipped are good, and a bad one is told by file, key and value."""

import math
from pathlib import Path

import pytest

from pipeline.errors import PoisonReason
from simulators.errors import FleetError, ScenarioError
from simulators.faults import AT_LOCKERS, MALFORMED, ON_THE_WIRE, Fault, Injection
from simulators.plan import FleetPlan
from simulators.scenario import load_scenario, shipped

pytestmark = pytest.mark.unit

DESK = """
title = "mine"
buildings = 2
lockers = 4
doors = 3
duration = "1h30m"
[traffic]
rate = 2.5
curve = [["11:00", 1], ["14:00", 2.5]]
starts_at = "12:15:30"
forced = 0.1
[faults]
duplicate = 0.25
"""


def mine(folder: Path, *changes: tuple[str, str]) -> str:
    text = DESK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_file_becomes_a_plan(tmp_path: Path) -> None:
    """Every key arrives, in the plan's units."""
    plan = load_scenario(mine(tmp_path)).plan()
    assert (plan.buildings, plan.lockers, plan.doors) == (2, 4, 3)
    assert (plan.rate, plan.duration_s, plan.seed, plan.speed) == (2.5, 5_400, 1, 1)
    assert plan.curve.points == ((39_600, 1), (50_400, 2.5))
    assert plan.curve.starts_at_s == 44_130
    assert plan.behaviour.forced == 0.1
    assert plan.faults.duplicate == 0.25


def test_flags_override_and_the_rest_stays() -> None:
    """None is a flag that was not given."""
    plan = load_scenario("december").plan(lockers=50, rate=None, speed=1_000.0)
    assert (plan.lockers, plan.speed) == (50, 1_000)
    assert plan.rate == load_scenario("december").traffic.rate


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate = 2.5", 'rate = "fast"', r"mine\.toml: traffic\.rate: .*number.*got 'fast'"),
        ("rate = 2.5", "rate = -1", r"mine\.toml: traffic\.rate: .*greater than 0.*got '-1'"),
        ("rate = 2.5", "rate = inf", r"mine\.toml: traffic\.rate: .*finite"),
        ("lockers = 4", "lockrs = 4", r"mine\.toml: lockrs: .*not permitted.*got '4'"),
        ("lockers = 4", "", r"mine\.toml: lockers: Field required"),
        ("lockers = 4", "lockers = 1", r"mine\.toml: 2 buildings need at least as many lockers"),
        ("doors = 3", "doors = 100", r"mine\.toml: doors: .*99.*got '100'"),
        ('"1h30m"', '"ten"', r"mine\.toml: duration: .*24h.*got 'ten'"),
        ('"1h30m"', '""', r"mine\.toml: duration"),
        ('["14:00", 2.5]', '["25:00", 2.5]', r"mine\.toml: traffic\.curve\.1\.0: .*got '25:00'"),
        ('["14:00", 2.5]', '["14:00", -3]', r"mine\.toml: traffic\.curve\.1\.1: .*got '-3'"),
        ('["14:00", 2.5]', '["09:00", 1]', r"mine\.toml: curve goes back in time"),
        ("duplicate = 0.25", "duplicate = 2", r"mine\.toml: faults\.duplicate: .*got '2'"),
        ("duplicate = 0.25", "gremlins = 1", r"mine\.toml: faults\.gremlins: .*got '1'"),
        ("[faults]", "[faults", r"mine\.toml: not TOML: .*line"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    """File, key and value are in the message."""
    with pytest.raises(ScenarioError, match=words):
        load_scenario(mine(tmp_path, (old, new)))


def test_an_unknown_name_lists_the_known() -> None:
    """Whoever mistypes sees what there is."""
    with pytest.raises(ScenarioError, match=r"'decembr': there are bad-night, december, desk"):
        load_scenario("decembr")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Path and reason."""
    with pytest.raises(ScenarioError, match=r"nowhere\.toml: cannot be read"):
        load_scenario(str(tmp_path / "nowhere.toml"))


def test_the_promised_ones_are_shipped() -> None:
    """Each loads and makes a plan that ends within ten minutes."""
    known = dict(shipped())
    assert set(known) == {"desk", "july", "december", "flash-crowd", "bad-night"}
    assert all(scenario.plan().wall_s <= 600 for scenario in known.values())
    assert known["desk"].lockers == 3


def test_december_is_eight_times_july_with_a_surge_and_a_spike() -> None:
    """The shape that the pipeline is built for."""
    december, july = load_scenario("december").plan(), load_scenario("july").plan()
    assert december.expected_events == pytest.approx(8 * july.expected_events, rel=0.02)
    hour = 3_600
    surge = december.curve.at(11.5 * hour)
    assert surge > 2 * december.curve.at(10.9 * hour)
    assert december.curve.at(13.9 * hour) > 2 * december.curve.at(14.1 * hour)
    assert december.curve.at(12.55 * hour) > 2 * surge


def test_a_bad_night_has_every_fault() -> None:
    """Each kind happens, and malformed publishes of each reason that a device can cause."""
    plan = load_scenario("bad-night").plan()
    happened = set()
    reasons: set[PoisonReason | None] = set()
    for each in plan.script():
        if isinstance(each, Injection):
            happened.add(each.fault)
            reasons.add(each.reason)
        elif each.wire is not None:
            happened.add(each.wire.fault)
    assert happened == set(Fault) == {*ON_THE_WIRE, *AT_LOCKERS}
    assert reasons == {*MALFORMED, None}


def test_an_endless_plan_has_no_expected_number() -> None:
    """Until Ctrl-C."""
    assert math.isinf(FleetPlan().expected_events)


def test_a_plan_comes_back_from_its_parameters() -> None:
    """What the header of a script or a truth says is enough to make the same plan again."""
    plan = load_scenario("bad-night").plan()
    assert FleetPlan.from_parameters(plan.as_parameters()) == plan
    with pytest.raises(FleetError, match="no plan of a fleet"):
        FleetPlan.from_parameters({"lockers": 3})
