"""`latchline audit`: tells from sequence numbers alone whether anything is missing."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Name, ReadUnits, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from operations.audit import Audit
    from operations.audit_sequences import Missing

SHOWN = 30


def audit(
    *,
    thing: Annotated[
        list[str] | None, typer.Option(help="A controller, for instance b01:l03; repeatable.")
    ] = None,
    building: Annotated[
        list[str] | None, typer.Option(help="All controllers of a building; repeatable.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Judge only what each controller sent after its last event before then: 2h, or"
            " 2026-11-21T03:10:00Z. Reads no more history than that.",
        ),
    ] = None,
    read_units: ReadUnits = 200.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Look for holes in the sequence numbers of history, and for what became of each.

    Without --thing or --building every controller in the IoT registry. Changes nothing; letters in
    the dead-letter queues are looked at, which adds one to their receive counts.

    Exit status 0 if all is on record, 1 if events are missing, 2 if it could not be told: events
    may still be on their way, or something could not be read.
    """
    from rich.console import Console

    from operations.audit import audit as examine
    from operations.audit import read_letters
    from operations.controllers import find_controllers
    from operations.moments import parse_moment
    from operations.selection import parse_building, parse_thing
    from scripts.deployment import find_target, same_deployment
    from scripts.errors import EXIT_DIFFERENT, EXIT_UNUSABLE, CommandError
    from scripts.progress import progress_on

    now = datetime.now(UTC)
    since_ms = 0 if since is None else int(parse_moment(since, now).timestamp() * 1000)
    asked = [parse_thing(each) for each in thing or ()]
    buildings = [parse_building(each) for each in building or ()]
    target = find_target(name, stage)
    things = find_controllers(target, buildings=buildings, things=asked)
    if not things:
        where = f"of building {', '.join(buildings)}" if buildings else "in the IoT registry"
        raise CommandError(f"there is no controller {where}")
    letters = read_letters(target)
    with progress_on("controllers", hidden=as_json) as on_progress:
        found = examine(
            target,
            things,
            letters,
            now_ms=time.time_ns() // 1_000_000,
            since_ms=since_ms,
            read_units_per_s=read_units,
            on_progress=on_progress,
        )
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        print_audit(found, Console(), option=same_deployment(name, stage))
    if found.undecided:
        raise typer.Exit(EXIT_UNUSABLE)
    if not found.complete:
        raise typer.Exit(EXIT_DIFFERENT)


def print_audit(found: "Audit", console: "Console", *, option: str) -> None:
    """Print a table of what is missing, then what is worth knowing, then the verdict."""
    from operations.audit_sequences import Fate

    if found.missing:
        _print_missing(found.missing, console)
    notes = []
    if found.heads_expired:
        notes.append(
            f"{found.heads_expired} boots began before what history holds; their beginnings are"
            " not judged"
        )
    if found.silent:
        some = ", ".join(map(str, found.silent[:3]))
        more = f" and {len(found.silent) - 3} more" if len(found.silent) > 3 else ""  # noqa: PLR2004
        when = "on record" if found.whole else "since then"
        notes.append(f"{len(found.silent)} controllers have no event {when}: {some}{more}")
    parked = {each.queue.value for each in found.missing if each.fate is Fate.PARKED and each.queue}
    hints = {
        Fate.PARKED: "parked: put right what failed, then latchline dlq redrive "
        f"{' '.join(sorted(parked))}{option}",
        Fate.PERHAPS_PARKED: "perhaps parked: letters whose numbers can't be read; latchline dlq"
        f" peek quarantine{option}",
        Fate.ON_THE_WAY: "on its way: run this again in a quarter of an hour",
        Fate.NEVER_ARRIVED: "never arrived: lost before the broker had it (a power cut, a full"
        " buffer), or see docs/operations.md#never-arrived",
    }
    notes += [text for fate, text in hints.items() if found.events_with(fate)]
    for note in notes:
        console.print(f"  {note}", soft_wrap=True, highlight=False)
    console.print(verdict_of(found), soft_wrap=True, highlight=False)


def verdict_of(found: "Audit") -> str:
    from operations.audit_sequences import Fate

    word = "complete" if found.complete else "UNDECIDED" if found.undecided else "MISSING"
    parts = [f"{found.events_with(fate)} {fate.value}" for fate in Fate if found.events_with(fate)]
    missing = sum(each.gap.events for each in found.missing)
    return (
        f"{word}: {found.controllers} controllers, {found.boots} boots, {found.events} events on"
        f" record, {missing} missing" + (f" ({', '.join(parts)})" if parts else "")
    )


def _print_missing(missing: "Sequence[Missing]", console: "Console") -> None:
    from rich.table import Table

    from operations.moments import show_ms

    table = Table()
    for column, justify in (
        ("controller", "left"),
        ("boot", "right"),
        ("numbers", "left"),
        ("events", "right"),
        ("sent before", "left"),
        ("fate", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left", overflow="fold")
    for each in missing[:SHOWN]:
        gap = each.gap
        table.add_row(
            str(each.thing),
            str(gap.boot),
            str(gap.first) if gap.first == gap.last else f"{gap.first}…{gap.last}",
            str(gap.events),
            "" if gap.before is None else show_ms(gap.before),
            each.fate.value + ("" if each.queue is None else f" in {each.queue}"),
        )
    console.print(table)
    if len(missing) > SHOWN:
        console.print(f"  … and {len(missing) - SHOWN} more (--json lists all)")
