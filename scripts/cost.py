"""`latchline cost`: what a day costs on AWS at list price, line by line."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.choices import Deployed, Preset
from scripts.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from models.cost import Bill
    from models.figures import Price
    from models.workload import Fills, Workload

SMALL_USD = 0.01
DAY = "The day (each overrides the preset's)"
EXACT = 100.0
"""Above it a quantity needs no decimals."""
BATCHES = "How full batches are (default: what such a rate gives)"


def _given(low: float, text: str) -> Any:
    return typer.Option(min=low, help=text, rich_help_panel=DAY)


def cost(
    *,
    preset: Annotated[
        Preset,
        typer.Option(
            help="The customer's days, or a million events in a surge that fills all batches."
        ),
    ] = Preset.DECEMBER,
    events: Annotated[float | None, _given(1, "Door events.")] = None,
    lockers: Annotated[int | None, _given(1, "Lockers, connected all day.")] = None,
    buildings: Annotated[int | None, _given(1, "Buildings they are spread over.")] = None,
    doors: Annotated[int | None, _given(1, "Doors per locker.")] = None,
    viewers: Annotated[float | None, _given(0, "Dashboards open, per building.")] = None,
    viewer_hours: Annotated[float | None, _given(0, "Hours that each is open.")] = None,
    route: Annotated[
        Deployed, typer.Option(help="How the IoT rule is deployed.", rich_help_panel=DAY)
    ] = Deployed.BUS,
    batch_fill: Annotated[
        float | None,
        typer.Option(min=1, max=10, help="Messages per batch of a queue.", rich_help_panel=BATCHES),
    ] = None,
    coalescing: Annotated[
        float | None,
        typer.Option(min=1, max=100, help="Tiles per push.", rich_help_panel=BATCHES),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="A run's figures instead: both functions' log, or JSON (docs/cost.md).",
            exists=True,
            dir_okay=False,
            rich_help_panel=BATCHES,
        ),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Also change one assumption at a time.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw cost against volume, as SVG.", dir_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a day costs on AWS at list price, line by line, beside the textbook's design.

    No free tier and no discount. Each price has its source and date in models/prices.toml.
    """
    from dataclasses import replace

    from rich.console import Console

    from models.cost import ours, textbook
    from models.workload import preset as preset_of

    changed: dict[str, Any] = {
        "events": events,
        "lockers": lockers,
        "buildings": buildings,
        "doors": doors,
        "viewers": viewers,
        "viewer_hours": viewer_hours,
    }
    given: dict[str, Any] = {name: value for name, value in changed.items() if value is not None}
    day = replace(preset_of(preset), route=route, **given)
    day = replace(day, fills=_fills(day, preset, measured, batch_fill, coalescing))
    if plot is not None:
        from models.charts import cost_against_volume
        from simulators.session import writable

        with writable(plot) as file:
            file.write(cost_against_volume(day))
    bills = ours(day), textbook(day)
    if as_json:
        typer.echo(json.dumps(_document(day, bills, sensitivity=sensitivity), indent=2))
        return
    console = Console()
    _print_day(console, day)
    _print_lines(console, bills[0])
    _print_totals(console, bills)
    if sensitivity:
        _print_sensitivity(console, day)
    _print_sources(console, bills[0])
    if plot is not None:
        console.print(f"plot: {plot}", soft_wrap=True, highlight=False)


def _fills(
    day: "Workload",
    preset: Preset,
    measured: Path | None,
    batch_fill: float | None,
    coalescing: float | None,
) -> "Fills":
    from dataclasses import replace

    from models.measured import read_run
    from models.workload import FULL, expected, fanout_ms, projector_ms
    from scripts.errors import CommandError

    if measured is not None:
        if batch_fill is not None or coalescing is not None:
            raise CommandError("--measured says how full batches are: leave out the other one")
        return read_run(measured).fills()
    found = FULL if preset is Preset.SURGE else expected(day.events, day.buildings)
    if batch_fill is not None:
        found = replace(
            found, pipe=batch_fill, projector=batch_fill, projector_ms=projector_ms(batch_fill)
        )
    if coalescing is not None:
        stream = max(found.stream, coalescing)
        found = replace(found, coalescing=coalescing, stream=stream, fanout_ms=fanout_ms(stream))
    return found


