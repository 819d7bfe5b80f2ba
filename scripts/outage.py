"""`latchline outage`: services of a laptop stack down on purpose, to practise with."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import Name

if TYPE_CHECKING:
    from local.faults.plan import Part

PARTS = "events, dynamodb, appsync"


def outage(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART]...",
            help=f"What goes down, in this order, a few seconds apart: {PARTS}. Default: all,"
            " from the dashboards' end.",
        ),
    ] = None,
    *,
    at_most: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long a part stays down at most.")
    ] = 120.0,
    name: Name = "default",
) -> None:
    """Take services of a laptop stack down until dead letters lie behind each, for practice.

    Wants a stack of latchline up --faults and traffic on it (latchline fleet run). Exit status 0
    if every part had its dead letters, 1 if the time was up before. The runbook has the way back.
    """
    from local.faults.outage import BEHIND, Ended, Outage
    from local.faults.switch import FaultSwitch
    from local.state import state_dir
    from scripts.deployment import find_target
    from scripts.errors import EXIT_DIFFERENT
    from simulators.queues import queue_depths

    chosen = parts_of(parts)
    target = find_target(name, None)
    switch = FaultSwitch(state_dir(name).faults)
    sqs = target.client("sqs")
    # Like Ctrl-C: nothing stays down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    running = Outage(
        switch,
        sqs,
        target.queues,
        depths=lambda urls: queue_depths(sqs, urls),
        at_most_s=at_most,
    )
    few = False
    for news in running.run(chosen):
        if isinstance(news, Ended):
            few = few or not news.enough
            told = f"{news.letters} more in {BEHIND[news.part]}"
            typer.echo(f"{news.part} is back after {news.took_s:.0f} s: {told}")
        else:
            typer.echo(f"{news} is down")
    suffix = "" if name == "default" else f" --name {name}"
    if few:
        typer.echo(f"too few dead letters: is there traffic? latchline fleet run{suffix}", err=True)
        raise typer.Exit(EXIT_DIFFERENT)
    typer.echo(f"you are on call: latchline dlq ls{suffix}")


def parts_of(names: list[str] | None) -> "list[Part]":
    """Those named, each once, or all."""
    from local.faults.plan import Part
    from scripts.errors import CommandError

    if not names:
        return [Part.APPSYNC, Part.DYNAMODB, Part.EVENTS]
    known = set(Part)
    for each in names:
        if each not in known:
            raise CommandError(f"{each!r} is no part that can go down: {PARTS}")
    return [Part(each) for each in dict.fromkeys(names)]
