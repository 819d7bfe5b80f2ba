"""A measured run as figures: percentiles, the waterfall, what was lost, latency over time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latency.clock import ONE_CLOCK, Offset, clock_offset
from latency.journey import Hop, Journey, Shown, journeys
from pipeline.contract import Kind
from simulators.ground_truth import read_ground_truth
from simulators.observation import read_arrivals
from simulators.percentiles import Summary, summarize
from simulators.viewer import epoch_ms

WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """Door to tile of the events made in one second, counted from the start of the measurement."""

    at_s: float
    latency: Summary


@dataclass(frozen=True, slots=True)
class Measurement:
    """Milliseconds throughout.

    `offset` is taken out of the two hops between the fleet's machine and AWS. `floor` is the same
    message through the broker alone, meanwhile; `lag` how late the fleet itself was.
    """

    parameters: Mapping[str, Any]
    latency: Summary
    hops: Mapping[Hop, Summary]
    shown: Mapping[Shown, int]
    windows: Sequence[Window]
    took_ms: Sequence[float] = field(repr=False)
    offset: Offset = ONE_CLOCK
    acknowledgement: Summary = field(default_factory=lambda: summarize([]))
    floor: Summary = field(default_factory=lambda: summarize([]))
    lag: Summary = field(default_factory=lambda: summarize([]))
    unacknowledged: int = 0

    @property
    def events(self) -> int:
        return sum(self.shown.values())

    @property
    def lost(self) -> int:
        return self.shown.get(Shown.LOST, 0)

    @property
    def ratio(self) -> float | None:
        """Door to tile against the broker alone, median by median."""
        if self.latency.p50 is None or not self.floor.p50:
            return None
        return self.latency.p50 / self.floor.p50

    def as_json(self) -> dict[str, Any]:
        return {
            "parameters": dict(self.parameters),
            "events": self.events,
            "lost": self.lost,
            "unacknowledged": self.unacknowledged,
            "shown": {how.value: self.shown.get(how, 0) for how in Shown},
            "door_to_tile_ms": self.latency.as_json(),
            "hops_ms": {hop.value: summary.as_json() for hop, summary in self.hops.items()},
            "clock_offset_ms": round(self.offset.ms, 1),
            "clock_uncertainty_ms": round(self.offset.uncertainty_ms, 1),
            "acknowledgement_ms": self.acknowledgement.as_json(),
            "broker_alone_ms": self.floor.as_json(),
            "times_the_broker_alone": None if self.ratio is None else round(self.ratio, 1),
            "fleet_lag_ms": self.lag.as_json(),
            "over_time": [
                {"at_s": window.at_s, **window.latency.as_json()} for window in self.windows
            ],
        }


def measure(
    found: Sequence[Journey],
    parameters: Mapping[str, Any],
    *,
    floor_ms: Sequence[float] = (),
    lag: Summary | None = None,
    unacknowledged: int = 0,
) -> Measurement:
    """Put the figures together; `found` in the order of the device clocks."""
    offset = clock_offset(found)
    took = [each.took_ms for each in found if each.took_ms is not None]
    return Measurement(
        parameters=parameters,
        latency=summarize(took),
        hops=_by_hop(found, offset),
        shown=Counter(each.shown for each in found),
        windows=_windows(found),
        took_ms=took,
        offset=offset,
        acknowledgement=summarize(
            each.event.latency_ms for each in found if each.event.latency_ms is not None
        ),
        floor=summarize(floor_ms),
        lag=lag or summarize([]),
        unacknowledged=unacknowledged,
    )


def measure_files(
    truth_file: Path,
    seen_file: Path,
    *,
    warm_up_s: float,
    floor: Sequence[tuple[float, float]] = (),
    lag: Summary | None = None,
) -> Measurement:
    """Measure a recorded run, without the first `warm_up_s` seconds of its traffic.

    `floor` holds (epoch ms, milliseconds it took).

    Raises
    ------
    GroundTruthError
        A file is not what it should be.
    """
    truth = read_ground_truth(truth_file)
    traffic = [each for each in truth.events.values() if each.kind is not Kind.REPORTED]
    begun_ms = min((epoch_ms(each.at) for each in traffic), default=0.0)
    since_ms = begun_ms + 1000 * warm_up_s
    return measure(
        journeys(truth, read_arrivals(seen_file), since_ms=since_ms),
        {**truth.run.parameters, "warm_up_s": warm_up_s},
        floor_ms=[took for at_ms, took in floor if at_ms >= since_ms],
        lag=lag,
        unacknowledged=sum(each.outcome is None for each in traffic),
    )


def _by_hop(found: Sequence[Journey], offset: Offset) -> dict[Hop, Summary]:
    shift = {Hop.UPLINK: -offset.ms, Hop.PUSH: offset.ms}
    whole = [each.hops_ms for each in found if each.hops_ms is not None]
    return {hop: summarize(hops_ms[hop] + shift.get(hop, 0.0) for hops_ms in whole) for hop in Hop}


def _windows(found: Sequence[Journey]) -> list[Window]:
    if not found:
        return []
    start = found[0].at_ms
    seconds: dict[int, list[float]] = {}
    for each in found:
        if each.took_ms is not None:
            index = int((each.at_ms - start) / 1000 / WINDOW_S)
            seconds.setdefault(index, []).append(each.took_ms)
    return [Window(n * WINDOW_S, summarize(took)) for n, took in sorted(seconds.items())]
