"""A measurement as one HTML file: no script, nothing to fetch, good to mail or to attach."""

from collections.abc import Iterable, Sequence
from html import escape

from latency import charts
from latency.journey import Shown
from latency.limit import Step, gave_in
from latency.measurement import Measurement
from simulators.percentiles import Summary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2328; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .9rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr td { border-top: 1px solid #d1d9e0; }
svg { width: 100%; height: auto; } .note { color: #57606a; }
"""
COLUMNS = ("p50", "p95", "p99", "p99.9", "max")


def page(measurement: Measurement, title: str, steps: Sequence[Step] = ()) -> str:
    """Return the whole document."""
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(headline(measurement))}</p>"]
    body += ["<h2>Where the time goes</h2>", charts.waterfall(measurement)]
    body.append(_percentiles(measurement))
    body.append(f'<p class="note">{escape(clock_note(measurement))}</p>')
    if measurement.took_ms:
        body += ["<h2>Distribution</h2>", charts.distribution(measurement)]
        body += ["<h2>Over time</h2>", charts.over_time(measurement)]
    if steps:
        body += ["<h2>Against the rate</h2>", charts.against_rate(steps), _steps(steps)]
    body += ["<h2>Load</h2>", _parameters(measurement)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def headline(measurement: Measurement) -> str:
    """Say in one line what a reader came for."""
    shown = measurement.shown
    told = ", ".join(f"{shown[how]} {how.value}" for how in Shown if shown.get(how))
    return f"door to tile {measurement.latency} over {measurement.events} events ({told or 'none'})"


def clock_note(measurement: Measurement) -> str:
    """Say what was done about the clocks."""
    offset = measurement.offset
    if offset.ms:
        return (
            f"The broker's clock is ahead of the fleet's by {offset.ms:.1f} ms "
            f"(± {offset.uncertainty_ms:.1f} ms); it is taken out of the first and the last hop. "
            "Door to tile needs no correction: both its ends are on the fleet's machine."
        )
    return (
        "The clocks of fleet and broker agree within what the acknowledgements can tell "
        f"(± {offset.uncertainty_ms:.1f} ms); nothing is corrected."
    )


def limit_note(steps: Sequence[Step]) -> str:
    """Say at which rate it gave in, why and where."""
    last = steps[-1]
    if last.broken is None:
        return f"{last.rate:g} events/s were still fine; no higher rate was tried"
    good = f"{steps[-2].rate:g} events/s were fine, " if len(steps) > 1 else ""
    hop = gave_in(steps)
    where = f"; the hop that gave in: {hop.value}" if hop else ""
    return f"{good}{last.rate:g} were not: {last.broken}{where}"


def _percentiles(measurement: Measurement) -> str:
    rows: list[tuple[str, Summary]] = [
        (hop.value, summary) for hop, summary in measurement.hops.items()
    ]
    rows.append(("door to tile", measurement.latency))
    rows.append(("the broker alone", measurement.floor))
    rows.append(("broker's acknowledgement", measurement.acknowledgement))
    cells = [[name, *(_ms(summary, column) for column in COLUMNS)] for name, summary in rows]
    return _table(["ms", *COLUMNS], cells)


def _steps(steps: Sequence[Step]) -> str:
    cells = [
        [f"{step.rate:g}", *(_ms(step.measurement.latency, column) for column in COLUMNS)]
        for step in steps
    ]
    note = f'<p class="note">{escape(limit_note(steps))}</p>'
    return _table(["events/s", *COLUMNS], cells) + note


def _parameters(measurement: Measurement) -> str:
    return _table(
        ["parameter", ""], [[name, str(value)] for name, value in measurement.parameters.items()]
    )


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    ]
    return "\n".join([*lines, "</table>"])


def _ms(summary: Summary, column: str) -> str:
    value = summary.as_json()[column]
    return "–" if value is None else f"{value:.0f}"
