"""`latchline demo`: everything at once, live, with a verdict at the end."""

import math
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Literal

import typer

from scripts.options import Buildings, Doors, Lockers, Name, Rate, Seed


def demo(
    *,
    duration: Annotated[
        float | None, typer.Option(help="Seconds of traffic; until Ctrl-C by default.")
    ] = None,
    lockers: Lockers = 24,
    buildings: Buildings = 3,
    doors: Doors = 4,
    rate: Rate = 15.0,
    seed: Seed = 1,
    name: Name = "demo",
    route: Annotated[
        Literal["bus", "direct"],
        typer.Option(help="From the IoT rule over the event bus, or straight to the projector."),
    ] = "bus",
) -> None:
    """Start a stack and a small fleet, show tiles and latency live, judge what arrived.

    The exit status is the verdict's: 0 if nothing was lost, wrong or extra, 1 otherwise.
    """
    from rich.console import Console

    from local import stack
    from scripts.deployment import keys_folder
    from scripts.running import exit_with, print_verdict, run_session, verdict_line
    from simulators.fleet import FleetPlan
    from simulators.ground_truth import read_ground_truth
    from simulators.observation import read_observation
    from simulators.session import Files, Session
    from simulators.target import Target
    from simulators.verification import verify

    plan = FleetPlan(
        lockers=lockers,
        buildings=buildings,
        doors=doors,
        rate=rate,
        duration_s=math.inf if duration is None else duration,
        seed=seed,
    )
    console = Console()
    running = stack.start(
        name,
        detach=False,
        route=route,
        on_progress=lambda line: console.print(line, soft_wrap=True, highlight=False),
    )
    try:
        info = running.info
        target = Target.from_info(info.model_dump(mode="json"))
        truth = Path(mkdtemp(prefix="latchline-demo-")) / "truth.jsonl"
        session = Session(target, plan, Files.beside(truth, keys_folder(name, None)))
        endpoints = (
            f"GraphQL {info.graphql.http} · realtime {info.graphql.realtime} · "
            f"MQTT {info.iot.endpoint}:{info.iot.port} · AWS endpoint {info.endpoint_url}"
        )
        next_steps = (
            f"in another terminal: latchline info --json --name {name} · "
            f"latchline fleet run --name {name} · Ctrl-C here ends with a verdict"
        )
        run_session(session, console, hints=(endpoints, next_steps))
        if session.fleet is None:
            console.print("ended before the fleet was connected: nothing to judge")
            return
        verdict = verify(target, read_ground_truth(truth), read_observation(session.files.seen))
        print_verdict(verdict, console)
        console.print(session.summary_line(), soft_wrap=True, highlight=False)
        console.print(verdict_line(verdict), soft_wrap=True, highlight=False)
        if verdict.ok:
            for file in (session.files.truth, session.files.seen):
                file.unlink()
            truth.parent.rmdir()
        else:
            console.print(f"recorded in {truth.parent}", soft_wrap=True, highlight=False)
    finally:
        running.stop()
    exit_with(verdict)
