"""Which letters are meant: by reason, locker, building and age."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from operations.errors import OperationsError
from operations.letters import Letter, Queue
from pipeline.contract import Thing, is_id

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE = re.compile(r"(\d{1,9})([smhd])")


@dataclass(frozen=True, slots=True)
class Selection:
    """Everything, unless a field narrows it; several values of one field are alternatives.

    A letter whose building, locker or time cannot be read is not meant by who asks for one.
    Ages in seconds, of the time at which the message was first sent.
    """

    reasons: Collection[str] = ()
    things: Collection[Thing] = ()
    buildings: Collection[str] = ()
    older_than_s: int | None = None
    newer_than_s: int | None = None

    @property
    def everything(self) -> bool:
        ages = (self.older_than_s, self.newer_than_s)
        return not (self.reasons or self.things or self.buildings) and ages == (None, None)

    def matches(self, letter: Letter, now_ms: int) -> bool:
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.things and letter.thing not in self.things:
            return False
        if self.buildings and letter.building not in self.buildings:
            return False
        if self.older_than_s is None and self.newer_than_s is None:
            return True
        if letter.sent_at is None:
            return False
        age_s = (now_ms - letter.sent_at) / 1000
        older = self.older_than_s is None or age_s >= self.older_than_s
        newer = self.newer_than_s is None or age_s <= self.newer_than_s
        return older and newer


def parse_age(text: str) -> int:
    """`90s`, `15m`, `2h` or `3d` in seconds; raise OperationsError naming the text."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise OperationsError(f"{text!r} is not an age: write 90s, 15m, 2h or 3d")
    return int(match[1]) * SECONDS[match[2]]


def parse_queue(text: str) -> Queue:
    """A queue by its name, with `-` or `_`; raise OperationsError naming all that there are."""
    try:
        return Queue(text.strip().lower().replace("-", "_"))
    except ValueError:
        names = ", ".join(Queue)
        raise OperationsError(f"{text!r} is no dead-letter queue: {names}") from None


def parse_thing(text: str) -> Thing:
    """Raise OperationsError unless it is a thing's name."""
    try:
        return Thing.parse(text)
    except ValueError as error:
        raise OperationsError(str(error)) from None


def parse_building(text: str) -> str:
    """Raise OperationsError unless it may be a building's id."""
    if not is_id(text):
        raise OperationsError(f"{text!r} is not a building's id (a-z, 0-9 and -, for instance b01)")
    return text
