"""What is compared: quantities, their bars, and pairs of values from the same repetition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any

from benchmarks.comparison.designs import OURS, TEXTBOOK

Pair = tuple[float, float]
"""Ours and the textbook's, measured one right after the other."""


@dataclass(frozen=True, slots=True)
class Spec:
    """`bar` is ours to keep, and holds for the median; `digits` after the point."""

    title: str
    unit: str = ""
    digits: int = 2
    bar: float | None = None
    more_is_better: bool = False


class Quantity(Enum):
    """In the order of the table."""

    REQUESTS_10_DOORS = Spec("DynamoDB requests an event, batch of 10 over 10 doors", bar=1.1)
    REQUESTS_2_DOORS = Spec("DynamoDB requests an event, batch of 10 over 2 doors", bar=0.4)
    REQUESTS_MIXED = Spec("DynamoDB requests an event, mixed, 1.5 % duplicates")
    WRITE_UNITS_10_DOORS = Spec("write units an event, batch of 10 over 10 doors")
    WRITE_UNITS_2_DOORS = Spec("write units an event, batch of 10 over 2 doors")
    WRITE_UNITS_MIXED = Spec("write units an event, mixed, 1.5 % duplicates")
    READS_MIXED = Spec("consistent reads an event, mixed")
    APPSYNC_REQUESTS = Spec(
        "AppSync requests a changed tile, stream batch of 100", digits=3, bar=0.02
    )
    OWN_CPU = Spec("projector: CPU an event, no SDK, no network", "µs", digits=0, bar=100)
    SDK_CPU = Spec("projector: CPU an event, SDK, no network", "µs", digits=0)
    PROJECTOR_CPU = Spec("projector: CPU an event, as run", "µs", digits=0)
    FANOUT_CPU = Spec("fan-out: CPU a record, as run", "µs", digits=0)
    PROJECTOR_RATE = Spec("projector alone, one at a time", "events/s", 0, more_is_better=True)
    RATE = Spec(
        "projector and fan-out to completion, one at a time", "events/s", 0, more_is_better=True
    )
    COLD_PROJECTOR = Spec("projector: cold import, clients made", "ms", digits=0, bar=400)
    COLD_FANOUT = Spec("fan-out: cold import, clients made", "ms", digits=0, bar=400)
    COLD_PROJECTOR_CPU = Spec("projector: cold import, CPU of it", "ms", digits=0)
    COLD_FANOUT_CPU = Spec("fan-out: cold import, CPU of it", "ms", digits=0)
    ZIP_PROJECTOR = Spec("projector: zip with its layer, sources", "MB", digits=1)
    ZIP_FANOUT = Spec("fan-out: zip with its layer, sources", "MB", digits=1)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, and the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def told(self, digits: int) -> str:
        """The range only where it can be seen."""
        middle, least, greatest = (
            f"{each:,.{digits}f}" for each in (self.median, self.least, self.greatest)
        )
        return middle if least == greatest else f"{middle} ({least}–{greatest})"


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity, and all pairs of it."""

    quantity: Quantity
    pairs: tuple[Pair, ...]

    @property
    def spec(self) -> Spec:
        return self.quantity.value

    @property
    def ours(self) -> Spread:
        return Spread.of([ours for ours, _ in self.pairs])

    @property
    def textbook(self) -> Spread:
        return Spread.of([textbook for _, textbook in self.pairs])

    @property
    def times_better(self) -> Spread | None:
        """How many times ours is better, pair by pair; None where ours needs none of it."""
        if self.spec.more_is_better:
            return Spread.of([ours / textbook for ours, textbook in self.pairs])
        if not all(ours for ours, _ in self.pairs):
            return None
        return Spread.of([textbook / ours for ours, textbook in self.pairs])

    @property
    def kept(self) -> bool | None:
        """Whether ours keeps the bar; None if there is no bar."""
        return None if self.spec.bar is None else self.ours.median <= self.spec.bar

    def as_json(self) -> dict[str, Any]:
        better = self.times_better
        return {
            "quantity": self.quantity.name.lower(),
            "title": self.spec.title,
            "unit": self.spec.unit,
            "bar": self.spec.bar,
            "kept": self.kept,
            OURS.name: [ours for ours, _ in self.pairs],
            TEXTBOOK.name: [textbook for _, textbook in self.pairs],
            "times_better": None
            if better is None
            else {"median": better.median, "min": better.least, "max": better.greatest},
        }


def compared(pairs: Mapping[Quantity, Sequence[Pair]]) -> Iterator[Compared]:
    """What was measured, in the table's order."""
    for quantity in Quantity:
        if pairs.get(quantity):
            yield Compared(quantity, tuple(pairs[quantity]))
