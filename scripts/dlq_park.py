"""`latchline dlq park`: sets aside what a person has decided cannot succeed."""

import getpass
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.dlq_options import (
    NAMES,
    InBuildings,
    NewerThan,
    OlderThan,
    Reasons,
    Things,
    selection_of,
)
from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from operations.letters import Queue
    from operations.parking import Parking


def park(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help=f"One of {NAMES}.")],
    *,
    why: Annotated[str, typer.Option(help="Why they cannot succeed; kept with each letter.")],
    reason: Reasons = None,
    thing: Things = None,
    building: InBuildings = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Into this file (JSON Lines, for its owner only, added to if it is there) instead"
            " of quarantine. The only way for letters of quarantine itself, and for those without"
            " an envelope.",
            dir_okay=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without: show what it would do.")] = (
        False
    ),
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Set letters aside that cannot succeed: into quarantine, or from there into a file.

    Nothing is dropped: dlq redrive brings them back, from quarantine, or with --from-file.

    Exit status 0 if nothing that was selected is left in the queue, 1 if something is.
    """
    from rich.console import Console

    from operations.parking import Decision, intend
    from operations.parking import park as set_aside
    from operations.selection import parse_queue
    from operations.sources import QueueSource
    from operations.walk import look
    from scripts.deployment import find_target
    from scripts.dlq_clients import require, sqs_client
    from scripts.dlq_redrive import interruptible, print_plan
    from scripts.dlq_screens import print_outcome
    from scripts.errors import EXIT_DIFFERENT

    source_queue = parse_queue(queue)
    decision = Decision.make(user(), why, time.time_ns() // 1_000_000)
    selection = selection_of(
        reasons=reason,
        things=thing,
        buildings=building,
        older_than=older_than,
        newer_than=newer_than,
    )
    target = find_target(name, stage)
    require(target, [source_queue])
    sqs = sqs_client(target)
    url = target.queues[source_queue]
    parking = parking_of(source_queue, export, sqs, target.queues)
    console = Console()
    letters = [
        each for each in look(sqs, source_queue, url) if selection.matches(each, decision.at)
    ]
    if not yes or not letters:
        print_plan([intend(letter, parking) for letter in letters], as_json, console)
        raise typer.Exit(EXIT_DIFFERENT if letters else 0)
    stop = threading.Event()
    with interruptible(stop):
        source = QueueSource(sqs, source_queue, url)
        ledger = set_aside(source, parking, decision, selection, stop)
    if as_json:
        steps: list[dict[str, Any]] = [step.as_json() for step in ledger.steps]
        found = {"dry_run": False, "ok": ledger.good, "problems": ledger.problems, "letters": steps}
        typer.echo(json.dumps(found, indent=2))
    else:
        print_outcome(ledger, console)
        if export is not None:
            console.print(
                f"bring them back: latchline dlq redrive --from-file {export}", highlight=False
            )
    if stop.is_set() or not ledger.good:
        raise typer.Exit(EXIT_DIFFERENT)


def parking_of(queue: "Queue", export: Path | None, sqs: Any, urls: Any) -> "Parking":
    """Raise CommandError where quarantine is no place for it."""
    from operations.letters import Queue
    from operations.parking import FileParking, QuarantineParking
    from scripts.errors import CommandError

    if export is not None:
        return FileParking(export)
    if queue in {Queue.QUARANTINE, Queue.FANOUT_DLQ}:
        what = "is where letters are parked" if queue is Queue.QUARANTINE else "holds pointers only"
        raise CommandError(f"{queue} {what}: take them out into a file with --export FILE")
    return QuarantineParking(sqs, urls[Queue.QUARANTINE])


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
