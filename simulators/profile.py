"""How traffic rises and falls: a rate curve, and arrivals that follow it. Pure and seeded.

A curve is a shape: its mean over one period is 1, so that the rate beside it keeps its meaning,
events per second on average. Lines run straight between the points; two points at one time are a
hard edge. After the last point it starts over, so a curve of a day serves a run of a week.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from simulators.errors import FleetError

DAY_S = 86_400.0
SAMPLES_A_COLUMN = 10


class Curve:
    """The shape of a period.

    Parameters
    ----------
    points
        (seconds, weight), times not falling, weights not negative and not all 0.
    starts_at_s
        Where in the period a run begins.

    Raises
    ------
    FleetError
        Naming the point that makes no sense.
    """

    def __init__(self, points: Sequence[tuple[float, float]], starts_at_s: float = 0.0) -> None:
        for (earlier, _), (later, _) in pairwise(points):
            if later < earlier:
                raise FleetError(f"curve goes back in time: {later:g} s after {earlier:g} s")
        for time_s, weight in points:
            if weight < 0:
                raise FleetError(f"curve weight at {time_s:g} s must not be negative, not {weight}")
        area = sum((t2 - t1) * (w1 + w2) / 2 for (t1, w1), (t2, w2) in pairwise(points))
        if not area > 0:
            raise FleetError("curve needs two points with time and weight between them")
        self.starts_at_s = starts_at_s
        self.points = tuple((float(time_s), float(weight)) for time_s, weight in points)
        self._begin, end = points[0][0], points[-1][0]
        self.period_s = end - self._begin
        mean = area / self.period_s
        self._times = [time_s for time_s, _ in points]
        self._weights = [weight / mean for _, weight in points]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.points, self.starts_at_s

    def at(self, elapsed_s: float) -> float:
        """Weight so many seconds into the run; before its start that of the start."""
        offset = self.starts_at_s - self._begin + max(0.0, elapsed_s)
        moment = self._begin + offset % self.period_s
        right = min(bisect_right(self._times, moment), len(self._times) - 1)
        left = right - 1
        t1, t2 = self._times[left], self._times[right]
        w1, w2 = self._weights[left], self._weights[right]
        return w1 if t1 == t2 else w1 + (w2 - w1) * (moment - t1) / (t2 - t1)

    @property
    def peak(self) -> float:
        """The greatest weight: how often the mean the busiest moment is."""
        return max(self._weights)

    def sampled(self, duration_s: float, columns: int) -> list[float]:
        """Weights in the middle of so many equal parts of a run."""
        width = duration_s / columns
        return [self.at((n + 0.5) * width) for n in range(columns)]

    def peaks(self, duration_s: float, columns: int) -> list[float]:
        """About the greatest weight in each of so many equal parts of a run, to draw it."""
        each = SAMPLES_A_COLUMN
        samples = self.sampled(duration_s, columns * each)
        return [max(samples[n * each : (n + 1) * each]) for n in range(columns)]


FLAT = Curve([(0.0, 1.0), (DAY_S, 1.0)])


def arrivals(
    source: random.Random, curve: Curve, per_s: float, start_s: float = 0.0
) -> Iterator[float]:
    """Times of an inhomogeneous Poisson process of mean rate `per_s`, for ever.

    By thinning (Lewis and Shedler, 1979): candidates at the peak rate, each kept with the
    probability of its moment.
    """
    now = start_s
    peak = curve.peak
    while True:
        now += source.expovariate(per_s * peak)
        if source.random() * peak < curve.at(now):
            yield now
