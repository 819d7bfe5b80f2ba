"""The comparison as a table, a picture and a sentence about the run, for docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison.designs import OURS, TEXTBOOK
from benchmarks.comparison.errors import ComparisonError
from benchmarks.comparison.figures import Compared
from benchmarks.markers import Part
from latency.charts import COLOURS, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PART = Part("make bench")
DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance" / "textbook.svg"
HEAD = ("what", OURS.name, TEXTBOOK.name, "times better", "bar")
BAR_INCHES = 0.3
"""Height of a row of the picture."""
TICKS = (0.3, 1, 3, 10, 30, 100)


def rows(found: Sequence[Compared]) -> list[tuple[str, ...]]:
    """One a quantity: median (least–greatest), and the bar with whether it is kept."""
    return [
        (
            _title(each),
            each.ours.told(each.spec.digits),
            each.textbook.told(each.spec.digits),
            _times(each),
            _bar(each),
        )
        for each in found
    ]


def _title(compared: Compared) -> str:
    spec = compared.spec
    return f"{spec.title}, {spec.unit}" if spec.unit else spec.title


def _times(compared: Compared) -> str:
    better = compared.times_better
    return "–" if better is None else better.told(2 if better.greatest < 10 else 0)  # noqa: PLR2004


def _bar(compared: Compared) -> str:
    if compared.kept is None:
        return ""
    return f"≤ {compared.spec.bar:g} {'kept' if compared.kept else '**missed**'}"


def told(*, command: str, events: int, repetitions: int) -> str:
    """When, where and how it was measured."""
    today = datetime.now(UTC)
    return (
        f"`{command}`, {today:%-d %B %Y}: {repetitions} repetitions, each with a backlog of "
        f"{events:,} events; {os.cpu_count()} cores, Python {platform.python_version()}. Median, "
        "and the range of the repetitions in brackets; *times better* is pair by pair."
    )


def markdown(found: Sequence[Compared], about: str, notes: Sequence[str]) -> str:
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows(found)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    said = "".join(f"\n\n{note}" for note in notes)
    link = PICTURE.relative_to(DOCS)
    return f"{about}\n\n{table}{said}\n\n![How many times better, by quantity]({link})"


def chart(found: Sequence[Compared]) -> str:
    """How many times better, on a logarithmic axis, with the range of the pairs; as SVG text."""
    shown = [(_title(each), better) for each in found if (better := each.times_better)]

    def draw(axes: Axes) -> None:
        for row, (_, better) in enumerate(shown):
            colour = COLOURS[0] if better.median >= 1 else COLOURS[4]
            axes.barh(row, better.median - 1, left=1, color=colour, height=0.6)
            axes.plot([better.least, better.greatest], [row, row], color="#24292f", lw=1)
            axes.annotate(
                f"{better.median:.3g} ×",
                (max(better.greatest, 1), row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.axvline(1, color="#8c959f", lw=0.8)
        axes.set_xscale("log")
        axes.set_xlim(right=axes.get_xlim()[1] * 1.5)
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.minorticks_off()
        axes.set_yticks(range(len(shown)), [title for title, _ in shown], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel(f"how many times better {OURS.name} is than the {TEXTBOOK.name} design")

    return picture(draw, height=1 + BAR_INCHES * len(shown))


def as_json(found: Sequence[Compared], about: str, notes: Sequence[str]) -> dict[str, Any]:
    return {"about": about, "notes": list(notes), "figures": [each.as_json() for each in found]}


def check_page(page: Path = PAGE) -> None:
    """Raise ComparisonError before minutes are spent on what cannot be written."""
    try:
        PART.check(page)
    except ValueError as error:
        raise ComparisonError(str(error)) from None


def write_docs(found: Sequence[Compared], about: str, notes: Sequence[str]) -> None:
    """Write the table and the picture of docs/performance.md."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(chart(found), encoding="utf-8")
    PART.write_into(PAGE, markdown(found, about, notes))
