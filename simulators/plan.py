"""What to run: how many lockers of how many doors, their names, their traffic and their faults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.contract import Thing
from simulators.courier import ORDINARY, Behaviour, Place, Traffic
from simulators.errors import FleetError
from simulators.faults import NO_FAULTS, Faults
from simulators.profile import FLAT, Curve
from simulators.script import Script

BUILDINGS = (
    "maple-court", "birch-house", "cedar-tower", "dock-street", "elm-gardens",
    "foundry-lofts", "grove-place", "harbour-view", "iris-square", "juniper-hall",
)  # fmt: skip

SAMPLES = 1_440
"""Of the curve, to estimate a run's events: one a minute of a day."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to run. Rates and durations are the scenario's; `speed` of its seconds pass in one.

    A `duration_s` of infinity runs until it is cancelled.
    """

    lockers: int = 24
    buildings: int = 3
    doors: int = 4
    rate: float = 15.0
    duration_s: float = math.inf
    seed: int = 1
    dwell_scale: float | None = None
    speed: float = 1.0
    curve: Curve = FLAT
    behaviour: Behaviour = ORDINARY
    faults: Faults = NO_FAULTS

    def __post_init__(self) -> None:
        for name in ("lockers", "buildings", "doors"):
            value = getattr(self, name)
            if value < 1:
                raise FleetError(f"{name} must be at least 1, not {value}")
        if self.buildings > self.lockers:
            raise FleetError(
                f"{self.buildings} buildings need at least as many lockers, not {self.lockers}"
            )
        if not 0 < self.rate < math.inf:
            raise FleetError(f"rate must be above 0 events/s, not {self.rate}")
        if not self.duration_s > 0:
            raise FleetError(f"duration must be above 0 s, not {self.duration_s}")
        if self.dwell_scale is not None and not self.dwell_scale > 0:
            raise FleetError(f"dwell scale must be above 0, not {self.dwell_scale}")
        if not 0 < self.speed < math.inf:
            raise FleetError(f"speed must be above 0, not {self.speed}")

    @property
    def building_names(self) -> tuple[str, ...]:
        return tuple(building_name(index) for index in range(self.buildings))

    @property
    def things(self) -> tuple[Thing, ...]:
        """Dealt out to the buildings in turn, so that these differ by at most one locker."""
        return tuple(
            Thing(building_name(n % self.buildings), f"l{n // self.buildings + 1:02d}")
            for n in range(self.lockers)
        )

    @property
    def door_names(self) -> tuple[str, ...]:
        return tuple(f"d{n:02d}" for n in range(1, self.doors + 1))

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple((thing, door) for thing in self.things for door in self.door_names)

    def traffic(self) -> Traffic:
        return Traffic(
            self.places,
            rate=self.rate,
            seed=self.seed,
            duration_s=self.duration_s,
            dwell_scale=self.dwell_scale,
            curve=self.curve,
            behaviour=self.behaviour,
        )

    def script(self) -> Script:
        """Return all that will happen: the same plan and seed, the same script."""
        return Script.generate(
            self.traffic(), self.faults, seed=self.seed, duration_s=self.duration_s
        )

    @property
    def wall_s(self) -> float:
        """How long the traffic takes, in seconds."""
        return self.duration_s / self.speed

    @property
    def expected_events(self) -> float:
        """Events of the whole run on average, without `reported` ones and what faults add."""
        if math.isinf(self.duration_s):
            return math.inf
        shares = self.curve.sampled(self.duration_s, SAMPLES)
        return self.rate * self.duration_s * sum(shares) / SAMPLES

    def rate_at(self, wall_s: float) -> float:
        """Events per second that are due so long after the start, by the clock."""
        return self.rate * self.speed * self.curve.at(wall_s * self.speed)

    def as_parameters(self) -> dict[str, Any]:
        """For the header of the ground truth; infinity is not JSON, so it becomes null."""
        return {
            "lockers": self.lockers,
            "buildings": self.buildings,
            "doors": self.doors,
            "rate": self.rate,
            "duration_s": None if math.isinf(self.duration_s) else self.duration_s,
            "seed": self.seed,
            "dwell_scale": self.dwell_scale,
            "speed": self.speed,
            "curve": [list(point) for point in self.curve.points],
            "starts_at_s": self.curve.starts_at_s,
            "behaviour": self.behaviour.model_dump(),
            "faults": self.faults.model_dump(),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "FleetPlan":
        """Return the plan that `as_parameters` described; raise FleetError if it did not."""
        fields = dict(parameters)
        try:
            if fields["duration_s"] is None:
                fields["duration_s"] = math.inf
            points = [(float(time_s), float(weight)) for time_s, weight in fields.pop("curve")]
            fields["curve"] = Curve(points, fields.pop("starts_at_s"))
            fields["behaviour"] = Behaviour(**fields["behaviour"])
            fields["faults"] = Faults(**fields["faults"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise FleetError(f"no plan of a fleet: {error}") from error


def building_name(index: int) -> str:
    round_, which = divmod(index, len(BUILDINGS))
    return BUILDINGS[which] if round_ == 0 else f"{BUILDINGS[which]}-{round_ + 1}"
