"""What is to become of each letter, before anything is touched; and how each ended."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from operations.letters import Letter, Queue

INGEST = "ingest"
PROJECTOR = "projector"
APPSYNC = "AppSync"
DESTINATION: Mapping[Queue, str] = {
    Queue.PROJECTOR_DLQ: PROJECTOR,
    Queue.QUARANTINE: PROJECTOR,
    Queue.BUS_DLQ: PROJECTOR,
    Queue.INGEST_DLQ: INGEST,
    Queue.IOT_ERRORS: INGEST,
    Queue.FANOUT_DLQ: APPSYNC,
}
"""In the order of a redrive: from the table outwards, and pushes last, when the tiles are newest.
A letter that fails again lands in a queue that was done before, or is told by its age."""


class Fate(StrEnum):
    """How a letter ended. The first three are good; what is "left" is still in its queue."""

    ARRIVED = "arrived"
    PUBLISHED = "published"
    PARKED = "parked"
    SENT = "sent, not seen yet"
    UNCHECKED = "sent, cannot be checked"
    CAME_BACK = "came back"
    REFUSED = "left: still refused"
    UNREADABLE = "left: not possible"
    YOUNGER = "left: came meanwhile"
    FAILED = "left: not sent"
    PLANNED = "would go"

    @property
    def good(self) -> bool:
        return self in {Fate.ARRIVED, Fate.PUBLISHED, Fate.PARKED}


@dataclass(frozen=True, slots=True)
class Step:
    """A letter, where it goes (several queues, AppSync, or nowhere), and what came of it."""

    letter: Letter
    destinations: tuple[str, ...]
    fate: Fate
    detail: str = ""

    @property
    def goes(self) -> bool:
        return self.fate is Fate.PLANNED

    def as_json(self) -> dict[str, Any]:
        return {
            "queue": self.letter.queue.value,
            "message_id": self.letter.message_id,
            "event_id": self.letter.event_id,
            "reason": self.letter.reason,
            "destinations": list(self.destinations),
            "fate": self.fate.name.lower(),
            "detail": self.detail,
        }


def decide(letter: Letter, queues: Mapping[str, str], *, even_refused: bool) -> Step:
    """Where a letter goes if it is redriven now.

    What the contract of this checkout still refuses would be parked again at once: it stays, unless
    the deployed pipeline is known to be newer (`even_refused`).
    """
    if letter.pointer is not None:
        return Step(letter, (APPSYNC,), Fate.PLANNED)
    if letter.envelope is None:
        return Step(letter, (), Fate.UNREADABLE, letter.error)
    if letter.refusal is not None and not even_refused:
        return Step(letter, (), Fate.REFUSED, str(letter.refusal))
    return Step(letter, _destinations(letter, queues), Fate.PLANNED)


def _destinations(letter: Letter, queues: Mapping[str, str]) -> tuple[str, ...]:
    """The queue that was to have it.

    A rule that routes straight to the projector has two actions, and the failed ones are named by
    their queues; where none is recognized, `ingest` leads to the tile by the usual route.
    """
    if letter.queue is not Queue.IOT_ERRORS:
        return (DESTINATION[letter.queue],)
    failed = {resource.rsplit("/", 1)[-1].rsplit(":", 1)[-1] for resource in letter.resources}
    named = [
        name
        for name in (PROJECTOR, INGEST)
        if name in queues and queues[name].rsplit("/", 1)[-1] in failed
    ]
    return tuple(named) or (INGEST,)


@dataclass(slots=True)
class Ledger:
    """What became of each letter so far; threads write into it.

    `problems` keep a run from being good, `remarks` do not.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _steps: dict[tuple[Queue, str], Step] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *steps: Step) -> None:
        with self._writing:
            for step in steps:
                self._steps[step.letter.queue, step.letter.message_id] = step

    def has(self, letter: Letter) -> bool:
        return (letter.queue, letter.message_id) in self._steps

    def of(self, letter: Letter) -> Step:
        return self._steps[letter.queue, letter.message_id]

    @property
    def steps(self) -> list[Step]:
        with self._writing:
            return list(self._steps.values())

    def ended(self, fate: Fate) -> list[Step]:
        return [step for step in self.steps if step.fate is fate]

    @property
    def good(self) -> bool:
        """Whether nothing selected is left, and all that was sent is where it belongs."""
        return not self.problems and all(step.fate.good for step in self.steps)


@dataclass(frozen=True, slots=True)
class Row:
    """Letters of one queue that ended alike."""

    queue: Queue
    destination: str
    fate: Fate
    detail: str
    letters: int


def rows(steps: Sequence[Step]) -> list[Row]:
    """Group for a table; refusals and failures count together by the text before a colon."""
    counts = Counter(
        (step.letter.queue, "+".join(step.destinations), step.fate, _kind(step)) for step in steps
    )
    order = list(DESTINATION)
    found = [
        Row(queue, destination, fate, detail, letters)
        for (queue, destination, fate, detail), letters in counts.items()
    ]
    return sorted(found, key=lambda row: (order.index(row.queue), row.fate, -row.letters))


def _kind(step: Step) -> str:
    if step.fate is Fate.PLANNED:
        return step.letter.reason
    whole = step.fate in {Fate.PUBLISHED, Fate.UNREADABLE, Fate.PARKED}
    return step.detail if whole else step.detail.split(":", 1)[0]
