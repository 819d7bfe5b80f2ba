"""Options that say what a fleet is: a scenario, and flags that override it."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulators.plan import FleetPlan

SECTION = "What to run (flags override the scenario)"

Scenario = Annotated[
    str | None,
    typer.Option(
        help="A shipped scenario (latchline fleet scenarios) or a .toml file.",
        metavar="NAME|FILE",
        rich_help_panel=SECTION,
    ),
]
Lockers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Lockers, one MQTT connection each. Default: the scenario's, or 24.",
        rich_help_panel=SECTION,
    ),
]
Buildings = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Buildings the lockers are spread over. Default: the scenario's, or 3.",
        rich_help_panel=SECTION,
    ),
]
Doors = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=99,
        help="Doors per locker. Default: the scenario's, or 4.",
        rich_help_panel=SECTION,
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Target of door events per second, over all doors, on average over the scenario's"
        " curve. Default: the scenario's, or 15.",
        rich_help_panel=SECTION,
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        help="Seconds of traffic, of the scenario's time. Default: the scenario's, or until"
        " Ctrl-C.",
        rich_help_panel=SECTION,
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        help="Seconds of the scenario that pass in one: 144 plays a day in ten minutes."
        " Default: the scenario's, or 1.",
        rich_help_panel=SECTION,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="The same seed gives the same events and faults. Default: the scenario's, or 1.",
        rich_help_panel=SECTION,
    ),
]
DwellScale = Annotated[
    float | None,
    typer.Option(
        help="Factor on how long people keep a door open; by default whatever keeps at most 12 %"
        " of the doors open at the busiest moment.",
        rich_help_panel=SECTION,
    ),
]


def plan_of(
    scenario: str | None,
    *,
    lockers: int | None = None,
    buildings: int | None = None,
    doors: int | None = None,
    rate: float | None = None,
    duration: float | None = None,
    speed: float | None = None,
    seed: int | None = None,
    dwell_scale: float | None = None,
) -> "FleetPlan":
    """Return the plan; raise ScenarioError or FleetError naming the value that cannot be."""
    from simulators.plan import FleetPlan
    from simulators.scenario import load_scenario

    given = {
        "lockers": lockers,
        "buildings": buildings,
        "doors": doors,
        "rate": rate,
        "duration_s": duration,
        "speed": speed,
        "seed": seed,
        "dwell_scale": dwell_scale,
    }
    if scenario is not None:
        return load_scenario(scenario).plan(**given)
    ordinary = {"duration_s": math.inf}
    return FleetPlan(**(ordinary | {k: v for k, v in given.items() if v is not None}))  # type: ignore[arg-type]
