"""Pictures of what the models say, as SVG text; the same figures give the same text."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from latency.charts import COLOURS, picture
from latency.journey import Hop as Stage
from models.cost import Part, ours, textbook
from models.forecast import Forecast, MeasuredRun
from models.workload import DECEMBER_EVENTS, FULL, JULY_EVENTS, Workload, expected

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VOLUMES = tuple(round(10 ** (5 + step / 8)) for step in range(33))
"""Events a day: a hundred thousand to a thousand million."""


def cost_against_volume(day: Workload) -> str:
    """Dollars for a million events against events a day, in the same buildings."""
    days = [
        replace(day, events=events, fills=expected(events, day.buildings)) for events in VOLUMES
    ]
    curves = (
        ("textbook", [textbook(each).per_million(Part.EVENTS) for each in days]),
        ("batches as full as the rate makes them", [_events(each) for each in days]),
        ("all batches full", [_events(replace(each, fills=FULL)) for each in days]),
    )

    def draw(axes: "Axes") -> None:
        for (name, values), colour in zip(curves, (COLOURS[4], *COLOURS), strict=False):
            axes.plot(VOLUMES, values, color=colour, label=name, lw=1.4)
        for name, events in (("July", JULY_EVENTS), ("December", DECEMBER_EVENTS)):
            axes.axvline(events, color="#8c959f", lw=0.8, ls="--")
            axes.annotate(name, (events, 0), (4, 3), textcoords="offset points", fontsize=8)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("$ for 1 M events")
        axes.set_xlabel(
            f"events a day in {day.buildings:,} buildings, {day.viewers:g} viewers each"
        )
        axes.legend(frameon=False, fontsize=8)

    return picture(draw)


def _events(day: Workload) -> float:
    return ours(day).per_million(Part.EVENTS)


def waterfalls(forecasts: Sequence[Forecast], run: MeasuredRun | None = None) -> str:
    """Median of each stage after the other, a bar a route; a line to the p95 of the whole."""
    bars = [(each.title, each.stages, each.total) for each in forecasts]
    if run is not None:
        bars.append(("measured", run.stages, run.total))
    colours = dict(zip(Stage, COLOURS, strict=True))

    def draw(axes: "Axes") -> None:
        for row, (_, stages, total) in enumerate(bars):
            begins = 0.0
            for stage, times in stages.items():
                axes.barh(row, times.p50, left=begins, color=colours[stage], height=0.6)
                begins += times.p50
            axes.plot([begins, total.p95], [row, row], color="#8c959f", lw=1)
            axes.annotate(
                f"p95 {total.p95:.0f} ms",
                (total.p95, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(bars)), [title for title, _, _ in bars])
        axes.invert_yaxis()
        axes.set_xlim(0, axes.get_xlim()[1] * 1.08)
        axes.set_xlabel("ms since the door moved: median stage after median stage, line to the p95")
        marks = [axes.barh(0, 0, color=colour) for colour in colours.values()]
        names = [stage.value for stage in colours]
        axes.legend(
            marks,
            names,
            frameon=False,
            fontsize=7.5,
            ncols=len(names),
            loc="lower right",
            bbox_to_anchor=(1, 1),
        )

    return picture(draw)
