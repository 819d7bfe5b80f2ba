"""`latchline verify`: tells whether everything that the devices sent is where it belongs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from simulators.verdict import Verdict


def verify(
    *,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="What the devices did (fleet run --truth). Default: the last run of the stack.",
            dir_okay=False,
        ),
    ] = None,
    seen: Annotated[
        Path | None,
        typer.Option(
            help="What a subscriber saw. Default: the .seen.jsonl beside the truth, if there.",
            dir_okay=False,
        ),
    ] = None,
    parked: Annotated[
        list[Path] | None,
        typer.Option(
            help="What dlq park --export took out of quarantine; counts as parked. May be"
            " repeated.",
            dir_okay=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for events still on their way.")
    ] = 30.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Compare tiles, history, quarantine and what a subscriber saw with what the fleet did.

    Exit status 0 if all agree, 1 on any difference, 2 if it could not be told.
    """
    from rich.console import Console

    from operations.parked import parked_of
    from scripts.deployment import default_truth, find_target
    from scripts.errors import CommandError
    from scripts.running import exit_with, print_verdict, verdict_line
    from simulators.ground_truth import read_ground_truth
    from simulators.observation import read_observation
    from simulators.verdict import Finding, View
    from simulators.verification import verify as compare

    truth_file = truth or default_truth(name, stage)
    if not truth_file.exists():
        raise CommandError(f"{truth_file} does not exist: record one with latchline fleet run")
    seen_file = seen or truth_file.with_suffix(".seen.jsonl")
    if seen is not None and not seen.exists():
        raise CommandError(f"{seen} does not exist")
    done = read_ground_truth(truth_file)
    picture = read_observation(seen_file) if seen_file.exists() else None
    target = find_target(name, stage)
    with parked_of(target, parked or ()) as looked_up:
        verdict = compare(target, done, picture, parked=looked_up, timeout_s=timeout)
    if as_json:
        typer.echo(json.dumps(verdict.as_json(), indent=2))
    else:
        console = Console()
        if not done.complete:
            console.print(f"{truth_file} was cut off: judged by what it has")
        if picture is not None and picture.unwatched:
            console.print(
                f"the run was ended before {len(picture.unwatched)} doors had shown their last"
                " event: the subscription is not judged by these"
            )
        print_verdict(verdict, console)
        if done.malformed:
            console.print(parked_line(verdict), soft_wrap=True, highlight=False)
            if verdict.count(Finding.LOST, View.QUARANTINE) and not parked:
                console.print("taken out with latchline dlq park? name the file: --parked FILE")
        console.print(verdict_line(verdict), soft_wrap=True, highlight=False)
    exit_with(verdict)


def parked_line(verdict: "Verdict") -> str:
    """Say how much of what was spoiled on purpose is where it belongs."""
    from simulators.verdict import Finding, View

    if View.QUARANTINE not in verdict.checked:
        return "quarantine: not looked at, the deployment names no such queue"
    expected = verdict.checked[View.QUARANTINE]
    faults = sum(verdict.count(each, View.QUARANTINE) for each in (Finding.LOST, Finding.WRONG))
    return f"quarantine: {expected - faults} of {expected} malformed events parked as expected"
