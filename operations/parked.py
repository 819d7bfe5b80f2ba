"""What lies in quarantine, or was taken out of it into files, as a verdict on a fleet reads it."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operations.letters import Letter, Queue
from operations.parking import REASON as BY_PERSON
from operations.parking import read_parked
from operations.walk import Walk
from pipeline.contract import Thing
from simulators.verdict import Parked

if TYPE_CHECKING:
    from simulators.target import Target


@contextmanager
def parked_of(
    target: "Target", files: Sequence[Path] = ()
) -> Iterator[Callable[[], list[Parked]] | None]:
    """Yield what tells, each time it is called, all that is parked; None if there is no place.

    The quarantine queue is left as it was. Of the files of `dlq park --export` what came out of
    quarantine counts, and what the contract refuses, whichever queue it came out of.

    Raises
    ------
    OperationsError
        A file cannot be read; names it, and the line.
    """
    exported = [
        parked
        for file in files
        for letter in read_parked(file)
        if (letter.queue is Queue.QUARANTINE or letter.refusal is not None)
        and (parked := _parked(letter)) is not None
    ]
    url = target.queues.get(Queue.QUARANTINE)
    if url is None:
        yield (lambda: exported) if files else None
        return
    reader = QuarantineReader(target.client("sqs"), url)
    try:
        yield lambda: [*exported, *reader.look()]
    finally:
        reader.release()


class QuarantineReader:
    """Looks through the quarantine queue again and again; `found` grows with each `look`."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._walk = Walk(sqs, Queue.QUARANTINE, url)
        self.found: list[Parked] = []

    def look(self) -> list[Parked]:
        """Return all that was found so far; presence events, which no device sends, are not."""
        self._walk.go_on()
        while page := self._walk.page():
            self.found += [parked for each in page if (parked := _parked(each)) is not None]
        return self.found

    def release(self) -> None:
        """Let others see the letters again, at once."""
        self._walk.release()


def _parked(letter: Letter) -> Parked | None:
    try:
        envelope = json.loads(letter.body)
        return Parked(
            thing=Thing.parse(envelope["thing"]),
            door=envelope["door"],
            reason=_reason(letter),
            payload=base64.b64decode(envelope["payload"]),
            received_at=envelope["received_at"],
        )
    except (KeyError, TypeError, ValueError):
        return None  # not what the rule makes of a locker's publish


def _reason(letter: Letter) -> str:
    """Why it cannot succeed: the projector's word; of what a person set aside, the contract's."""
    by_projector = letter.queue is Queue.QUARANTINE and letter.reason != BY_PERSON
    if by_projector or letter.refusal is None:
        return letter.reason
    return letter.refusal.reason.value
