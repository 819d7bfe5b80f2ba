"""`latchline cost` and `latchline forecast`, as a person at a terminal uses them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli import app

pytestmark = pytest.mark.unit


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    assert result.exit_code == status, result.output
    return result.output


def test_cost_shows_lines_and_totals():
    """Each part with its lines and its sum, both designs, and where the prices are from."""
    shown = run("cost", "--preset", "july", "--sensitivity")
    for word in ("350,000 events", "AppSync: deliveries", "standing", "latchline", "textbook"):
        assert word in shown
    assert "https://aws.amazon.com/iot-core/pricing/" in shown
    assert "2026-11-01" in shown
    assert "every event on its own" in shown


def test_cost_as_json_adds_up():
    """Each line with quantity, price, source, date and subtotal; they add up to the total."""
    document = json.loads(run("cost", "--preset", "surge", "--json", "--sensitivity"))
    for name in ("latchline", "textbook"):
        bill = document[name]
        assert sum(line["usd"] for line in bill["lines"]) == pytest.approx(
            bill["usd_a_day"], abs=0.001
        )
        assert all(line["price"]["source"] and line["price"]["date"] for line in bill["lines"])
    assert document["latchline"]["events_usd_for_1m"] < document["textbook"]["events_usd_for_1m"]
    assert document["region"] == "us-east-1"
    assert document["sensitivity"]


def test_flags_override_the_preset():
    """What is given counts; batches are then as full as that rate makes them, or as given."""
    flags = ("--events", "1e6", "--viewers", "2", "--lockers", "50", "--buildings", "5")
    day = json.loads(run("cost", *flags, "--batch-fill", "4", "--coalescing", "3", "--json"))["day"]
    assert (day["events"], day["viewers"], day["lockers"], day["buildings"]) == (1e6, 2, 50, 5)
    assert (day["fills"]["projector"], day["fills"]["coalescing"]) == (4, 3)


def test_a_measured_run_replaces_the_assumption(tmp_path: Path):
    """The fills are the run's; giving both is a contradiction."""
    file = tmp_path / "run.json"
    file.write_text(
        json.dumps(
            {
                "projector": {"batches": 10, "records": 50},
                "fanout": {"batches": 5, "records": 50, "items": 50, "publications": 10},
            }
        )
    )
    fills = json.loads(run("cost", "--measured", str(file), "--json"))["day"]["fills"]
    assert (fills["projector"], fills["stream"], fills["coalescing"]) == (5, 10, 5)
    told = run("cost", "--measured", str(file), "--coalescing", "3", status=2)
    assert "--measured says how full batches are" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cost", "--events", "0"), "0"),
        (("cost", "--preset", "may"), "may"),
        (("cost", "--lockers", "3", "--buildings", "9"), "9 buildings cannot share 3 lockers"),
        (("cost", "--batch-fill", "11"), "11"),
        (("cost", "--measured", "/nowhere/run.log"), "/nowhere/run.log"),
        (("forecast", "--route", "tunnel"), "no route 'tunnel'"),
        (("forecast", "--draws", "10"), "10"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: tuple[str, ...], words: str):
    """Naming the value; exit status 2, no traceback."""
    told = run(*arguments, status=2)
    assert words in told
    assert "Traceback" not in told


def test_forecast_shows_routes_and_hops():
    """All routes, the hops of one, and of when each figure is."""
    shown = run("forecast", "--draws", "2000", "--route", "direct")
    for word in ("route=bus", "route=direct", "table to fan-out", "measured, 2022-09-01"):
        assert word in shown


def test_forecast_stands_beside_a_run(tmp_path: Path):
    """Stage by stage, in the table and in the picture."""
    some = {"p50": 11.0, "p95": 22.0, "p99": 33.0}
    file, plot = tmp_path / "run.json", tmp_path / "plot.svg"
    file.write_text(
        json.dumps({"door_to_tile_ms": some, "hops_ms": {"table → stream → fan-out": some}})
    )
    shown = run("forecast", "--draws", "2000", "--measured", str(file), "--plot", str(plot))
    assert "11 (22)" in shown
    assert "measured" in plot.read_text()


def test_plots_are_written(tmp_path: Path):
    """As SVG; a folder that is not there is one clear line."""
    plot = tmp_path / "cost.svg"
    run("cost", "--plot", str(plot))
    assert "textbook" in plot.read_text()
    told = run("cost", "--plot", str(tmp_path / "no" / "cost.svg"), status=2)
    assert "cost.svg" in told
