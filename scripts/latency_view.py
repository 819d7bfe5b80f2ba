"""A measurement on a terminal: percentiles, and the waterfall as bars."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from latency.limit import Step
from latency.measurement import Measurement
from latency.page import clock_note, headline, limit_note
from simulators.percentiles import Summary

BAR_COLUMNS = 24
COLUMNS = ("p50", "p95", "p99", "p99.9", "max")


def print_measurement(measurement: Measurement, console: Console, *, brief: bool = False) -> None:
    """Print all of it, or with `brief` one line."""
    console.print(headline(measurement), soft_wrap=True, highlight=False)
    if brief:
        return
    console.print(waterfall(measurement))
    lines = [clock_note(measurement)]
    if measurement.ratio is not None:
        lines.append(
            f"The broker alone takes {measurement.floor}: door to tile is "
            f"{measurement.ratio:.1f} times that."
        )
    if measurement.lag.p95 is not None:
        lines.append(f"The fleet itself was late by {measurement.lag}.")
    if measurement.unacknowledged:
        lines.append(f"{measurement.unacknowledged} events were never acknowledged.")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def waterfall(measurement: Measurement) -> Table:
    """Each hop's bar begins where the median of the one before ends."""
    table = Table(box=None, pad_edge=False)
    table.add_column("ms")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("")
    whole = sum(summary.p50 or 0.0 for summary in measurement.hops.values()) or 1.0
    begins = 0.0
    for hop, summary in measurement.hops.items():
        took = summary.p50 or 0.0
        table.add_row(hop.value, *_figures(summary), _bar(begins / whole, took / whole))
        begins += took
    table.add_row("[bold]door to tile[/]", *_figures(measurement.latency), "")
    if measurement.floor.p50 is not None:
        table.add_row("the broker alone", *_figures(measurement.floor), "")
    return table


def print_limit(steps: Sequence[Step], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("events/s", *COLUMNS, "lost"):
        table.add_column(column, justify="right")
    for step in steps:
        figures = _figures(step.measurement.latency)
        table.add_row(f"{step.rate:g}", *figures, str(step.measurement.lost))
    console.print(table)
    console.print(limit_note(steps), soft_wrap=True, highlight=False)


def _figures(summary: Summary) -> list[str]:
    figures = summary.as_json()
    return ["–" if (value := figures[column]) is None else f"{value:.0f}" for column in COLUMNS]


def _bar(begins: float, took: float) -> Text:
    start = round(begins * BAR_COLUMNS)
    width = max(1, round((begins + took) * BAR_COLUMNS) - start)
    return Text(" " * start + "█" * width, style="cyan")
