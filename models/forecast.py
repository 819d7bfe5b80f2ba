"""Door to tile on AWS, by Monte Carlo over published per-hop figures (`hops.toml`).

Each hop gets a distribution through its published percentiles; an event's time is the sum of one
draw a hop, the hops independent of each other and warm. So it is what an event without bad luck
takes: no cold start, no throttling, no retry, no backlog.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from latency.journey import Hop as Stage
from models.errors import ModelError
from models.figures import Hop, hops, routes

Times = NDArray[np.float64]
DRAWS = 200_000
SEED = 1
PERCENTILES = (50.0, 95.0, 99.0)
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, times: Times) -> "Quantiles":
        p50, p95, p99 = np.percentile(times, PERCENTILES)
        return cls(float(p50), float(p95), float(p99))


@dataclass(frozen=True, slots=True)
class HopShare:
    """A hop on its own, and by how much the p95 of the whole would fall without it."""

    hop: Hop
    stage: Stage
    alone: Quantiles
    p95_saved: float


@dataclass(frozen=True, slots=True)
class Forecast:
    route: str
    title: str
    total: Quantiles
    hops: tuple[HopShare, ...]
    stages: Mapping[Stage, Quantiles]
    """By the stages that a run can measure."""

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "door_to_tile_ms": _rounded(self.total),
            "stages_ms": {stage.value: _rounded(q) for stage, q in self.stages.items()},
            "hops_ms": [
                {
                    "hop": share.hop.title,
                    **_rounded(share.alone),
                    "p95_saved_without": round(share.p95_saved, 1),
                    "source": share.hop.source,
                    "date": share.hop.date.isoformat(),
                    "confidence": share.hop.confidence,
                }
                for share in self.hops
            ],
        }


def _rounded(quantiles: Quantiles) -> dict[str, float]:
    return {name: round(getattr(quantiles, name), 1) for name in ("p50", "p95", "p99")}


@cache
def forecast(route: str, *, draws: int = DRAWS, seed: int = SEED) -> Forecast:
    """Draw the route so often; the same seed gives the same figures.

    Raises
    ------
    ModelError
        There is no such route, or too few draws for a p99.
    """
    if route not in routes():
        raise ModelError(f"no route {route!r}; there are {', '.join(routes())}")
    if draws < 1000:  # noqa: PLR2004  (ten draws beyond the p99)
        raise ModelError(f"a p99 needs at least 1000 draws, not {draws}")
    # Its stream of numbers is frozen for good, whatever the version of the library.
    source = np.random.RandomState(seed)
    way = [(Stage[name.upper()], hops()[hop]) for name, hop in routes()[route].way()]
    drawn = [draw(hop, draws, source) for _, hop in way]
    times: Times = np.sum(drawn, axis=0)
    total = Quantiles.of(times)
    shares = tuple(
        HopShare(hop, stage, Quantiles.of(each), total.p95 - Quantiles.of(times - each).p95)
        for (stage, hop), each in zip(way, drawn, strict=True)
    )
    stages = {
        stage: Quantiles.of(
            np.sum([t for (s, _), t in zip(way, drawn, strict=True) if s is stage], axis=0)
        )
        for stage in Stage
        if any(s is stage for s, _ in way)
    }
    return Forecast(route, routes()[route].title, total, shares, stages)


def draw(hop: Hop, count: int, source: np.random.RandomState) -> Times:
    """Random times (ms) of a hop, whose published percentiles they keep."""
    known = sorted((percent(name), ms) for name, ms in hop.percentiles.items())
    for (_, lower), (_, higher) in pairwise(known):
        if higher <= lower:
            raise ModelError(f"hops.toml: {hop.title}: percentiles must rise, {higher:g} does not")
    normal = source.standard_normal(count)
    points = np.array([NORMAL.inv_cdf(share) for share, _ in known])
    logs = np.log([ms for _, ms in known])
    between = np.interp(normal, points, logs)
    low, high = ((logs[b] - logs[a]) / (points[b] - points[a]) for a, b in ((0, 1), (-2, -1)))
    below = logs[0] + low * (normal - points[0])
    above = logs[-1] + high * (normal - points[-1])
    logarithm = np.where(normal < points[0], below, np.where(normal > points[-1], above, between))
    times: Times = np.exp(logarithm)
    return times


def percent(name: str) -> float:
    """`p95` → 0.95; raise ModelError naming what is none."""
    try:
        share = float(name.removeprefix("p")) / 100
    except ValueError:
        share = math.nan
    if not (name.startswith("p") and 0 < share < 1):
        raise ModelError(f"hops.toml: {name!r} is no percentile, like p50 or p99")
    return share


class _Percentiles(BaseModel):
    p50: Annotated[float, Field(allow_inf_nan=False)]
    p95: Annotated[float, Field(allow_inf_nan=False)]
    p99: Annotated[float, Field(allow_inf_nan=False)]

    def quantiles(self) -> Quantiles:
        return Quantiles(self.p50, self.p95, self.p99)


class _Measured(BaseModel):
    door_to_tile_ms: _Percentiles
    hops_ms: dict[Stage, _Percentiles]


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    total: Quantiles
    stages: Mapping[Stage, Quantiles]


def read_measured(path: Path) -> MeasuredRun:
    """Read what `latchline latency --json` printed; raise ModelError naming file and field."""
    try:
        found = _Measured.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}: not JSON ({error})") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ModelError(
            f"{path}: {where}: {fault['msg']}; wanted is what latchline latency --json prints"
        ) from error
    return MeasuredRun(
        found.door_to_tile_ms.quantiles(),
        {stage: each.quantiles() for stage, each in found.hops_ms.items()},
    )
