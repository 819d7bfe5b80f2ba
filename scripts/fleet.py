"""`latchline fleet run`: lockers over real MQTT, against a laptop stack or AWS."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from scripts.options import (
    AsJson,
    Buildings,
    Doors,
    DwellScale,
    Lockers,
    Name,
    Rate,
    Seed,
    Stage,
)

app = typer.Typer(no_args_is_help=True, help="Run the simulated lockers.")


@app.callback()
def fleet() -> None:
    """Run the simulated lockers."""


@app.command()
def run(
    *,
    lockers: Lockers = 24,
    buildings: Buildings = 3,
    doors: Doors = 4,
    rate: Rate = 15.0,
    duration: Annotated[
        float | None, typer.Option(help="Seconds of traffic; until Ctrl-C by default.")
    ] = None,
    seed: Seed = 1,
    dwell_scale: DwellScale = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Where to write what the devices did; what a subscriber saw goes beside it"
            " (.seen.jsonl). Default: .latchline/truth-<stack>.jsonl",
            dir_okay=False,
        ),
    ] = None,
    connect_rate: Annotated[
        float, typer.Option(min=0.1, help="Connections opened per second.")
    ] = 100.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Register, connect and run lockers; couriers and residents use them.

    Records what every device did and what a subscriber saw; `latchline verify` compares both with
    the table.
    """
    from rich.console import Console

    from scripts.deployment import default_truth, find_target, keys_folder, things_per_s
    from scripts.running import run_session
    from simulators.fleet import FleetPlan
    from simulators.session import Files, Session

    plan = FleetPlan(
        lockers=lockers,
        buildings=buildings,
        doors=doors,
        rate=rate,
        duration_s=math.inf if duration is None else duration,
        seed=seed,
        dwell_scale=dwell_scale,
    )
    session = Session(
        find_target(name, stage),
        plan,
        Files.beside(truth or default_truth(name, stage), keys_folder(name, stage)),
        things_per_s=things_per_s(stage),
        connects_per_s=connect_rate,
    )
    console = Console(stderr=as_json)
    run_session(session, console)
    if as_json:
        typer.echo(json.dumps(session.summary(), indent=2))
    else:
        console.print(session.summary_line(), soft_wrap=True, highlight=False)
        console.print(f"truth: {session.files.truth}", soft_wrap=True, highlight=False)
