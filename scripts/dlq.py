"""`latchline dlq`: dead letters, for whoever is on call."""

import json
import signal
import time
from typing import Annotated

import typer

from scripts.dlq_options import (
    InBuildings,
    NewerThan,
    OlderThan,
    Queues,
    Reasons,
    Things,
    queues_of,
    selection_of,
)
from scripts.dlq_park import park
from scripts.dlq_redrive import redrive
from scripts.options import AsJson, Name, Stage

LS_LIMIT = 500

app = typer.Typer(no_args_is_help=True, help="See, redrive and park dead letters.")


@app.callback()
def dlq() -> None:
    """See, redrive and park dead letters.

    ls shows how the six queues stand, peek what lies in them, redrive sends letters again, park
    sets aside what cannot succeed. Nothing is ever dropped.
    """
    # Like Ctrl-C: letters that are being looked at are put back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)


@app.command(name="ls")
def list_queues(
    *,
    limit: Annotated[
        int, typer.Option(min=1, help="Letters of each queue to look at for age and reasons.")
    ] = LS_LIMIT,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Show depth, age of the oldest letter and top reasons of each queue.

    Exit status 0 if all are empty, 1 if not.
    """
    from rich.console import Console

    from operations.overview import overview
    from scripts.deployment import find_target
    from scripts.dlq_clients import sqs_client
    from scripts.dlq_screens import print_overview
    from scripts.errors import EXIT_DIFFERENT

    target = find_target(name, stage)
    states = overview(sqs_client(target), target.queues, limit=limit)
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        typer.echo(json.dumps([state.as_json(now_ms) for state in states], indent=2))
    else:
        print_overview(states, now_ms, Console())
    if any(state.depth for state in states):
        raise typer.Exit(EXIT_DIFFERENT)


@app.command()
def peek(
    queue: Queues = None,
    *,
    reason: Reasons = None,
    thing: Things = None,
    building: InBuildings = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(min=1, help="Letters to show of each queue.")] = 20,
    raw: Annotated[bool, typer.Option("--raw", help="Also what the device sent, or the body.")] = (
        False
    ),
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Show letters, decoded; nothing is consumed.

    A look hides them from others for a moment and adds one to their receive counts.
    """
    from rich.console import Console

    from operations.walk import look_into
    from scripts.deployment import find_target
    from scripts.dlq_clients import require, sqs_client
    from scripts.dlq_screens import letter_json, print_letters

    selection = selection_of(
        reasons=reason,
        things=thing,
        buildings=building,
        older_than=older_than,
        newer_than=newer_than,
    )
    queues = queues_of(queue)
    target = find_target(name, stage)
    require(target, queues)
    sqs = sqs_client(target)
    now_ms = time.time_ns() // 1_000_000
    console = Console()
    found = []
    # With a filter the whole queue has to be gone through to find what is meant.
    most = limit + 1 if selection.everything else None
    for each, letters in look_into(sqs, target.queues, queues, limit=most).items():
        meant = [letter for letter in letters if selection.matches(letter, now_ms)]
        found += meant[:limit]
        if not as_json:
            print_letters(meant[:limit], now_ms, console, raw=raw)
            if len(meant) > limit:
                console.print(f"{each}: there are more (--limit {limit})", highlight=False)
    if as_json:
        typer.echo(json.dumps([letter_json(letter, raw=raw) for letter in found], indent=2))
    elif not found:
        console.print("no letters" if selection.everything else "no such letters")


app.command()(redrive)
app.command()(park)
