"""The offset between two clocks, told apart from the time on the way.

A device knows when it sent and when the acknowledgement came; in between the broker stamped the
event by its own clock. So the offset lies in an interval as wide as the round trip, and the
quickest round trips tell most (the filter of NTP, RFC 5905, section 10).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from latency.journey import Hop, Journey

STAMP_MS = 2.0
"""Both stamps are cut to whole milliseconds."""
QUICKEST = 20


@dataclass(frozen=True, slots=True)
class Offset:
    """The broker's clock less the device's, milliseconds, and by how much it may be wrong.

    Zero if the round trips are compatible with one clock.
    """

    ms: float
    uncertainty_ms: float


ONE_CLOCK = Offset(0.0, 0.0)


def clock_offset(found: Iterable[Journey]) -> Offset:
    """Estimate it from events that needed one publish; `ONE_CLOCK` if there is none."""
    round_trips = sorted(
        (each.event.latency_ms, each.hops_ms[Hop.UPLINK])
        for each in found
        if each.hops_ms is not None
        and each.event.latency_ms is not None
        and each.event.attempts == 1
    )[:QUICKEST]
    if not round_trips:
        return ONE_CLOCK
    # The stamp was made after the sending and before the acknowledgement came.
    intervals = [(ahead - took - STAMP_MS, ahead + STAMP_MS) for took, ahead in round_trips]
    middles = sorted((low + high) / 2 for low, high in intervals)
    middle = middles[len(middles) // 2]
    low, high = intervals[0]
    uncertainty = (high - low) / 2
    if any(low <= 0 <= high for low, high in intervals):
        return Offset(0.0, uncertainty)
    return Offset(middle, uncertainty)
