"""`latchline forecast`: what door to tile will take on AWS, from published figures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from models.forecast import Forecast, MeasuredRun


def forecast(
    *,
    route: Annotated[
        str, typer.Option(help="The route whose hops are shown one by one.", metavar="NAME")
    ] = "bus",
    measured: Annotated[
        Path | None,
        typer.Option(
            help="What latchline latency --json printed, to stand beside it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 1,
    draws: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Events drawn.")] = 200_000,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the waterfalls, as SVG.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What door to tile will take on AWS, by Monte Carlo over published per-hop figures.

    Warm, unthrottled, hop by hop independent. Sources and dates are in models/hops.toml;
    `latchline latency` measures instead of computing.
    """
    from rich.console import Console

    from models.figures import routes
    from models.forecast import forecast as draw
    from models.forecast import read_measured

    shown = draw(route, draws=draws, seed=seed)
    found = [shown if name == route else draw(name, draws=draws, seed=seed) for name in routes()]
    run = None if measured is None else read_measured(measured)
    if plot is not None:
        from models.charts import waterfalls
        from simulators.session import writable

        with writable(plot) as file:
            file.write(waterfalls(found, run))
    if as_json:
        typer.echo(json.dumps({each.route: each.as_json() for each in found}, indent=2))
        return
    console = Console()
    _print_routes(console, found, run)
    _print_hops(console, shown)
    if run is not None:
        _print_stages(console, shown, run)
    if plot is not None:
        console.print(f"plot: {plot}", soft_wrap=True, highlight=False)


def _print_routes(console: "Console", found: "list[Forecast]", run: "MeasuredRun | None") -> None:
    from rich.table import Table

    table = Table(box=None, title="Door to tile, ms", title_justify="left", title_style="bold")
    for column in ("", "p50", "p95", "p99"):
        table.add_column(column, justify="right" if column else "left")
    rows = [(each.title, each.total) for each in found]
    if run is not None:
        rows.append(("measured", run.total))
    for title, total in rows:
        table.add_row(title, *(f"{each:.0f}" for each in (total.p50, total.p95, total.p99)))
    console.print(table)


def _print_hops(console: "Console", shown: "Forecast") -> None:
    from rich.table import Table

    table = Table(box=None, title=f"\n{shown.title}, hop by hop", title_justify="left")
    table.title_style = "bold"
    for column in ("", "p50", "p95", "p99", "p95 saved without"):
        table.add_column(column, justify="right" if column else "left")
    table.add_column("figure", style="dim")
    for share in shown.hops:
        alone = share.alone
        table.add_row(
            share.hop.title,
            *(f"{each:.0f}" for each in (alone.p50, alone.p95, alone.p99)),
            f"{share.p95_saved:.0f}",
            f"{share.hop.confidence}, {share.hop.date}",
        )
    console.print(table)


def _print_stages(console: "Console", shown: "Forecast", run: "MeasuredRun") -> None:
    from rich.table import Table

    table = Table(box=None, title="\nOn paper and measured, p50 (p95)", title_justify="left")
    table.title_style = "bold"
    for column in ("", shown.title, "measured"):
        table.add_column(column, justify="right" if column else "left")
    for stage in {**run.stages, **shown.stages}:
        cells = [
            f"{times[stage].p50:.0f} ({times[stage].p95:.0f})" if stage in times else "–"
            for times in (shown.stages, run.stages)
        ]
        table.add_row(stage.value, *cells)
    console.print(table)
