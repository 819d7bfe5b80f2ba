"""Rate curves: their mean is 1 whatever they look like, and arrivals follow them."""

import random
from itertools import pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import FleetError
from simulators.profile import DAY_S, FLAT, Curve, arrivals

SURGE = Curve([(0, 1), (39_600, 1), (39_600, 6), (50_400, 6), (50_400, 1), (DAY_S, 1)])

weights = st.lists(st.floats(0, 100), min_size=2, max_size=12).filter(lambda ws: sum(ws) > 1)


@pytest.mark.property
@given(weights, st.floats(0, DAY_S))
def test_the_mean_over_a_period_is_one(heights: list[float], starts_at: float) -> None:
    """A rate keeps its meaning under any curve, wherever in the day a run begins."""
    curve = Curve([(n * 100.0, height) for n, height in enumerate(heights)], starts_at)
    samples = curve.sampled(curve.period_s, 4_000)
    assert sum(samples) / len(samples) == pytest.approx(1, rel=0.02)
    assert max(samples) <= curve.peak * (1 + 1e-9)


@pytest.mark.unit
def test_two_points_at_one_time_are_a_hard_edge() -> None:
    """A second before the surge there is none of it, at its start all of it."""
    assert SURGE.at(39_599) == pytest.approx(SURGE.at(0))
    assert SURGE.at(39_600) == pytest.approx(6 * SURGE.at(0))


@pytest.mark.unit
def test_a_curve_starts_over_after_its_last_point() -> None:
    """The second day is like the first."""
    assert SURGE.at(DAY_S + 40_000) == pytest.approx(SURGE.at(40_000))


@pytest.mark.unit
def test_a_run_may_begin_in_the_middle_of_the_day() -> None:
    """`starts_at_s` is where the run's clock stands at its start."""
    evening = Curve(SURGE.points, starts_at_s=40_000)
    assert evening.at(0) == SURGE.at(40_000)


@pytest.mark.unit
def test_arrivals_are_a_poisson_process_of_that_rate() -> None:
    """Counts in and out of the surge are the curve's within five standard deviations."""
    rate = 0.5
    times = list(takewhile(lambda t: t < DAY_S, arrivals(random.Random(1), SURGE, rate)))
    for begin, end in ((0, 39_600), (39_600, 50_400), (50_400, DAY_S)):
        expected = rate * SURGE.at((begin + end) / 2) * (end - begin)
        found = sum(begin <= time < end for time in times)
        assert abs(found - expected) < 5 * expected**0.5


@pytest.mark.unit
def test_arrivals_are_no_metronome() -> None:
    """Gaps of a Poisson process vary as much as they are long."""
    times = list(takewhile(lambda t: t < 10_000, arrivals(random.Random(2), FLAT, 1.0)))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(0, 1), (10, -2)], "at 10 s must not be negative, not -2"),
        ([(10, 1), (5, 1)], "goes back in time: 5 s after 10 s"),
        ([(0, 0), (10, 0)], "needs two points"),
        ([(0, 1)], "needs two points"),
    ],
)
def test_an_impossible_curve_is_refused(points: list[tuple[float, float]], words: str) -> None:
    """The point that makes no sense is in the message."""
    with pytest.raises(FleetError, match=words):
        Curve(points)