def _print_day(console: "Console", day: "Workload") -> None:
    fills = day.fills
    console.print(
        f"[bold]{day.events:,.0f} events a day[/] · {day.lockers:,} lockers of {day.doors} doors in"
        f" {day.buildings:,} buildings · {day.viewers:g} viewers each, {day.viewer_hours:g} hours"
        f" · route={day.route}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"batches: Pipe {fills.pipe:.2f}, projector {fills.projector:.2f} messages; fan-out"
        f" {fills.stream:.2f} changes; {fills.coalescing:.2f} tiles a push; billed"
        f" {fills.projector_ms:.0f} and {fills.fanout_ms:.0f} ms\n",
        highlight=False,
        soft_wrap=True,
    )


def _print_lines(console: "Console", bill: "Bill") -> None:
    from rich.table import Table

    from models.cost import Part
    from models.figures import price_region

    for part in Part:
        table = Table(
            title=f"{part} · {price_region()}", title_justify="left", title_style="bold", box=None
        )
        for column in ("", "quantity", "unit price", "of", "$ a day"):
            table.add_column(column, justify="right" if "$" in column or "y" in column else "left")
        small = [line.usd for line in bill.lines if line.part is part and line.usd < SMALL_USD]
        for line in bill.lines:
            if line.part is not part or line.usd < SMALL_USD:
                continue
            price = line.price
            mark = "" if price.confidence != "unverified" else " ?"
            table.add_row(
                line.what,
                f"{line.quantity:,.{0 if line.quantity > EXACT else 2}f}",
                unit_price(price),
                f"[dim][link={price.source}]{price.date}[/link]{mark}[/]",
                f"{line.usd:,.2f}",
            )
        if small:
            table.add_row(f"[dim]{len(small)} below a cent[/]", "", "", "", f"{sum(small):,.2f}")
        table.add_row(f"[bold]{part}[/]", "", "", "", f"[bold]{bill.total(part):,.2f}[/]")
        console.print(table)
        console.print()


def unit_price(price: "Price") -> str:
    """`$0.15/M` or `$0.25/GB-month`."""
    if price.per > 1:
        return f"${price.usd:g}/M"
    unit = price.unit.split()[0].rstrip(",").removesuffix("s")
    return f"${price.usd:.7f}".rstrip("0") + f"/{unit}"


def _print_sources(console: "Console", bill: "Bill") -> None:
    """One address a price page; `--json` has it with every line."""
    pages = {line.price.source: line.price.service for line in bill.lines}
    console.print("\n[bold]Prices from[/]")
    for source, service in pages.items():
        console.print(f"  {service}: [dim]{source}[/]", soft_wrap=True, highlight=False)
    console.print("[dim]? a price to be looked up; assumptions: docs/cost.md[/]")


def _print_totals(console: "Console", bills: "tuple[Bill, ...]") -> None:
    from rich.table import Table

    from models.cost import DAYS_A_MONTH, Part

    table = Table(box=None, title="In all", title_justify="left", title_style="bold")
    for column in ("design", *Part, "$ a day", "$ a month", "events: $ for 1 M"):
        table.add_column(column, justify="left" if column == "design" else "right")
    for bill in bills:
        table.add_row(
            bill.design,
            *(f"{bill.total(part):,.2f}" for part in Part),
            f"{bill.total():,.2f}",
            f"{bill.total() * DAYS_A_MONTH:,.0f}",
            f"[bold]{bill.per_million(Part.EVENTS):.2f}[/]",
        )
    console.print(table)


def _print_sensitivity(console: "Console", day: "Workload") -> None:
    from rich.table import Table

    from models.cost import sensitivity

    table = Table(box=None, title="\nOne assumption at a time", title_justify="left")
    table.title_style = "bold"
    for column in ("events: $ for 1 M", "latchline", "textbook"):
        table.add_column(column, justify="left" if "$" in column else "right")
    for change in sensitivity(day):
        table.add_row(change.assumption, f"{change.ours:.2f}", f"{change.textbook:.2f}")
    console.print(table)


def _document(day: "Workload", bills: "tuple[Bill, ...]", *, sensitivity: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from models.cost import Part
    from models.cost import sensitivity as change_one
    from models.figures import price_region

    document: dict[str, Any] = {"region": price_region(), "day": asdict(day)}
    for bill in bills:
        document[bill.design] = {
            "usd_a_day": round(bill.total(), 4),
            **{f"{part}_usd": round(bill.total(part), 4) for part in Part},
            "events_usd_for_1m": round(bill.per_million(Part.EVENTS), 4),
            "lines": [
                {
                    "part": line.part,
                    "what": line.what,
                    "quantity": round(line.quantity, 4),
                    "price": line.price.model_dump(mode="json"),
                    "usd": round(line.usd, 6),
                }
                for line in bill.lines
            ],
        }
    if sensitivity:
        document["sensitivity"] = [asdict(change) for change in change_one(day)]
    return document
