"""Writes the computed parts of the documentation: tables between markers, and pictures.

    python -m models.documents            # writes them
    python -m models.documents --check    # exit status 1 if a table is not what it would write

A part looks like this, and everything between its two lines is replaced:

    <!-- computed: days -->
    <!-- end -->
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from models.capacity import DEMANDS, FACTORS, Demand, load
from models.charts import cost_against_volume, waterfalls
from models.choices import Preset
from models.cost import Part, ours, sensitivity, textbook
from models.errors import ModelError
from models.figures import routes
from models.forecast import forecast
from models.workload import at_rate, preset

DOCS = Path(__file__).parent.parent / "docs"
PART = re.compile(r"(<!-- computed: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
RATES = (1, 10, 100, 1_000)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first and the text ones at their right edge."""
    found = [[str(cell) for cell in row] for row in rows]
    number = re.compile(r"[\d.,%×$<–-]+( %| ms)?")
    marks = [
        "---:" if all(number.fullmatch(row[n]) for row in found) else "---"
        for n in range(len(head))
    ]
    lines = [head, marks, *found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def days() -> str:
    bills = [bill for name in Preset for bill in (ours(preset(name)), textbook(preset(name)))]
    rows = [
        [
            name.value,
            f"{bill.workload.events:,.0f}",
            bill.design,
            *(f"{bill.total(part):.2f}" for part in Part),
            f"{bill.total():.2f}",
            f"{bill.per_million(Part.EVENTS):.2f}",
        ]
        for name, bill in zip((name for name in Preset for _ in range(2)), bills, strict=True)
    ]
    head = ["day", "events", "design", *Part, "$ a day", "events: $ for 1 M"]
    return table(head, rows)


def assumptions() -> str:
    both = [sensitivity(preset(name)) for name in (Preset.DECEMBER, Preset.SURGE)]
    rows = [
        [one.assumption, *(f"{each:.2f}" for each in (one.ours, two.ours, one.textbook))]
        for one, two in zip(*both, strict=True)
    ]
    return table(["events: $ for 1 M", "December", "surge", "textbook"], rows)


def fills() -> str:
    rows = []
    for buildings in (10, preset(Preset.DECEMBER).buildings):
        for rate in RATES:
            found, one_lane = at_rate(rate, buildings), at_rate(rate, buildings, lanes=1)
            each = (found.pipe, found.projector, found.stream, found.coalescing)
            cells = [f"{fill:.1f}" for fill in (*each, one_lane.coalescing)]
            rows.append([f"{buildings:,}", f"{rate:,}", *cells])
    head = ["buildings", "events/s", "Pipe", "projector", "fan-out", "tiles a push"]
    return table([*head, "with one lane a shard"], rows)


def route_times() -> str:
    rows = []
    for name in routes():
        found = forecast(name)
        total = found.total
        rows.append([found.title, *(f"{each:.0f}" for each in (total.p50, total.p95, total.p99))])
    return table(["door to tile, ms", "p50", "p95", "p99"], rows)


def hop_times() -> str:
    rows = []
    for share in forecast("bus").hops:
        alone = share.alone
        rows.append(
            [
                share.hop.title,
                *(f"{each:.0f}" for each in (alone.p50, alone.p95, alone.p99)),
                f"{share.p95_saved:.0f}",
                share.hop.confidence,
                _link(share.hop.source, share.hop.date.isoformat()),
            ]
        )
    head = ["hop, ms", "p50", "p95", "p99", "p95 of the whole falls without it by"]
    return table([*head, "figure", "source"], rows)


def loads() -> str:
    rows = []
    for factor in FACTORS:
        at = load(factor)
        shared = [d for d in DEMANDS if d.row.adjustable and d.row.confidence != "ours"]
        copies = math.ceil(max(demand.use(factor) for demand in shared))
        figures = (at.events, at.lockers, at.buildings, at.viewers, at.writes, copies)
        rows.append([f"{factor:,} ×", *(f"{figure:,.0f}" for figure in figures)])
    head = ["December", "events/s at the spike", "lockers", "buildings", "viewers"]
    return table([*head, "WRU/s", "accounts at default quotas"], rows)


def quota_use() -> str:
    rows = []
    for demand in sorted(DEMANDS, key=lambda each: each.binds_at or math.inf):
        row = demand.row
        kind = "" if row.adjustable else ", fixed"
        rows.append(
            [
                _link(row.source, row.title),
                demand.what,
                f"{row.value:,.0f} {row.unit}{kind}",
                *(_share(demand, factor) for factor in FACTORS),
                "never" if demand.binds_at is None else f"{_two_digits(demand.binds_at)} ×",
                demand.then,
            ]
        )
    head = ["quota", "what asks for it", "value"]
    return table([*head, *(f"{f:,} ×" for f in FACTORS), "binds at", "what happens then"], rows)


def _share(demand: Demand, factor: float) -> str:
    use = demand.use(factor)
    if use >= 1:
        return f"**{_two_digits(use)} ×**"
    return "< 1 %" if use < 0.01 else f"{use:.0%}".replace("%", " %")  # noqa: PLR2004


def _two_digits(number: float) -> str:
    digits = max(0, 1 - math.floor(math.log10(number)))
    rounded = round(number, 1 - math.floor(math.log10(number)))
    return f"{rounded:,.{digits}f}"


def _link(source: str, text: str) -> str:
    return f"[{text}]({source if source.startswith('https://') else f'../{source}'})"


PARTS: Mapping[str, Callable[[], str]] = {
    "days": days,
    "assumptions": assumptions,
    "fills": fills,
    "routes": route_times,
    "hops": hop_times,
    "loads": loads,
    "quotas": quota_use,
}
PAGES = ("cost.md", "latency-on-aws.md", "scaling.md")
PICTURES: Mapping[str, Callable[[], str]] = {
    "models/cost.svg": lambda: cost_against_volume(preset(Preset.DECEMBER)),
    "models/waterfalls.svg": lambda: waterfalls([forecast(name) for name in routes()]),
}


def computed(page: str) -> str:
    """The page with its parts computed anew; raise ModelError for a part nobody computes."""

    def write(found: re.Match[str]) -> str:
        name = found[2]
        if name not in PARTS:
            raise ModelError(f"no computed part {name!r}; there are {', '.join(PARTS)}")
        return found[1] + PARTS[name]() + found[3]

    return PART.sub(write, page)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare the tables")
    check = parser.parse_args(arguments).check
    outdated = []
    for name in PAGES:
        page = (DOCS / name).read_text(encoding="utf-8")
        new = computed(page)
        if new != page:
            outdated.append(name)
            if not check:
                (DOCS / name).write_text(new, encoding="utf-8")
    if check:
        for name in outdated:
            print(f"docs/{name} is outdated: python -m models.documents", file=sys.stderr)  # noqa: T201
        return 1 if outdated else 0
    for name, draw in PICTURES.items():
        file = DOCS / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
