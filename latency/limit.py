"""How far it scales: the same load, faster each time, until the tiles come too late."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latency.journey import Hop
from latency.measurement import Measurement

LIMIT_MS = 700.0
"""Door to tile at p95 that a building manager still takes for immediate."""
FACTOR = 1.4
LAG_MS = 100.0
"""A fleet that is so late with its own script (p95) has no more to offer."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rate (events/s that were asked for) and what it gave."""

    rate: float
    measurement: Measurement

    @property
    def broken(self) -> str | None:
        """Why this rate is too high, or None."""
        figures = self.measurement
        if figures.lag.p95 is not None and figures.lag.p95 > LAG_MS:
            return f"the fleet itself was late by {figures.lag.p95:.0f} ms at p95"
        if figures.lost:
            return f"{figures.lost} events were not shown in time"
        if figures.latency.p95 is None:
            return "no event arrived"
        if figures.latency.p95 > LIMIT_MS:
            return f"p95 {figures.latency.p95:.0f} ms is above {LIMIT_MS:.0f} ms"
        return None


def rates(start: float, factor: float = FACTOR) -> Iterator[float]:
    """Yield ever higher rates, in events/s."""
    rate = start
    while True:
        yield round(rate, 1)
        rate *= factor


def gave_in(steps: Sequence[Step]) -> Hop | None:
    """Return the hop whose p95 grew most from the step before the last to the last.

    None if there is nothing to compare.
    """
    if len(steps) < 2:  # noqa: PLR2004
        return None
    before, after = (step.measurement.hops for step in steps[-2:])
    growth = {
        hop: now - then
        for hop in Hop
        if (now := after[hop].p95) is not None and (then := before[hop].p95) is not None
    }
    return max(growth, key=growth.__getitem__, default=None)
