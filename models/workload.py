"""What a day brings: events, lockers, viewers, and how full the batches are that carry them.

Batches are the assumption that moves the bill most. A queue's mapping without a batching window
takes what is there the moment it looks, so a batch is full only when all pollers are busy; a push
carries more than one tile only when a building's doors move within the same quarter of a second.
`expected` computes both from the rate, `FULL` is the case of a backlog, and a run can measure them
(`models.measured`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from models import design
from models.choices import Deployed, Preset
from models.errors import ModelError
from simulators.scenario import Scenario, load_scenario

DAY_S = 86_400.0
CURVE_COLUMNS = 96
RECEIVE_MS = 15.0
"""Assumed: what a poller needs for its receive and delete, beside the invocation."""
PIPE_MS = 35.0
"""Assumed: receive, PutEvents and delete of a Pipe's batch."""


@dataclass(frozen=True, slots=True)
class Fills:
    """Mean content of a batch, and what one costs in time.

    `pipe`, `projector`: messages a batch. `stream`: tile changes a fan-out invocation.
    `coalescing`: tiles a push. `writes`: tile updates an event (several events of a door in one
    batch need one). `…_ms`: billed milliseconds an invocation.
    """

    pipe: float
    projector: float
    stream: float
    coalescing: float
    projector_ms: float
    fanout_ms: float
    writes: float = 1.0

    def __post_init__(self) -> None:
        bounds = {
            "pipe": (1.0, design.SQS_BATCH),
            "projector": (1.0, design.SQS_BATCH),
            "stream": (1.0, design.STREAM_BATCH),
            "coalescing": (1.0, design.STREAM_BATCH),
            "writes": (0.0, 1.0),
            "projector_ms": (0.0, math.inf),
            "fanout_ms": (0.0, math.inf),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ModelError(f"{name} must be between {low:g} and {high:g}, not {value:g}")
        if self.coalescing > self.stream:
            raise ModelError(
                f"a push cannot carry more tiles ({self.coalescing:g}) than the fan-out's batch"
                f" has ({self.stream:g})"
            )


@dataclass(frozen=True, slots=True)
class Workload:
    """A day. `viewers`: a building's, connected whenever its doors move."""

    events: float
    lockers: int
    buildings: int
    doors: int
    viewers: float
    fills: Fills
    viewer_hours: float = 12.0
    duplicates: float = 0.02
    """Share of events that come twice: QoS 1, SQS, retries."""
    attention: float = 0.01
    """Share of events that put a door into the index `attention` or take it out."""
    reconnects: float = 1.0
    """Times a day that a locker loses its connection and has it again: two events of presence."""
    route: Deployed = Deployed.BUS

    def __post_init__(self) -> None:
        for name in ("events", "lockers", "buildings", "doors"):
            if getattr(self, name) <= 0:
                raise ModelError(f"{name} must be greater than 0, not {getattr(self, name):g}")
        if self.lockers < self.buildings:
            raise ModelError(f"{self.buildings} buildings cannot share {self.lockers} lockers")
        if self.viewers < 0:
            raise ModelError(f"viewers must not be negative, not {self.viewers:g}")

    @property
    def presences(self) -> float:
        return 2 * self.reconnects * self.lockers

    @property
    def messages(self) -> float:
        """What the doors put on the road to the projector, duplicates included."""
        return self.events * (1 + self.duplicates)

    @property
    def tile_changes(self) -> float:
        return self.events * self.fills.writes

    @property
    def watching(self) -> float:
        """Dashboards in all."""
        return self.viewers * self.buildings


@cache
def december() -> Scenario:
    """The day whose curve and fleet stand for the customer's."""
    return load_scenario("december")


def projector_ms(fill: float) -> float:
    """Assumed: two table calls one after the other, and CPU at 512 MB for each event."""
    return 25.0 + 3.5 * fill


def fanout_ms(stream: float) -> float:
    """Assumed: a signed mutation, and CPU at 512 MB for each tile."""
    return 55.0 + 1.0 * stream


def fills(*, batch: float, coalescing: float) -> Fills:
    """As given: `batch` messages in every queue batch, `coalescing` tiles in every push.

    The fan-out's batch then holds five buildings.
    """
    stream = min(design.STREAM_BATCH, 5 * coalescing) if coalescing > 1 else batch
    return Fills(
        pipe=batch,
        projector=batch,
        stream=stream,
        coalescing=coalescing,
        projector_ms=projector_ms(batch),
        fanout_ms=fanout_ms(stream),
    )


FULL = fills(batch=design.SQS_BATCH, coalescing=10.0)
"""A backlog in few buildings: batches of ten, ten tiles of a building a push, five buildings a
fan-out batch. What issue 6's bar of $5.10 means by a surge."""
SINGLE = fills(batch=1.0, coalescing=1.0)
"""Every event on its own: a quiet hour, or traffic spread over very many buildings."""


def expected(events: float, buildings: int) -> Fills:
    """What a day of so many events gives, averaged over December's curve, weighed by events."""
    curve = december().plan().curve
    rates = [events / DAY_S * weight for weight in curve.sampled(DAY_S, CURVE_COLUMNS)]
    moments = [at_rate(rate, buildings) for rate in rates]

    def mean(each: Sequence[float]) -> float:
        """Mean content: events over batches."""
        return sum(rates) / sum(rate / fill for rate, fill in zip(rates, each, strict=True))

    projector = mean([moment.projector for moment in moments])
    stream = mean([moment.stream for moment in moments])
    return Fills(
        pipe=mean([moment.pipe for moment in moments]),
        projector=projector,
        stream=stream,
        coalescing=mean([moment.coalescing for moment in moments]),
        projector_ms=projector_ms(projector),
        fanout_ms=fanout_ms(stream),
    )


def at_rate(
    rate: float, buildings: int, *, shards: int = design.SHARDS, lanes: int = design.PARALLELIZATION
) -> Fills:
    """Steady state at so many events a second, evenly over the buildings."""
    projector = _queue_fill(rate, lambda fill: projector_ms(fill) + RECEIVE_MS)
    stream = min(design.STREAM_BATCH, _together(rate * design.STREAM_POLL_S / (shards * lanes)))
    # AWS spreads items, not partitions, over the lanes: a building's doors are in all of them.
    coalescing = _together(rate / buildings * design.STREAM_POLL_S / lanes)
    return Fills(
        pipe=_queue_fill(rate, lambda _: PIPE_MS),
        projector=projector,
        stream=max(stream, min(coalescing, design.STREAM_BATCH)),
        coalescing=min(coalescing, design.STREAM_BATCH),
        projector_ms=projector_ms(projector),
        fanout_ms=fanout_ms(stream),
    )


def _queue_fill(rate: float, cycle_ms: Callable[[float], float]) -> float:
    """Messages that came while all pollers were busy, a poller; at least the one that woke it."""
    fill = 1.0
    for _ in range(50):
        waiting = rate * cycle_ms(fill) / 1000 / design.POLLERS
        fill = min(float(design.SQS_BATCH), max(1.0, waiting))
    return fill


def _together(mean: float) -> float:
    """Mean of a Poisson count, given that it is not 0: what a poll that finds anything finds."""
    return max(1.0, mean / -math.expm1(-mean)) if mean > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    lockers: int
    buildings: int
    doors: int


@cache
def customer_fleet() -> Fleet:
    """As many as make December's 2.8 M events, each as busy as the scenario `december` has them."""
    scenario = december()
    a_locker = scenario.plan().expected_events / scenario.lockers
    lockers = round(DECEMBER_EVENTS / a_locker)
    return Fleet(lockers, round(lockers * scenario.buildings / scenario.lockers), scenario.doors)


DECEMBER_EVENTS = 2_800_000
JULY_EVENTS = 350_000
VIEWERS = 5


def preset(name: Preset) -> Workload:
    """The customer's days, with the fills that their rates give; and the bar's 1 M events."""
    fleet = customer_fleet()
    events = {
        Preset.JULY: JULY_EVENTS,
        Preset.DECEMBER: DECEMBER_EVENTS,
        Preset.SURGE: 1_000_000,
    }[name]
    found = FULL if name is Preset.SURGE else expected(events, fleet.buildings)
    return Workload(
        events=events,
        lockers=fleet.lockers,
        buildings=fleet.buildings,
        doors=fleet.doors,
        viewers=VIEWERS,
        fills=found,
    )
