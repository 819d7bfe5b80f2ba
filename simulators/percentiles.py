"""Durations kept cheaply on the hot path and ranked only when somebody looks."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Nearest-rank percentiles in milliseconds; every figure is None if there was no sample."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    worst: float | None

    def __str__(self) -> str:
        if self.p50 is None or self.p95 is None or self.p99 is None:
            return "no samples"
        return f"p50 {self.p50:.0f} ms, p95 {self.p95:.0f} ms, p99 {self.p99:.0f} ms"

    def as_json(self) -> dict[str, float | int | None]:
        figures = {
            "p50": self.p50,
            "p95": self.p95,
            "p99": self.p99,
            "p99.9": self.p999,
            "max": self.worst,
        }
        rounded = {k: None if v is None else round(v, 1) for k, v in figures.items()}
        return {"count": self.count, **rounded}


def summarize(values_ms: Iterable[float]) -> Summary:
    ranked = sorted(values_ms)
    if not ranked:
        return Summary(0, None, None, None, None, None)

    def rank(q: float) -> float:
        return ranked[max(0, math.ceil(q * len(ranked)) - 1)]

    return Summary(len(ranked), rank(0.50), rank(0.95), rank(0.99), rank(0.999), ranked[-1])


class Samples:
    """Appending is O(1); of a long run the latest `capacity` durations (ms) are kept."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._values: deque[float] = deque(maxlen=capacity)

    def add(self, value_ms: float) -> None:
        self._values.append(value_ms)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def summary(self, latest: int | None = None) -> Summary:
        """Rank all samples kept, or only the `latest` so many (what a live view shows)."""
        values = list(self._values)
        return summarize(values if latest is None else values[-latest:])
