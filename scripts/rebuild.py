"""`latchline rebuild`: recomputes tiles from history and reports, or mends, what differs."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson, Name, ReadUnits, Stage

if TYPE_CHECKING:
    from rich.console import Console

    from operations.rebuild import Rebuild
    from operations.rebuild_doors import Door, Finding

SHOWN = 30


def rebuild(
    *,
    building: Annotated[
        list[str] | None, typer.Option(help="All doors of a building; repeatable.")
    ] = None,
    thing: Annotated[
        list[str] | None, typer.Option(help="The doors of one controller; repeatable.")
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Write tiles that are missing or behind, under the projector's own condition.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also overwrite tiles that are ahead of history or differ from it, if they are"
            " still as reported.",
        ),
    ] = False,
    after_boot_reset: Annotated[
        bool,
        typer.Option(
            "--after-boot-reset",
            help="Also overwrite tiles held by a boot that their controller has lost.",
        ),
    ] = False,
    read_units: ReadUnits = 200.0,
    name: Name = "default",
    stage: Stage = None,
    as_json: AsJson = False,
) -> None:
    """Compare tiles with what history says they should be; with --yes mend them.

    A dry run unless --yes. Presence (connected or not) is not in history and is left alone.

    Exit status 0 if no difference is left, 1 if one is, 2 if it could not be told.
    """
    from rich.console import Console

    from operations.controllers import find_controllers
    from operations.rebuild import look, mend
    from operations.selection import parse_building, parse_thing
    from scripts.deployment import find_target
    from scripts.errors import EXIT_DIFFERENT, CommandError
    from scripts.progress import progress_on

    if (force or after_boot_reset) and not yes:
        option = "--force" if force else "--after-boot-reset"
        raise CommandError(f"{option} writes: look at the dry run first, then add --yes")
    buildings = [parse_building(each) for each in building or ()]
    asked = [parse_thing(each) for each in thing or ()]
    if not (buildings or asked):
        raise CommandError("say which: --building b01 or --thing b01:l03")
    target = find_target(name, stage)
    things = find_controllers(target, buildings=buildings, things=asked)
    if not things:
        raise CommandError(f"there is no controller of building {', '.join(buildings)}")

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    with progress_on("controllers", hidden=as_json) as on_progress:
        found = look(
            target, things, now_ms=now_ms(), read_units_per_s=read_units, on_progress=on_progress
        )
    if yes:
        mend(target, found, now_ms=now_ms, force=force, after_boot_reset=after_boot_reset)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        print_rebuild(found, Console(), written=yes)
    if found.left:
        raise typer.Exit(EXIT_DIFFERENT)


def print_rebuild(found: "Rebuild", console: "Console", *, written: bool) -> None:
    """Print a table of differences, what to do about each kind, then the verdict."""
    from operations.rebuild_doors import FINE, Finding

    different = [door for door in found.doors if door.finding not in FINE]
    if different:
        _print_doors(different, console, done=done_to(found) if written else {})
    for note in notes_of(found, left={door.finding for door in found.left}):
        console.print(f"  {note}", soft_wrap=True, highlight=False)
    counts = [f"{len(found.having(each))} {each.value}" for each in Finding if found.having(each)]
    done = f"; {len(found.mended)} written" if written else "; dry run, nothing written"
    done += f", {len(found.changed)} changed meanwhile" if found.changed else ""
    word = "ok" if not found.left else "DIFFERENT"
    line = f"{word}: {len(found.doors)} doors: {', '.join(counts) or 'none'}{done}"
    console.print(line, soft_wrap=True, highlight=False)


def notes_of(found: "Rebuild", *, left: "set[Finding]") -> list[str]:
    """What each kind of difference that is left wants; what else is worth knowing."""
    from operations.rebuild_doors import FORCED, FORWARD, Finding

    notes = []
    if left & FORWARD:
        notes.append("missing, behind: --yes writes them; it can only move a tile forward")
    if left & FORCED:
        notes.append(
            "ahead, different: history does not explain the tile; --yes --force overwrites it,"
            " if it is still the one shown here"
        )
    if Finding.REGRESSED in left:
        boots: dict[str, int] = {}
        for door in found.having(Finding.REGRESSED):
            boot = (door.held_version or 0) >> 32
            boots[str(door.thing)] = max(boot, boots.get(str(door.thing), 0))
        notes += [
            f"regressed: give {thing} a boot number above {boot} and restart it; until then"
            " --yes --after-boot-reset shows what it sends (docs/operations.md#boot-regressed)"
            for thing, boot in boots.items()
        ]
    if any(door.finding is Finding.REGRESSED for door in found.mended):
        notes.append(
            "viewers merge by version: dashboards that are open show the doors after a reload"
        )
    if found.without_presence:
        notes.append(
            f"{len(found.without_presence)} lockers have tiles and no presence on record; the next"
            " connect brings it"
        )
    return notes


def done_to(found: "Rebuild") -> "Mapping[str, str]":
    """What became of each door that was to be written, by its name."""
    return {name_of(door): "written" for door in found.mended} | {
        name_of(door): "changed meanwhile" for door in found.changed
    }


def name_of(door: "Door") -> str:
    return f"{door.thing}/{door.door}"


def _print_doors(doors: "Sequence[Door]", console: "Console", *, done: "Mapping[str, str]") -> None:
    from rich.table import Table

    from pipeline.contract import version_of

    def show(version: int) -> str:
        boot = version // version_of(1, 0)
        return f"{boot}.{version - version_of(boot, 0)}"

    table = Table()
    for column in ("door", "finding", "tile", "history", *(["done"] if done else [])):
        table.add_column(column, overflow="fold")
    for door in doors[:SHOWN]:
        held, wanted = door.held, door.wanted
        table.add_row(
            name_of(door),
            door.finding.value,
            "none" if held is None else f"{held['status']['S']} @{show(int(held['version']['S']))}",
            "none" if wanted is None else f"{wanted.status} @{wanted.boot}.{wanted.seq}",
            *([done.get(name_of(door), "left")] if done else []),
        )
    console.print(table)
    if len(doors) > SHOWN:
        console.print(f"  … and {len(doors) - SHOWN} more (--json lists all)")
