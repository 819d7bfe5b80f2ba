"""The table of faults and what became of them, for a terminal and for docs/reliability.md."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.markers import Part
from local.faults.outcomes import DELIVERED_AGAIN, FUNCTION, REDRIVEN, SDK
from local.faults.plan import Fault
from tests.chaos.campaign import Result

OVERTAKEN = "another delivery had done it"
HOW = (SDK, FUNCTION, DELIVERED_AGAIN, REDRIVEN, OVERTAKEN)
PART = Part("soak")


@dataclass
class Totals:
    """Over all rounds so far."""

    rounds: int = 0
    events: int = 0
    acknowledged: int = 0
    lost: int = 0
    wrong: int = 0
    extra: int = 0
    took_s: float = 0.0
    injected: Counter[Fault] = field(default_factory=Counter)
    outcomes: dict[Fault, Counter[str]] = field(default_factory=dict)
    fleet: Counter[str] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)
    redriven: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Add a round. What was never mended by a later call, and yet is there, was overtaken."""
        self.rounds += 1
        self.events += result.events
        self.acknowledged += result.verdict.acknowledged
        for difference in result.verdict.as_json()["views"].values():
            self.lost += difference["lost"]
            self.wrong += difference["wrong"]
            self.extra += difference["extra"]
        self.took_s += result.took_s
        self.injected.update(result.report.injected)
        self.fleet.update(result.fleet_faults)
        self.incidents.update({each.value: count for each, count in result.incidents.items()})
        self.redriven.update(result.redriven)
        self.gave_up.update(result.gave_up)
        self.complaints += result.complaints
        for fault, counts in result.report.outcomes.items():
            self.outcomes.setdefault(fault, Counter()).update(counts)
        if result.ok:
            for fault, count in result.report.open.items():
                self.outcomes.setdefault(fault, Counter())[OVERTAKEN] += count

    @property
    def faults(self) -> int:
        return self.injected.total() + self.fleet.total() + self.incidents.total()

    def verdict(self) -> str:
        word = "failed" if self.complaints or not self.rounds else "ok"
        return (
            f"{word}: {self.acknowledged} of {self.events} events acknowledged, {self.lost} lost, "
            f"{self.wrong} wrong, {self.extra} extra; {self.faults} faults, "
            f"{self.rounds} rounds, {self.took_s / 60:.0f} min"
        )


def table(totals: Totals) -> str:
    """Markdown, which a terminal shows as well."""
    rows: list[list[object]] = [["fault in the stack", "injected", *HOW]]
    for fault in Fault:
        counts = totals.outcomes.get(fault, Counter())
        rows.append([f"`{fault}`", totals.injected[fault], *(counts[how] for how in HOW)])
    sums = [sum(count[how] for count in totals.outcomes.values()) for how in HOW]
    rows.append(["**all**", totals.injected.total(), *sums])
    return "\n\n".join(
        [
            _markdown(rows),
            _counted("fault of the fleet", totals.fleet),
            _counted("incident", totals.incidents),
            _sentence("Dead letters redriven", totals.redriven),
            _sentence("Left with the fan-out, by condition", totals.gave_up),
        ]
    )


def _markdown(rows: Iterable[list[object]]) -> str:
    head, *rest = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows
    ]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _counted(title: str, counts: Mapping[str, int]) -> str:
    return _markdown([[title, "times"], *([f"`{each}`", counts[each]] for each in sorted(counts))])


def _sentence(what: str, counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{count:,} `{each}`" for each, count in sorted(counts.items()))
    return f"{what}: {told or 'none'}."
