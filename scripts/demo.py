"""`latchline demo`: everything at once, live, with a verdict at the end."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scripts.options import Buildings, Doors, Lockers, Name, Rate, Seed

if TYPE_CHECKING:
    from rich.console import Console

    from simulators.fleet import FleetPlan
    from simulators.verdict import Verdict


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
    from scripts.running import exit_with
    from simulators.fleet import FleetPlan

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
        verdict = show(running.info.model_dump(mode="json"), plan, name, console)
    finally:
        running.stop()
    if verdict is not None:
        exit_with(verdict)


def show(
    info: Mapping[str, Any], plan: "FleetPlan", name: str, console: "Console"
) -> "Verdict | None":
    """Run the fleet in front of a person and judge it; None if it was ended before it began.

    What was recorded is kept only if the verdict finds something.
    """
    from operations.parked import parked_of
    from scripts.deployment import default_truth, keys_folder
    from scripts.running import print_verdict, run_session, verdict_line
    from scripts.sign_in import dashboard_lines
    from simulators.ground_truth import read_ground_truth
    from simulators.observation import read_observation
    from simulators.session import Files, Session
    from simulators.target import Target
    from simulators.verification import verify

    target = Target.from_info(info)
    files = Files.beside(default_truth(name, None), keys_folder(name, None))
    session = Session(target, plan, files)
    page = dashboard_lines(info)
    for line in page:
        console.print(line, soft_wrap=True, highlight=False)
    # The live view is as tall as a terminal; of the sign-ins it has the operator's.
    run_session(session, console, hints=(*page[:2], *hints(info, name)))
    if session.fleet is None:
        console.print("ended before the fleet was connected: nothing to judge")
        return None
    done, seen = read_ground_truth(files.truth), read_observation(files.seen)
    with parked_of(target) as parked:
        verdict = verify(target, done, seen, parked=parked)
    print_verdict(verdict, console)
    for line in (session.summary_line(), verdict_line(verdict)):
        console.print(line, soft_wrap=True, highlight=False)
    if verdict.ok:
        files.truth.unlink()
        files.seen.unlink()
    else:
        console.print(f"recorded: {files.truth}, {files.seen}", soft_wrap=True, highlight=False)
    return verdict


def hints(info: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return where everything is and how to go on, in short lines."""
    iot = info["iot"]
    return (
        f"GraphQL       {info['graphql']['http']}",
        f"realtime      {info['graphql']['realtime']}",
        f"MQTT          {iot['endpoint']}:{iot['port']}   AWS {info['endpoint_url']}",
        f"keys          latchline info --json --name {name}   (in another terminal)",
        "Ctrl-C ends with a verdict; then: latchline up, latchline fleet run, latchline verify",
    )
