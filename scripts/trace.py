"""`latchline trace`: the life of one event."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Name, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from operations.trace import Trace


def trace(
    *,
    event: Annotated[
        str,
        typer.Argument(
            help="An event (maple-court:l03/d02@1763625600.17), or a door (maple-court:l03/d02) for"
            " its latest.",
            metavar="EVENT|DOOR",
        ),
    ],
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Follow one event: its hops and their times, and where it is now.

    Exit status 0 if it is shown or superseded by a newer event, 1 if it is not where it belongs.
    """
    from rich.console import Console

    from operations.trace import Fate, Reference, Tracer
    from scripts.deployment import find_target
    from scripts.errors import EXIT_DIFFERENT

    reference = Reference.parse(event)
    target = find_target(name, stage)
    function = target.functions.get("projector")
    found = Tracer(
        target.client("dynamodb"),
        target.client("sqs"),
        target.client("logs"),
        table=target.table,
        queues=target.queues,
        log_group=None if function is None else f"/aws/lambda/{function}",
    ).trace(reference)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        print_trace(found, Console())
    if found.fate not in {Fate.SHOWN, Fate.SUPERSEDED}:
        raise typer.Exit(EXIT_DIFFERENT)


def print_trace(found: "Trace", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    if found.state is not None:
        state = ", ".join(
            f"{name} {value}" for name, value in found.state.items() if value is not None
        )
        console.print(f"[bold]{found.event_id}[/]  {state}", highlight=False, soft_wrap=True)
    else:
        console.print(f"[bold]{found.event_id}[/]", highlight=False, soft_wrap=True)
    if found.stages:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        for _ in range(3):
            table.add_column()
        begins = found.stages[0].at_ms
        for stage in found.stages:
            table.add_row(
                f"+{stage.at_ms - begins:.0f} ms", clock(stage.at_ms), stage.where, stage.note
            )
        console.print(table)
    for line in found.log:
        told = f"log  {clock(line.at_ms)}  {line.message}  {line.detail}"
        console.print(Text(told), soft_wrap=True)
    for letter in found.letters:
        told = f"parked in {letter.queue}: {letter.reason}  {letter.error}"
        console.print(Text(told), soft_wrap=True)
    if found.trace_id:
        console.print(f"trace id of the broker: {found.trace_id}", highlight=False, soft_wrap=True)
    console.print(fate_line(found), highlight=False, soft_wrap=True)


def fate_line(found: "Trace") -> str:
    """Say where it is now, and what to do if that is not where it belongs."""
    from operations.trace import Fate

    match found.fate:
        case Fate.SHOWN:
            return "shown: the tile of its door is this event"
        case Fate.SUPERSEDED:
            return f"superseded: the tile of its door is a newer event, {found.tile_event_id}"
        case Fate.BEHIND:
            behind = found.tile_event_id or "not there"
            return (
                f"behind: in history, but the tile of its door is {behind}; if this lasts: "
                "latchline rebuild, see docs/operations.md"
            )
        case Fate.PARKED:
            queues = ", ".join(sorted({letter.queue.value for letter in found.letters}))
            return f"parked in {queues}: latchline dlq peek {queues.split(', ', maxsplit=1)[0]}"
        case Fate.UNKNOWN:
            return (
                "unknown: neither in history nor in a dead-letter queue; it is on its way, older "
                "than history is kept, or never reached the broker"
            )


def clock(at_ms: float) -> str:
    """Local time of day, to the millisecond, with the day in front."""
    moment = datetime.fromtimestamp(at_ms / 1000).astimezone()
    return moment.isoformat(sep=" ", timespec="milliseconds")
