"""Completeness of one controller from what history holds of it: gaps, and what became of each.

A controller counts its events from 1 without holes in each boot, so history proves by itself what
is missing. Pure: events and letters in, findings out.

What it cannot tell: the last events of a boot have no successor that gives them away. They show
when the next event of the boot arrives, or when they lie in a dead-letter queue.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from operations.formats import Queue
from pipeline.contract import Thing

SETTLE_MS = 15 * 60_000
"""Five receives at the ingest queue's 60 s of visibility timeout and five at the projector's 120 s
are 900 s: who is neither on record nor parked by then is in none of the two."""
DAY_MS = 86_400_000
HISTORY_DAYS = 90
"""Days that history lives (infra/stacks/ingest.py)."""
EDGE_MS = DAY_MS
"""At the old end events expire in the order in which the broker had them, which is nearly that of
their numbers: nothing is judged within a day of it."""


class Fate(StrEnum):
    """What became of events that are not on record."""

    PARKED = "parked"
    """In a dead-letter queue, under these very numbers."""
    PERHAPS_PARKED = "perhaps parked"
    """In quarantine lie as many letters of the controller whose numbers can't be read."""
    ON_THE_WAY = "on its way"
    NEVER_ARRIVED = "never arrived"
    """Lost before the broker, or given up where no dead-letter queue is."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An event on record. `received_at`: the broker's clock, epoch ms."""

    boot: int
    seq: int
    received_at: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers of a boot that are not on record, `first` to `last`.

    `before` is when the event after the gap was received (epoch ms): the missing ones were sent
    earlier. None for numbers above all that is on record, which only a letter can tell of.
    """

    boot: int
    first: int
    last: int
    before: int | None

    @property
    def events(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Window:
    """What is judged, in epoch ms: history from `oldest` on, of it what came after `since`."""

    oldest: int
    since: int = 0

    @classmethod
    def ending(cls, now_ms: int, *, since: int = 0, days: int = HISTORY_DAYS) -> "Window":
        return cls(now_ms - days * DAY_MS + EDGE_MS, since)


@dataclass(slots=True)
class Sequences:
    """What one controller's history holds; `heads_expired` are boots whose begin is too old."""

    events: int = 0
    boots: int = 0
    heads_expired: int = 0
    gaps: list[Gap] = field(default_factory=list)
    newest: int | None = None
    """When the newest boot's last event was received, epoch ms."""


@dataclass(frozen=True, slots=True)
class Letters:
    """What lies in the dead-letter queues of one controller.

    `numbered`: (boot, seq) → queue. `unnumbered`: how many lie where, whose numbers can't be read.
    """

    numbered: Mapping[tuple[int, int], Queue] = field(default_factory=dict)
    unnumbered: Mapping[Queue, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settling:
    """How young a gap is that may still close: its successor came after `since`, epoch ms."""

    since: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Events of one boot that are not on record and share a fate."""

    thing: Thing
    gap: Gap
    fate: Fate
    queue: Queue | None = None


def find_gaps(
    events: Iterable[Kept], window: Window, parked: Mapping[tuple[int, int], Queue] | None = None
) -> Sequences:
    """Read one controller's events, newest version first, and stop at the first before `since`.

    Memory does not grow with the events, only with the gaps. Letters above a boot's last event on
    record count as gaps of their own.
    """
    found = Sequences()
    unseen = set(parked or ())
    above: Kept | None = None
    for event in events:
        unseen.discard((event.boot, event.seq))
        before_window = event.received_at < window.since
        if above is not None and above.boot == event.boot:
            _add(found, Gap(event.boot, event.seq + 1, above.seq - 1, above.received_at), window)
        elif above is not None:
            _add_head(found, above, window)
        if before_window:
            unseen = {number for number in unseen if number > (event.boot, event.seq)}
            above = None
            break
        if above is None or above.boot != event.boot:
            found.boots += 1
        found.events += 1
        found.newest = found.newest if found.newest is not None else event.received_at
        above = event
    if above is not None:
        _add_head(found, above, window)
    inside = {
        number
        for number in unseen
        for gap in found.gaps
        if gap.boot == number[0] and gap.first <= number[1] <= gap.last
    }
    found.gaps += _runs(sorted(unseen - inside))
    return found


def _runs(numbers: Iterable[tuple[int, int]]) -> list[Gap]:
    """Numbers of which nothing above is on record, neighbours together."""
    runs: list[Gap] = []
    for boot, seq in numbers:
        if runs and (runs[-1].boot, runs[-1].last) == (boot, seq - 1):
            runs[-1] = replace(runs[-1], last=seq)
        else:
            runs.append(Gap(boot, seq, seq, None))
    return runs


def _add(found: Sequences, gap: Gap, window: Window) -> None:
    if gap.events > 0 and gap.before is not None and gap.before >= window.oldest:
        found.gaps.append(gap)


def _add_head(found: Sequences, lowest: Kept, window: Window) -> None:
    """A boot's number is when it began, in epoch seconds: what came first may have expired.

    A controller whose clock was in 1970 has boots that look old; of those no begin is judged.
    """
    if lowest.seq == 1:
        return
    if lowest.boot * 1000 < window.oldest or lowest.received_at < window.oldest:
        found.heads_expired += 1
    else:
        found.gaps.append(Gap(lowest.boot, 1, lowest.seq - 1, lowest.received_at))


def tell_fates(
    thing: Thing, gaps: Sequence[Gap], letters: Letters, settling: Settling
) -> Iterator[Missing]:
    """Split the gaps by what became of their events."""
    unnumbered = dict(letters.unnumbered)
    for gap in gaps:
        for part, queue in _split(gap, letters.numbered):
            if queue is not None:
                yield Missing(thing, part, Fate.PARKED, queue)
            elif part.before is None or part.before >= settling.since:
                yield Missing(thing, part, Fate.ON_THE_WAY)
            else:
                where = next((q for q, n in unnumbered.items() if n >= part.events), None)
                if where is None:
                    yield Missing(thing, part, Fate.NEVER_ARRIVED)
                else:
                    unnumbered[where] -= part.events
                    yield Missing(thing, part, Fate.PERHAPS_PARKED, where)


def _split(
    gap: Gap, numbered: Mapping[tuple[int, int], Queue]
) -> Iterator[tuple[Gap, Queue | None]]:
    """The gap in runs that lie in one queue, or in none; in order."""
    inside = sorted(
        (seq, queue)
        for (boot, seq), queue in numbered.items()
        if boot == gap.boot and gap.first <= seq <= gap.last
    )
    runs: list[tuple[int, int, Queue]] = []
    for seq, queue in inside:
        if runs and runs[-1][1] == seq - 1 and runs[-1][2] is queue:
            runs[-1] = (runs[-1][0], seq, queue)
        else:
            runs.append((seq, seq, queue))
    first = gap.first
    for start, end, queue in runs:
        if first < start:
            yield Gap(gap.boot, first, start - 1, gap.before), None
        yield Gap(gap.boot, start, end, gap.before), queue
        first = end + 1
    if first <= gap.last:
        yield Gap(gap.boot, first, gap.last, gap.before), None
