"""Pictures of a measurement, as SVG text; the same figures give the same text."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latency.limit import LIMIT_MS, Step
from latency.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (8.4, 2.9)
"""Inches, at 100 units each."""
COLOURS = ("#0969da", "#8250df", "#1a7f37", "#bf8700", "#cf222e")
STYLE: Mapping[Any, Any] = {
    "svg.hashsalt": "latchline",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c959f",
    "axes.labelcolor": "#57606a",
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
}


def picture(draw: Callable[["Axes"], None], *, height: float = SIZE[1]) -> str:
    """Return what `draw` drew, without the XML declaration and document type: it goes in a page.

    `height` in inches.
    """
    import matplotlib as mpl  # noqa: PLC0415  (half a second that no other command should cost)
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(dict(STYLE)):
        figure = Figure(figsize=(SIZE[0], height), layout="constrained")
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def waterfall(measurement: Measurement) -> str:
    """Median of each hop where it begins, with a line as far as its p95."""

    def draw(axes: "Axes") -> None:
        begins = 0.0
        for row, summary in enumerate(measurement.hops.values()):
            p50, p95 = summary.p50 or 0.0, summary.p95 or 0.0
            axes.barh(row, p50, left=begins, color=COLOURS[row % len(COLOURS)], height=0.62)
            axes.plot([begins + p50, begins + max(p50, p95)], [row, row], color="#8c959f", lw=1)
            axes.text(begins + max(p50, p95), row, f"  {p50:.0f} (p95 {p95:.0f}) ms", va="center")
            begins += p50
        axes.set_yticks(range(len(measurement.hops)), [hop.value for hop in measurement.hops])
        axes.invert_yaxis()
        axes.set_xlim(0, axes.get_xlim()[1] * 1.22)
        axes.set_xlabel("ms since the door moved: median hop after median hop, line to the p95")

    return picture(draw)


def distribution(measurement: Measurement) -> str:
    """Share of the events that were seen within so many milliseconds."""

    def draw(axes: "Axes") -> None:
        took = sorted(measurement.took_ms)
        shares = [100 * (n + 1) / len(took) for n in range(len(took))]
        axes.step(took, shares, where="post", color=COLOURS[0])
        for name, value in _marks(measurement):
            axes.axvline(value, color="#8c959f", lw=0.8, ls="--")
            axes.text(value, 2, f" {name} {value:.0f} ms", rotation=90, va="bottom", fontsize=8)
        axes.set_ylim(0, 101)
        axes.set_xlim(left=0)
        axes.set_ylabel("% of events")
        axes.set_xlabel("door to tile, ms")

    return picture(draw)


def over_time(measurement: Measurement) -> str:
    """Median and p95 of each second: a drift, a warm-up or a stall shows here."""

    def draw(axes: "Axes") -> None:
        seconds = [window.at_s for window in measurement.windows]
        for name, colour in (("p95", COLOURS[3]), ("p50", COLOURS[0])):
            values = [getattr(window.latency, name) for window in measurement.windows]
            axes.plot(seconds, values, color=colour, label=name, marker=".", lw=1)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("door to tile, ms")
        axes.set_xlabel("s since the measurement began")
        axes.legend(frameon=False, ncols=2)

    return picture(draw)


def against_rate(steps: Sequence[Step]) -> str:
    """Latency against load, up to the step that broke."""

    def draw(axes: "Axes") -> None:
        rates = [step.rate for step in steps]
        for name, colour in (("p95", COLOURS[3]), ("p50", COLOURS[0])):
            values = [getattr(step.measurement.latency, name) for step in steps]
            axes.plot(rates, values, color=colour, label=name, marker="o", lw=1)
        axes.axhline(LIMIT_MS, color=COLOURS[4], lw=0.8, ls="--", label=f"{LIMIT_MS:.0f} ms")
        axes.set_yscale("log")
        axes.set_ylabel("door to tile, ms")
        axes.set_xlabel("events/s")
        axes.legend(frameon=False, ncols=3)

    return picture(draw)


def _marks(measurement: Measurement) -> list[tuple[str, float]]:
    latency = measurement.latency
    named = (("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99))
    return [(name, value) for name, value in named if value is not None]
