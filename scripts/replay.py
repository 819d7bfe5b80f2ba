"""`latchline replay`: sends archived events through the projector again."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from operations.replay import Archive, Plan, Progress
    from simulators.target import Target

POLL_S = 1.0
LAPTOP_DELAY = timedelta()
"""The emulator archives an event while it answers PutEvents."""


def replay(
    *,
    start: Annotated[
        str | None,
        typer.Option("--from", help="2026-11-21T03:10:00Z, or 2h for so long ago.", metavar="WHEN"),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="As --from. Default: ten minutes ago, for events reach the archive late.",
            metavar="WHEN",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Start it.")] = False,
    follow: Annotated[
        str | None, typer.Option(help="Show a replay that was started before.", metavar="REPLAY")
    ] = None,
    cancel: Annotated[
        str | None, typer.Option(help="Cancel a replay that is running.", metavar="REPLAY")
    ] = None,
    wait: Annotated[
        bool, typer.Option(help="Wait until it has ended and the projector's queue is empty.")
    ] = True,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Replay the bus's archive into the projector's rule, and no other consumer.

    A dry run unless --yes. Tiles only move forward and history is rewritten as it was, so a replay
    does no harm at any time; live events wait behind it in the projector's queue.

    Exit status 0 if it has completed (or was only started), 1 if it failed or was cancelled, 2 if
    it could not be started.
    """
    from rich.console import Console

    from operations.moments import parse_moment
    from operations.replay import ARCHIVE_DELAY, Archive
    from scripts.deployment import find_target, same_deployment
    from scripts.errors import CommandError

    if sum(each is not None for each in (start, follow, cancel)) != 1:
        raise CommandError("say one of --from 2h (with --to), --follow REPLAY, --cancel REPLAY")
    target = find_target(name, stage)
    archive, console = Archive(target), Console()
    option = same_deployment(name, stage)
    if cancel is not None:
        archive.cancel(cancel)
        show(archive.progress(cancel), console, as_json=as_json)
        return
    if follow is not None:
        attend(target, archive, follow, console, option=option, wait=wait, as_json=as_json)
        return
    now = datetime.now(UTC)
    delay = ARCHIVE_DELAY if target.endpoint_url is None else LAPTOP_DELAY
    until = now - delay if end is None else parse_moment(end, now)
    plan = archive.plan(parse_moment(str(start), now), until, now=now, delay=delay)
    if not yes:
        if as_json:
            typer.echo(json.dumps({"dry_run": True, **plan.as_json()}, indent=2))
        else:
            print_plan(plan, console)
        return
    archive.start(plan)
    if not as_json:
        console.print(f"started {plan.name}", soft_wrap=True, highlight=False)
    attend(target, archive, plan.name, console, option=option, wait=wait, as_json=as_json)


def print_plan(plan: "Plan", console: "Console") -> None:
    from operations.moments import show_moment

    lines = [
        f"from     {show_moment(plan.start)}",
        f"to       {show_moment(plan.end)}",
        f"archive  {plan.archive} (holds events since {show_moment(plan.held_since)})",
        f"rule     {', '.join(plan.rules)}, and no other of the bus",
        "AWS goes through it minute by minute, in no order within one; live events wait behind it.",
        "dry run: nothing was started; --yes starts it",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def attend(
    target: "Target",
    archive: "Archive",
    name: str,
    console: "Console",
    *,
    option: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Show a replay until it has ended; Ctrl-C leaves it running and says so."""
    from scripts.errors import EXIT_DIFFERENT

    progress = archive.progress(name)
    try:
        if wait:
            progress = _wait(target, archive, progress, hidden=as_json)
    except KeyboardInterrupt:
        console.print(
            f"\n{name} goes on without this terminal\n"
            f"  look again: latchline replay --follow {name}{option}\n"
            f"  stop it:    latchline replay --cancel {name}{option}",
            soft_wrap=True,
            highlight=False,
        )
        raise typer.Exit(EXIT_DIFFERENT) from None
    show(progress, console, as_json=as_json)
    if not (progress.active or progress.completed):
        raise typer.Exit(EXIT_DIFFERENT)


def _wait(
    target: "Target", archive: "Archive", progress: "Progress", *, hidden: bool
) -> "Progress":
    from scripts.progress import progress_on
    from simulators.queues import queue_depths

    with progress_on("replayed, %", hidden=hidden) as on_progress:
        while progress.active:
            if on_progress:
                on_progress(int(100 * progress.fraction), 100)
            time.sleep(POLL_S)
            progress = archive.progress(progress.name)
    sqs, queue = target.client("sqs"), {"projector": target.queues["projector"]}
    with progress_on("events left in the projector's queue", hidden=hidden) as on_progress:
        while left := queue_depths(sqs, queue)["projector"]:
            if on_progress:
                on_progress(0, left)
            time.sleep(POLL_S)
    return progress


def show(progress: "Progress", console: "Console", *, as_json: bool) -> None:
    from operations.moments import show_moment

    if as_json:
        typer.echo(json.dumps(progress.as_json(), indent=2))
        return
    last = "" if progress.last is None else f", replayed up to {show_moment(progress.last)}"
    why = f" ({progress.reason})" if progress.reason else ""
    console.print(
        f"{progress.name}: {progress.state.lower()}{last}{why}", soft_wrap=True, highlight=False
    )
