"""The plan of a fleet, its figures, and what the terminal shows of it."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline.contract import Thing, is_id
from scripts.live_view import LiveView
from scripts.verify import parked_line
from simulators.errors import FleetError, TargetError
from simulators.fleet import FleetPlan
from simulators.percentiles import Samples, summarize
from simulators.plan import building_name
from simulators.profile import Curve
from simulators.session import Files, Session
from simulators.target import Target
from simulators.verdict import Difference, Finding, Verdict, View

INFO = {
    "region": "us-east-1",
    "endpoint_url": "http://127.0.0.1:1",
    "access_key_id": "k",
    "secret_access_key": "s",
    "iot": {"endpoint": "localhost", "port": 1, "ca_file": "/nowhere/ca.pem"},
    "graphql": {
        "http": "http://127.0.0.1:2/graphql",
        "realtime": "ws://127.0.0.1:2/graphql/realtime",
    },
    "dashboard": None,
    "table": "t",
    "device_policy": "p",
    "queues": {"ingest": "u"},
    "cognito": {"user_pool_id": "p", "client_id": "c"},
}

SURGE = Curve([(0, 1), (30, 1), (30, 8), (60, 8)])


@pytest.mark.property
@settings(deadline=None)
@given(lockers=st.integers(1, 3_000), buildings=st.integers(1, 60), doors=st.integers(1, 99))
def test_a_plan_names_each_locker_once_and_as_the_contract_allows(
    lockers: int, buildings: int, doors: int
) -> None:
    """Names are ids, no thing is twice, and buildings differ by one locker at most."""
    if buildings > lockers:
        return
    plan = FleetPlan(lockers=lockers, buildings=buildings, doors=doors)
    things = plan.things
    assert len(set(things)) == lockers
    assert {Thing.parse(str(thing)) for thing in things} == set(things)
    assert all(is_id(door) for door in plan.door_names)
    per_building = [sum(t.building == name for t in things) for name in plan.building_names]
    assert max(per_building) - min(per_building) <= 1


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lockers": 0}, "lockers must be at least 1, not 0"),
        ({"doors": -1}, "doors must be at least 1, not -1"),
        ({"buildings": 30}, "30 buildings need at least as many lockers, not 24"),
        ({"rate": math.nan}, "rate must be above 0"),
        ({"duration_s": -5.0}, "duration must be above 0 s, not -5"),
        ({"dwell_scale": 0.0}, "dwell scale must be above 0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, float], words: str) -> None:
    """The field and the value are in the message."""
    with pytest.raises(FleetError, match=words):
        FleetPlan(**changes)  # type: ignore[arg-type]


@pytest.mark.unit
def test_buildings_go_on_when_the_names_run_out() -> None:
    """The eleventh building has a name of its own."""
    assert building_name(0) == "maple-court"
    assert building_name(10) == "maple-court-2"


@pytest.mark.unit
def test_a_deployment_description_that_misses_something_is_told() -> None:
    """The first field that is wrong is named."""
    broken = {**INFO, "iot": {"endpoint": "localhost"}}
    with pytest.raises(TargetError, match=r"iot\.port: Field required"):
        Target.from_info(broken)


@pytest.mark.unit
def test_signatures_name_the_host_of_the_http_endpoint() -> None:
    """SigV4 covers host and port, whichever path the socket has."""
    assert Target.from_info(INFO).graphql.host == "127.0.0.1:2"


@pytest.mark.property
@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=300))
def test_percentiles_are_samples_and_in_order(values: list[float]) -> None:
    """Nearest rank: every figure was measured, and p50 ≤ p95 ≤ p99 ≤ max."""
    summary = summarize(values)
    figures = [summary.p50, summary.p95, summary.p99, summary.worst]
    assert all(figure in values for figure in figures)
    assert figures == sorted(figures, key=lambda figure: figure or 0.0)
    assert summary.worst == max(values)


@pytest.mark.unit
def test_without_samples_nothing_is_claimed() -> None:
    """No figure is made up, and the latest ones can be ranked on their own."""
    samples = Samples()
    assert str(samples.summary()) == "no samples"
    for value in (500.0, 1.0, 2.0):
        samples.add(value)
    assert samples.summary(latest=2).worst == 2.0


@pytest.mark.unit
def test_the_view_shows_every_door_before_and_without_a_connection(tmp_path: Path) -> None:
    """A letter for each door of each building, a legend, and one line for logs."""
    plan = FleetPlan(lockers=6, buildings=2, doors=3)
    files = Files.beside(tmp_path / "truth.jsonl", tmp_path / "keys")
    view = LiveView(Session(Target.from_info(INFO), plan, files), hints=("GraphQL http://x",))
    view.dead_letters = {"quarantine": 2}
    console = Console(width=100, record=True, file=(tmp_path / "screen").open("w"))
    console.print(view)
    text = console.export_text()
    console.file.close()
    assert text.count("?") == 18 + 1, "each door, and the legend"
    for word in ("maple-court", "birch-house", "vacant", "parcel", "forced", "quarantine 2"):
        assert word in text
    assert view.line() == "starting"


@pytest.mark.unit
def test_thousands_of_doors_are_counted_instead_of_drawn(tmp_path: Path) -> None:
    """All of 5,000 lockers fits on a screen of 40 lines, legend and dead letters included."""
    plan = FleetPlan(lockers=5_000, buildings=50, doors=4)
    files = Files.beside(tmp_path / "truth.jsonl", tmp_path / "keys")
    view = LiveView(Session(Target.from_info(INFO), plan, files))
    console = Console(width=100, record=True, file=(tmp_path / "screen").open("w"))
    console.print(view)
    text = console.export_text()
    console.file.close()
    assert len(text.splitlines()) <= 40
    assert re.search(r"maple-court .*\?\s+400", text)
    assert re.search(r"30 more .*\? 12000", text)
    assert "dead letters" in text


def judged(checked: dict[View, int], *findings: Finding) -> Verdict:
    thing = Thing("maple-court", "l01")
    differences = tuple(
        Difference(View.QUARANTINE, finding, thing, "d01", None, "") for finding in findings
    )
    return Verdict(
        events=1,
        acknowledged=1,
        unacknowledged=0,
        refused=0,
        dropped=0,
        checked=checked,
        differences=differences,
    )


@pytest.mark.unit
@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (judged({View.QUARANTINE: 5}), "5 of 5 malformed events parked as expected"),
        (judged({View.QUARANTINE: 5}, Finding.LOST, Finding.WRONG, Finding.EXTRA), "3 of 5"),
        (judged({}), "not looked at"),
    ],
)
def test_verify_says_what_is_parked_as_expected(verdict: Verdict, words: str) -> None:
    """Lost and wrong ones are not; extra ones are counted in the table of views."""
    assert words in parked_line(verdict)


@pytest.mark.unit
def test_the_view_draws_the_profile_of_a_run_with_an_end(tmp_path: Path) -> None:
    """An endless run has none to draw."""
    files = Files.beside(tmp_path / "truth.jsonl", tmp_path / "keys")
    target = Target.from_info(INFO)
    ending = LiveView(Session(target, FleetPlan(duration_s=60, curve=SURGE), files))
    (line,) = ending._day(15.0)
    assert line.plain.startswith("profile       ▂")
    assert line.plain.endswith("█")
    assert [str(span.style) for span in line.spans] == ["bold cyan", "dim"]
    assert LiveView(Session(target, FleetPlan(), files))._day(0.0) == []
