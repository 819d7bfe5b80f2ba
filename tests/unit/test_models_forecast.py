"""Door to tile on paper: the draws keep what was published, and add up."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from latency.journey import Hop as Stage
from models.errors import ModelError
from models.figures import Hop, hops, routes
from models.forecast import draw, forecast, percent, read_measured

pytestmark = pytest.mark.unit

DRAWS = 40_000


def hop(**percentiles: float) -> Hop:
    return Hop(
        title="hop",
        percentiles=percentiles,
        source="https://example.com",
        date=date(2026, 1, 1),
        confidence="measured",
    )


@pytest.mark.parametrize("name", hops())
def test_draws_keep_the_published_percentiles(name: str):
    """Each within the noise of so many draws."""
    times = draw(hops()[name], DRAWS, np.random.RandomState(3))
    for percentile, ms in hops()[name].percentiles.items():
        assert np.percentile(times, 100 * percent(percentile)) == pytest.approx(ms, rel=0.06)
    assert times.min() > 0


@pytest.mark.parametrize("name", routes())
def test_a_route_is_the_sum_of_its_hops(name: str):
    """Means add up, percentiles of a sum of independent hops do not: they are less."""
    found = forecast(name, draws=DRAWS)
    assert found.total.p50 < found.total.p95 < found.total.p99
    assert found.total.p95 < sum(share.alone.p95 for share in found.hops)
    assert set(found.stages) <= set(Stage)
    assert all(0 < share.p95_saved < found.total.p95 for share in found.hops)


def test_the_same_seed_gives_the_same_figures():
    """A document and a terminal show the same."""
    first, again, other = (forecast("bus", draws=2_000, seed=seed) for seed in (1, 1, 2))
    assert first.total == again.total != other.total


def test_less_on_the_way_is_faster():
    """direct saves the bus and its Pipe; a projector that published itself the stream."""
    bus, direct, itself = (
        forecast(name, draws=DRAWS).total.p95 for name in ("bus", "direct", "self_publishing")
    )
    assert itself < direct < bus < forecast("bus_2023", draws=DRAWS).total.p95


@pytest.mark.parametrize(
    ("percentiles", "words"),
    [
        ({"p50": 10.0, "p99": 5.0}, "percentiles must rise, 5 does not"),
        ({"p50": 10.0, "p200": 50.0}, "'p200' is no percentile"),
        ({"median": 10.0, "p99": 50.0}, "'median' is no percentile"),
    ],
)
def test_impossible_percentiles_are_refused(percentiles: dict[str, float], words: str):
    """By the value that cannot be."""
    with pytest.raises(ModelError, match=words):
        draw(hop(**percentiles), 1000, np.random.RandomState(1))


def test_an_unknown_route_is_refused():
    """With those that there are."""
    with pytest.raises(ModelError, match="no route 'tunnel'; there are bus"):
        forecast("tunnel")


def test_a_measured_run_stands_beside(tmp_path: Path):
    """What `latchline latency --json` prints is read by stage."""
    from latency.measurement import measure

    file = tmp_path / "run.json"
    measurement = measure([], {}).as_json()
    some = {"p50": 10.0, "p95": 20.0, "p99": 30.0}
    measurement["door_to_tile_ms"] |= some
    measurement["hops_ms"] = {stage.value: some for stage in Stage}
    file.write_text(json.dumps(measurement))
    run = read_measured(file)
    assert run.total.p95 == 20
    assert set(run.stages) == set(Stage)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no", "not JSON"),
        ("{}", "door_to_tile_ms: Field required"),
        (
            '{"door_to_tile_ms": {"p50": null, "p95": 1, "p99": 1}, "hops_ms": {}}',
            "door_to_tile_ms.p50",
        ),
    ],
)
def test_a_run_of_something_else_is_refused(tmp_path: Path, content: str, words: str):
    """Naming file and field."""
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(ModelError, match=words):
        read_measured(file)
