"""`latchline fleet`: lockers over real MQTT, against a laptop stack or AWS."""

import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.fleet_options import (
    Buildings,
    Doors,
    Duration,
    DwellScale,
    Lockers,
    Rate,
    Scenario,
    Seed,
    Speed,
    plan_of,
)
from scripts.fleet_registry import deprovision, provision, revoke
from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from simulators.plan import FleetPlan
    from simulators.script import Script

app = typer.Typer(no_args_is_help=True, help="Run the simulated lockers.")
app.command()(provision)
app.command()(deprovision)
app.command()(revoke)

Truth = Annotated[
    Path | None,
    typer.Option(
        help="Where to write what the devices did; what a subscriber saw goes beside it"
        " (.seen.jsonl). Default: .latchline/truth-<stack>.jsonl",
        dir_okay=False,
    ),
]
CURVE_COLUMNS = 36
ConnectRate = Annotated[float, typer.Option(min=0.1, help="Connections opened per second.")]


@app.callback()
def fleet() -> None:
    """Run the simulated lockers."""


@app.command()
def run(
    *,
    scenario: Scenario = None,
    lockers: Lockers = None,
    buildings: Buildings = None,
    doors: Doors = None,
    rate: Rate = None,
    duration: Duration = None,
    speed: Speed = None,
    seed: Seed = None,
    dwell_scale: DwellScale = None,
    truth: Truth = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Also write what is played, for latchline fleet replay.", dir_okay=False),
    ] = None,
    connect_rate: ConnectRate = 100.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Register, connect and run lockers; couriers and residents use them.

    Records what every device did and what a subscriber saw; `latchline verify` compares both with
    the table.
    """
    plan = plan_of(
        scenario,
        lockers=lockers,
        buildings=buildings,
        doors=doors,
        rate=rate,
        duration=duration,
        speed=speed,
        seed=seed,
        dwell_scale=dwell_scale,
    )
    _play(
        plan,
        None,
        truth=truth,
        record=record,
        connect_rate=connect_rate,
        name=name,
        stage=stage,
        as_json=as_json,
    )


@app.command()
def scenarios(
    *,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Also draw each one's curve into this folder, as SVG.", file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the scenarios that come with Latchline."""
    from rich.console import Console
    from rich.table import Table

    from scripts.fleet_pictures import curve_svg
    from scripts.sparkline import sparkline
    from simulators.scenario import shipped

    known = list(shipped())
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, each in known:
            picture = curve_svg(each.title, each.plan())
            (pictures / f"{name}.svg").write_text(picture, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([{"name": n, **s.model_dump(mode="json")} for n, s in known]))
        return
    table = Table(box=None)
    for column in ("name", "lockers", "events", "takes", "what happens"):
        table.add_column(column, justify="right" if column in ("lockers", "events") else "left")
    for name, each in known:
        plan = each.plan()
        minutes = f"{plan.wall_s / 60:g} min"
        curve = sparkline(plan.curve.peaks(plan.duration_s, CURVE_COLUMNS))
        title = f"{each.title}\n[cyan]{curve}[/]"
        table.add_row(name, str(each.lockers), f"{plan.expected_events:,.0f}", minutes, title)
    Console().print(table)


@app.command()
def record(
    *,
    file: Annotated[Path, typer.Argument(help="Where to write the script.", dir_okay=False)],
    scenario: Scenario = None,
    lockers: Lockers = None,
    buildings: Buildings = None,
    doors: Doors = None,
    rate: Rate = None,
    duration: Duration = None,
    speed: Speed = None,
    seed: Seed = None,
    dwell_scale: DwellScale = None,
) -> None:
    """Write down all that a run will do, without a stack: a fixed input for `fleet replay`.

    `fleet run --record` does the same with a run that is played, up to where it was ended.
    """
    import math

    from scripts.errors import CommandError
    from simulators.script import ScriptWriter
    from simulators.session import writable

    plan = plan_of(
        scenario,
        lockers=lockers,
        buildings=buildings,
        doors=doors,
        rate=rate,
        duration=duration,
        speed=speed,
        seed=seed,
        dwell_scale=dwell_scale,
    )
    if math.isinf(plan.duration_s):
        raise CommandError("a script needs an end: give --duration or a --scenario")
    script = plan.script()
    with writable(file) as out:
        written = ScriptWriter(out, plan.as_parameters(), script.initial).tee(script)
        steps = sum(1 for _ in written)
    typer.echo(f"{file}: {steps} steps, {plan.duration_s:g} s of {plan.lockers} lockers")


@app.command()
def replay(
    *,
    file: Annotated[Path, typer.Argument(help="A script of fleet record.", dir_okay=False)],
    speed: Speed = None,
    truth: Truth = None,
    connect_rate: ConnectRate = 100.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Play a recorded script, step for step."""
    from dataclasses import replace

    from simulators.plan import FleetPlan
    from simulators.script import read_script

    parameters, script = read_script(file)
    plan = FleetPlan.from_parameters(parameters)
    if speed is not None:
        plan = replace(plan, speed=speed)
    _play(
        plan,
        script,
        truth=truth,
        record=None,
        connect_rate=connect_rate,
        name=name,
        stage=stage,
        as_json=as_json,
    )


def _play(
    plan: "FleetPlan",
    script: "Script | None",
    *,
    truth: Path | None,
    record: Path | None,
    connect_rate: float,
    name: str,
    stage: str | None,
    as_json: bool,
) -> None:
    from rich.console import Console

    from scripts.deployment import default_truth, find_target, keys_folder, things_per_s
    from scripts.running import run_session
    from simulators.session import Files, Session

    session = Session(
        find_target(name, stage),
        plan,
        Files.beside(truth or default_truth(name, stage), keys_folder(name, stage), record),
        things_per_s=things_per_s(stage),
        connects_per_s=connect_rate,
        script=script,
    )
    console = Console(stderr=as_json)
    run_session(session, console)
    if as_json:
        typer.echo(json.dumps(session.summary(), indent=2))
    else:
        for line in (session.summary_line(), session.verdict_line()):
            console.print(line, soft_wrap=True, highlight=False)
        console.print(f"truth: {session.files.truth}", soft_wrap=True, highlight=False)
    # The interpreter would look for cycles in all of it once more, after the last line is out.
    gc.freeze()
