"""Scenario files: what to run, in TOML, checked before anything starts.

    title, buildings, lockers, doors, duration, seed, speed     the fleet and the run
    [traffic]   rate (events/s, mean of the curve), curve, starts_at, and shares of visits
    [faults]    shares of events and rates per locker and hour (`faults.Faults`)

All seconds and rates are the scenario's own; `speed` says how many of them pass in one second.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from simulators.courier import Behaviour
from simulators.errors import FleetError, ScenarioError
from simulators.faults import NO_FAULTS, Faults
from simulators.plan import FleetPlan
from simulators.profile import DAY_S, Curve

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?")


def duration_s(text: object) -> object:
    """Turn "24h", "1h30m" or "45s" into seconds; a number is seconds already."""
    if not isinstance(text, str):
        return text
    parts = _DURATION.fullmatch(text)
    if not text or parts is None:
        raise ValueError('must be seconds, or like "24h", "1h30m", "45s"')
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return float(3_600 * hours + 60 * minutes + seconds)


def clock_s(text: object) -> object:
    """Turn "11:30" or "11:30:15" into seconds since midnight; "24:00" ends a day."""
    parts = _CLOCK.fullmatch(str(text))
    if parts is None:
        raise ValueError('must be a time of day like "11:30"')
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    moment = 3_600 * hours + 60 * minutes + seconds
    if minutes > 59 or seconds > 59 or moment > DAY_S:  # noqa: PLR2004  (a clock's own)
        raise ValueError('must be a time of day like "11:30"')
    return float(moment)


Duration = Annotated[float, BeforeValidator(duration_s), Field(gt=0, allow_inf_nan=False)]
Clock = Annotated[float, BeforeValidator(clock_s)]
Point = tuple[Clock, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


class TrafficSection(Behaviour):
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Events per second, the mean over the curve."""
    curve: Annotated[tuple[Point, ...], Field(min_length=2)] = ((0.0, 1.0), (DAY_S, 1.0))
    starts_at: Clock = 0.0
    dwell_scale: Annotated[float, Field(gt=0)] | None = None


class Scenario(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    buildings: Annotated[int, Field(ge=1)]
    lockers: Annotated[int, Field(ge=1)]
    doors: Annotated[int, Field(ge=1, le=99)]
    duration: Duration
    seed: int = 1
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    traffic: TrafficSection
    faults: Faults = NO_FAULTS

    def plan(self, **overrides: Any) -> FleetPlan:
        """Return what to run; `overrides` are fields of the plan, None keeps the scenario's."""
        fields = {
            "lockers": self.lockers,
            "buildings": self.buildings,
            "doors": self.doors,
            "rate": self.traffic.rate,
            "duration_s": self.duration,
            "seed": self.seed,
            "dwell_scale": self.traffic.dwell_scale,
            "speed": self.speed,
            "curve": Curve(self.traffic.curve, self.traffic.starts_at),
            "behaviour": Behaviour(
                **{name: getattr(self.traffic, name) for name in Behaviour.model_fields}
            ),
            "faults": self.faults,
        }
        given = {name: value for name, value in overrides.items() if value is not None}
        return FleetPlan(**(fields | given))


def shipped() -> Iterator[tuple[str, Scenario]]:
    """Every scenario that comes with the package, by name, in alphabetical order."""
    folder = resources.files("simulators") / "scenarios"
    for name in sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml")):
        yield name.removesuffix(".toml"), _parse((folder / name).read_text("utf-8"), name)


def load_scenario(name_or_file: str) -> Scenario:
    """Load a shipped scenario by its name, or any by its file.

    Raises
    ------
    ScenarioError
        Naming the file, and the key and the value that cannot be; an unknown name lists the known.
    """
    if "/" not in name_or_file and not name_or_file.endswith(".toml"):
        known = resources.files("simulators") / "scenarios" / f"{name_or_file}.toml"
        if not known.is_file():
            names = ", ".join(name for name, _ in shipped())
            raise ScenarioError(
                f"no scenario {name_or_file!r}: there are {names}, or give a .toml file"
            )
        return _parse(known.read_text("utf-8"), known.name)
    try:
        text = Path(name_or_file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{name_or_file}: cannot be read: {error}") from error
    return _parse(text, name_or_file)


def _parse(text: str, file: str) -> Scenario:
    try:
        fields: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{file}: not TOML: {error}") from error
    try:
        scenario = Scenario.model_validate(fields)
        scenario.plan()  # what spans several keys: buildings and lockers, the curve
    except ValidationError as error:
        # A key that is not known first: it may be the one that is missing, misspelt.
        faults = error.errors(include_url=False)
        first = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
        key = ".".join(str(part) for part in first["loc"])
        given = "" if first["type"] == "missing" else f" (got {str(first['input'])[:60]!r})"
        raise ScenarioError(f"{file}: {key}: {first['msg']}{given}") from error
    except FleetError as error:
        raise ScenarioError(f"{file}: {error}") from error
    return scenario
