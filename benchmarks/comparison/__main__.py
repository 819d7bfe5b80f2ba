"""`make bench`: Latchline against the textbook designs, on one emulator, in one run.

make bench
python -m benchmarks.comparison --events 2000 --repetitions 9 --write-docs
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.emulator import emulator
from benchmarks.comparison.errors import ComparisonError
from benchmarks.comparison.figures import Compared, compared
from benchmarks.comparison.measure import Figures, Scale, add_zips, compare
from benchmarks.comparison.report import (
    HEAD,
    PAGE,
    as_json,
    check_page,
    rows,
    told,
    write_docs,
)
from local.errors import LocalStackError

DEFAULT = Scale()


def main(
    *,
    events: Annotated[
        int, typer.Option(min=10, help="Of the backlog, in each repetition.")
    ] = DEFAULT.events,
    repetitions: Annotated[
        int, typer.Option(min=1, help="Times that each quantity is measured of each design.")
    ] = DEFAULT.repetitions,
    as_json_: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write-docs", help=f"Also write them into docs/{PAGE.name}.")
    ] = False,
) -> None:
    """Compare requests, write units, CPU, throughput, cold starts and artifacts."""
    console = Console(stderr=True, highlight=False)
    command = "make bench"
    scale = Scale(events=events, repetitions=repetitions)
    if scale != DEFAULT:
        command = f"python -m benchmarks.comparison --events {events} --repetitions {repetitions}"
    try:
        if write:
            check_page()
        figures = asyncio.run(_measure(scale, console))
    except (ComparisonError, LocalStackError) as error:
        console.print(f"bench: {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    found = list(compared(figures.pairs))
    about = told(command=command, events=events, repetitions=repetitions)
    if write:
        write_docs(found, about, figures.notes)
        console.print(f"written into {PAGE}", soft_wrap=True)
    if as_json_:
        print(json.dumps(as_json(found, about, figures.notes), indent=2))
    else:
        Console().print(_table(found))
        for note in figures.notes:
            console.print(note, soft_wrap=True)


async def _measure(scale: Scale, console: Console) -> Figures:
    with tempfile.TemporaryDirectory(prefix="latchline-bench-") as folder:
        async with emulator(Path(folder), console.print) as running:
            figures = await compare(running, scale, console.print)
    await asyncio.to_thread(add_zips, figures)
    return figures


def _table(found: list[Compared]) -> Table:
    table = Table()
    for column in HEAD:
        table.add_column(column, justify="left" if column == HEAD[0] else "right")
    for row in rows(found):
        table.add_row(*(cell.replace("**", "") for cell in row))
    return table


if __name__ == "__main__":
    typer.run(main)
