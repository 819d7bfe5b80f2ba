"""Checks what became of letters that were sent again: arrived, came back, or not seen yet."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from operations.arrival import Arrivals, identity_of
from operations.letters import Letter, Queue
from operations.plan import Fate, Step
from operations.walk import look

POLL_S = (0.2, 2.0)
WINDOW = 500
"""Letters looked for at once."""
COMES_BACK_S = 10.0
"""A poisonous letter is parked within a second; one that cannot be read here is watched so long."""
LOOK_BACK_S = 3.0
LOOK_BACK_LETTERS = 2_000
"""Of each dead-letter queue, when it is searched for letters that came back."""
RETURNS_TO = (Queue.QUARANTINE, Queue.PROJECTOR_DLQ, Queue.BUS_DLQ, Queue.INGEST_DLQ)


class Proof:
    """Waits for events to arrive.

    Parameters
    ----------
    started_at
        Epoch ms by SQS's clock: a letter that is younger came back, or came meanwhile.
    hurry
        When set, looks once more and waits no longer.
    look_back_s
        After so long without an arrival it looks for letters that came back.
    """

    def __init__(
        self,
        *,
        sqs: Any,
        urls: Mapping[str, str],
        arrivals: Arrivals,
        started_at: int,
        hurry: threading.Event,
        look_back_s: float = LOOK_BACK_S,
    ) -> None:
        self._sqs = sqs
        self._urls = urls
        self._arrivals = arrivals
        self._started_at = started_at
        self._hurry = hurry
        self._look_back_s = look_back_s

    def settle(
        self, sent: Sequence[Step], *, timeout_s: float, settled: Callable[[Step], None]
    ) -> None:
        """Give every step its fate, as soon as it is known, by calling `settled`.

        Ends when nothing more has arrived for `timeout_s`: a long backlog takes its time.
        """
        pending = {step.letter.message_id: step for step in sent}
        begin = moved = looked = time.monotonic()
        pause = POLL_S[0]
        while pending:
            last = self._hurry.is_set() or time.monotonic() - moved >= timeout_s
            progress = self._take_arrived(pending, settled, every=last)
            now = time.monotonic()
            moved = now if progress else moved
            due = last or now - max(moved, looked) >= self._look_back_s
            if pending and due and not self._hurry.is_set():
                self._take_returned(pending, settled)
                looked = time.monotonic()
            self._take_unreadable(pending, settled, waited_s=now - begin, last=last)
            if last:
                break
            pause = POLL_S[0] if progress else min(POLL_S[1], pause * 2)
            if pending:
                self._hurry.wait(pause)
        for step in pending.values():
            settled(_with(step, Fate.SENT, "not in the table yet"))

    def _take_arrived(
        self, pending: dict[str, Step], settled: Callable[[Step], None], *, every: bool
    ) -> bool:
        """Look at those sent first; at more of them, or at all, as long as most are there.

        A queue is worked off roughly in order, and each look costs two reads a letter.
        """
        progress = False
        names = list(pending)
        for start in range(0, len(names), WINDOW):
            window = [pending.pop(name) for name in names[start : start + WINDOW]]
            events = {step.letter.event for step in window if step.letter.event is not None}
            arrived = self._arrivals.arrived(events)
            found = [step for step in window if step.letter.event in arrived]
            for step in found:
                where = "locker" if step.letter.door is None else "history and tile"
                settled(_with(step, Fate.ARRIVED, where))
            # To the end: next time others are looked at first.
            pending |= {
                step.letter.message_id: step for step in window if step.letter.event not in arrived
            }
            progress = progress or bool(found)
            if not every and 2 * len(found) < len(window):
                break
        return progress

    def _take_returned(self, pending: dict[str, Step], settled: Callable[[Step], None]) -> None:
        returned = self._returned()
        for step in list(pending.values()):
            letter = returned.get(identity_of(step.letter))
            if letter is not None:
                del pending[step.letter.message_id]
                settled(_with(step, Fate.CAME_BACK, came_back(letter)))

    def _returned(self) -> dict[object, Letter]:
        found = {}
        for queue in RETURNS_TO:
            url = self._urls.get(queue)
            if url is None or not depth(self._sqs, url):
                continue
            for letter in look(self._sqs, queue, url, limit=LOOK_BACK_LETTERS):
                if letter.sent_at is not None and letter.sent_at >= self._started_at:
                    found[identity_of(letter)] = letter
        return found

    def _take_unreadable(
        self,
        pending: dict[str, Step],
        settled: Callable[[Step], None],
        *,
        waited_s: float,
        last: bool,
    ) -> None:
        """What this checkout's contract refuses has no version to look for."""
        if not last and waited_s < COMES_BACK_S:
            return
        for step in list(pending.values()):
            if step.letter.event is None:
                del pending[step.letter.message_id]
                settled(_with(step, Fate.UNCHECKED, "this checkout cannot read it"))


def came_back(letter: Letter) -> str:
    return f"to {letter.queue}, {letter.reason}: {letter.error}"


def depth(sqs: Any, url: str) -> int:
    """Messages that may be received (AWS: approximate, may lag by a minute)."""
    name = "ApproximateNumberOfMessages"
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def _with(step: Step, fate: Fate, detail: str) -> Step:
    return Step(step.letter, step.destinations, fate, detail)
