"""`latchline dlq redrive`: sends dead letters again, and checks that they arrive."""

import json
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from operations.plan import Step
    from operations.redrive import Redrive

REFRESHES_PER_S = 4
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP: the line to the machine broke, or its window was closed."""


def redrive(
    queue: Queues = None,
    *,
    reason: Reasons = None,
    thing: Things = None,
    building: InBuildings = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            help="Bring back letters that dlq park --export wrote; the file stays as it is.",
            dir_okay=False,
            exists=True,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many letters at most.")] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Messages a second.")] = 50.0,
    canary: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the first letter of each queue may take to arrive before any other is"
            " sent. 0: send none ahead.",
        ),
    ] = 30.0,
    wait: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Stop waiting when nothing has arrived for so long."
        ),
    ] = 60.0,
    even_refused: Annotated[
        bool,
        typer.Option(
            "--even-refused",
            help="Send also what this checkout's contract refuses: the deployed one is newer.",
        ),
    ] = False,
    native: Annotated[
        bool,
        typer.Option(
            help="Let SQS move a whole queue by itself where it can (ingest_dlq, projector_dlq"
            " without a filter)."
        ),
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without: show what it would do.")] = (
        False
    ),
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again: one first, then at a rate; then check that each arrived.

    Safe to interrupt and to run again: a letter is sent, then deleted, and events that come twice
    do no harm. What fails again is left where it landed.

    Exit status 0 if nothing that was selected is left and all arrived, 1 if not.
    """
    stop = threading.Event()
    # From the beginning, so that Ctrl-C while the clients are made ends it in order as well; and a
    # job in the background, for which the shell ignores SIGINT, listens to it soon.
    with interruptible(stop):
        from rich.console import Console

        from operations.parking import read_parked
        from operations.redrive import Orders
        from scripts.deployment import find_target
        from scripts.dlq_clients import redrive_of, require, sqs_client
        from scripts.dlq_screens import Running, print_outcome
        from scripts.errors import EXIT_DIFFERENT

        queues = queues_of(queue)
        orders = Orders(
            selection=selection_of(
                reasons=reason,
                things=thing,
                buildings=building,
                older_than=older_than,
                newer_than=newer_than,
            ),
            rate=rate,
            limit=limit,
            canary_s=canary,
            check_s=wait,
            even_refused=even_refused,
            native=native,
        )
        parked = None
        if from_file is not None:
            parked = [letter for letter in read_parked(from_file) if letter.queue in queues]
        target = find_target(name, stage)
        require(target, queues)
        console = Console()
        work = redrive_of(target, sqs_client(target), orders, stop, hurry=stop)
        if not yes:
            planned = work.plan(queues) if parked is None else work.plan_letters(parked)
            if stop.is_set():
                raise KeyboardInterrupt
            print_plan(planned, as_json, console, orders.selection.buildings)
            raise typer.Exit(EXIT_DIFFERENT if planned else 0)
        with drawing(Running(work), hidden=as_json):
            if parked is None:
                work.run_queues(queues)
            else:
                work.run_letters(parked)
    if as_json:
        typer.echo(json.dumps(outcome_json(work), indent=2))
    else:
        print_outcome(work.ledger, console)
        console.print(verdict_line(work, stop), soft_wrap=True, highlight=False)
    if not work.ledger.good:
        raise typer.Exit(EXIT_DIFFERENT)


def print_plan(
    planned: "Sequence[Step]", as_json: bool, console: "Console", buildings: Collection[str] = ()
) -> None:
    from operations.plan import APPSYNC
    from scripts.dlq_screens import print_hints, print_steps

    if as_json:
        letters = [step.as_json() for step in planned]
        found = {"dry_run": True, "ok": not planned, "letters": letters}
        typer.echo(json.dumps(found, indent=2))
        return
    if not planned:
        console.print("no such letters: nothing to do")
        return
    print_steps(planned, console)
    print_hints(planned, console)
    if any(APPSYNC in step.destinations for step in planned):
        whose = ", ".join(sorted(buildings)) or "every registered building"
        console.print(
            f"  {APPSYNC}: the tiles that the stream's records name (AWS keeps them for 24 h), else"
            f" the tiles of {whose}",
            soft_wrap=True,
            highlight=False,
        )
    going = sum(1 for step in planned if step.goes)
    if going:
        console.print(f"a dry run: nothing was touched. {going} letters would go; --yes does it")
    else:
        console.print("a dry run: none of them would go")


def outcome_json(work: "Redrive") -> dict[str, Any]:
    ledger = work.ledger
    return {
        "dry_run": False,
        "ok": ledger.good,
        "rate": work.pace.per_second,
        "remarks": ledger.remarks,
        "problems": ledger.problems,
        "letters": [step.as_json() for step in ledger.steps],
    }


def verdict_line(work: "Redrive", stop: threading.Event) -> str:
    steps = work.ledger.steps
    if not steps and work.ledger.good:
        return "ok: no such letters, nothing to do"
    good = sum(1 for step in steps if step.fate.good)
    rate = work.pace.per_second
    speed = "" if rate is None else f", {rate:.1f} letters/s"
    word = "ok" if work.ledger.good else "INTERRUPTED" if stop.is_set() else "NOT ALL"
    again = "; the same command goes on from here" if stop.is_set() else ""
    return f"{word}: {good} of {len(steps)} letters met are where they belong{speed}{again}"


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C ends it in order, between two batches; a second one at once."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def drawing(screen: object, *, hidden: bool) -> Iterator[None]:
    """Show the progress on standard error, if a person looks at it."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield
        return
    with Live(screen, console=console, refresh_per_second=REFRESHES_PER_S, transient=True):  # type: ignore[arg-type]
        yield
