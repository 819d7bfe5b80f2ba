"""`latchline latency`: how long from door to tile, and where the time goes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Buildings, Doors, Lockers, Name, Rate, Seed, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from latency.floor import BrokerProbe
    from latency.measurement import Measurement
    from simulators.plan import FleetPlan

HIGHEST_RATE = 2_000.0
CONNECTS_PER_S = 50.0
"""Slow enough that the connecting does not heat up what is measured afterwards."""


def latency(
    *,
    rate: Rate = 50.0,
    lockers: Lockers = 200,
    buildings: Buildings = 10,
    doors: Doors = 4,
    duration: Annotated[float, typer.Option(min=1, help="Seconds that are measured.")] = 60.0,
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds of the same load before, not measured.")
    ] = 10.0,
    seed: Seed = 1,
    find_limit: Annotated[
        bool,
        typer.Option(
            "--find-limit",
            help="Raise the rate, beginning with --rate, until p95 is above 700 ms, and say which"
            " hop gave in.",
        ),
    ] = False,
    floor: Annotated[
        bool,
        typer.Option(help="Also send the same message through the broker alone, meanwhile."),
    ] = True,
    html: Annotated[
        Path | None, typer.Option(help="Also write a report with pictures.", dir_okay=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="With --find-limit: draw latency against rate, as SVG.", dir_okay=False),
    ] = None,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Put a known load on a deployment, subscribe as a dashboard does, and match every event.

    The load is an open loop: a slow system is not asked less. Exit status 1 if an event was lost.
    """
    from dataclasses import replace

    from rich.console import Console

    from latency.charts import against_rate
    from latency.limit import Step, rates
    from latency.page import page
    from scripts.errors import EXIT_DIFFERENT
    from scripts.latency_view import print_limit, print_measurement
    from simulators.plan import FleetPlan

    if plot is not None and not find_limit:
        raise typer.BadParameter(f"{plot}: one rate makes no curve; add --find-limit")
    console = Console(stderr=as_json)
    plan = FleetPlan(
        lockers=lockers,
        buildings=buildings,
        doors=doors,
        rate=rate,
        duration_s=warm_up + duration,
        seed=seed,
    )
    steps: list[Step] = []
    with _probe(name, stage, floor=floor) as probe:
        for tried in rates(rate):
            plan = replace(plan, rate=tried)
            found = _measure(plan, probe, console, warm_up_s=warm_up, name=name, stage=stage)
            steps.append(Step(tried, found))
            if not find_limit or steps[-1].broken or tried > HIGHEST_RATE:
                break
            print_measurement(found, console, brief=True)
    last = steps[-1].measurement
    if html is not None:
        _write(html, "report", page(last, "Door to tile", steps if find_limit else ()), console)
    if plot is not None:
        _write(plot, "plot", against_rate(steps), console)
    if as_json:
        document = last.as_json()
        if find_limit:
            document["steps"] = [
                {"rate": step.rate, "broken": step.broken, **step.measurement.latency.as_json()}
                for step in steps
            ]
        typer.echo(json.dumps(document, indent=2))
    else:
        print_measurement(last, console)
        if find_limit:
            print_limit(steps, console)
    if last.lost and not find_limit:
        raise typer.Exit(EXIT_DIFFERENT)


def _write(path: Path, what: str, text: str, console: "Console") -> None:
    from simulators.session import writable

    with writable(path) as file:
        file.write(text)
    console.print(f"{what}: {path}", soft_wrap=True, highlight=False)


@contextmanager
def _probe(name: str, stage: str | None, *, floor: bool) -> "Iterator[BrokerProbe | None]":
    """Have a probe registered with the broker, if one is asked for, and taken away at the end."""
    from latency.floor import BrokerProbe, provisioned
    from scripts.deployment import find_target

    if not floor:
        yield None
        return
    target = find_target(name, stage)
    with (
        TemporaryDirectory(prefix="latchline-probe-") as keys,
        provisioned(target, Path(keys)) as credentials,
    ):
        yield BrokerProbe(target, credentials)


def _measure(
    plan: "FleetPlan",
    probe: "BrokerProbe | None",
    console: "Console",
    *,
    warm_up_s: float,
    name: str,
    stage: str | None,
) -> "Measurement":
    """Run the fleet once; raise CommandError if it was ended before there was anything."""
    from latency.measurement import measure_files
    from scripts.deployment import default_truth, find_target, keys_folder, things_per_s
    from scripts.errors import CommandError
    from scripts.running import run_session
    from simulators.session import Files, Session

    session = Session(
        find_target(name, stage),
        plan,
        Files.beside(default_truth(name, stage), keys_folder(name, stage)),
        things_per_s=things_per_s(stage),
        connects_per_s=CONNECTS_PER_S,
    )
    run_session(session, console, beside=None if probe is None else probe.run)
    if session.fleet is None:
        raise CommandError("ended before anything was measured")
    if probe is not None and probe.failure is not None:
        console.print(f"the broker's probe failed: {probe.failure}", highlight=False)
    return measure_files(
        session.files.truth,
        session.files.seen,
        warm_up_s=warm_up_s,
        floor=[] if probe is None else probe.took_ms,
        lag=session.fleet.counters.lag_ms.summary(),
    )
