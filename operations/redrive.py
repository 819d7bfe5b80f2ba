"""Sends dead letters again: a canary first, then at a rate; send, then delete; then checks.

Whatever moment it is interrupted at, a letter is in its queue, or sent, or both; sending it twice
is harmless (docs/architecture.md, the merge). A letter that fails again is younger than the run and
is left where it landed.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations.arrival import identity_of
from operations.errors import OperationsError
from operations.letters import BATCH, Letter, Queue
from operations.native import MOVABLE, MoveUnavailableError, move, unavailable
from operations.plan import APPSYNC, DESTINATION, INGEST, PROJECTOR, Fate, Ledger, Step, decide
from operations.proof import Proof, depth
from operations.republish import Republisher
from operations.selection import Selection
from operations.send_rate import Pace, Pacer
from operations.sending import Failures, Outgoing, send
from operations.sources import FileSource, LetterSource, QueueSource
from operations.walk import HIDDEN_S, look, look_into

LETTERS_PER_WORKER_S = 25.0
"""Receive, send and delete of ten take 0.2 to 0.4 s over a home's line to AWS."""
MAX_WORKERS = 16
HIDDEN_POLL_S = 1.0
NOT_CHECKED = "not checked yet"
BURST_S = 0.1
"""Letters of this time go in one batch, ten at most."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a redrive is told. Times in seconds, `rate` in messages a second (None: unbounded).

    `canary_s`: how long the first letter of each queue may take to arrive before any other goes;
    0 sends none ahead. `check_s`: how long the last one may take. `even_refused`: send also what
    this checkout's contract refuses. `native`: use SQS's move task where it can do what is asked.
    """

    selection: Selection = field(default_factory=Selection)
    rate: float | None = 50.0
    limit: int | None = None
    canary_s: float = 30.0
    check_s: float = 60.0
    even_refused: bool = False
    native: bool = True


class Redrive:
    """One run.

    Parameters
    ----------
    urls
        Queue URLs by name: the dead-letter queues, `ingest` and `projector`.
    proof
        Makes the check, from the run's start in epoch ms.
    republisher
        Made when the first pointer comes along.
    stop
        When set, the run ends between two batches.
    started_at
        Epoch ms by SQS's clock; a letter that is younger is left.
    """

    def __init__(
        self,
        *,
        sqs: Any,
        urls: Mapping[str, str],
        proof: Proof,
        republisher: Callable[[], Republisher],
        orders: Orders,
        stop: threading.Event,
        started_at: int,
    ) -> None:
        self._sqs = sqs
        self._urls = urls
        self._proof = proof
        self._make_republisher = republisher
        self._orders = orders
        self._stop = stop
        self._started_at = started_at
        self._republisher: Republisher | None = None
        self._one_at_a_time = threading.Lock()
        self._taken = 0
        self._sent: set[object] = set()
        self._broken = threading.Event()
        self._pacer = Pacer(orders.rate, stop)
        self.ledger = Ledger()
        self.pace = Pace()
        self.expected = 0
        """Letters in the queues begun so far, selected or not; for a progress bar."""
        self.hidden = 0
        """Letters that it waits for, as somebody else has them in hand."""

    def plan(self, queues: Sequence[Queue]) -> list[Step]:
        """Look through the queues and decide; nothing is consumed."""
        found = look_into(self._sqs, self._urls, queues, stop=self._stop)
        return self.plan_letters([letter for each in found.values() for letter in each])

    def plan_letters(self, letters: Sequence[Letter]) -> list[Step]:
        """Decide on those that are selected; of those that go, the first `limit`."""
        order = list(DESTINATION)
        steps = [
            decide(letter, self._urls, even_refused=self._orders.even_refused)
            for letter in sorted(letters, key=lambda each: order.index(each.queue))
            if self._is_meant(letter)
        ]
        limit = self._orders.limit
        if limit is None:
            return steps
        going = [step for step in steps if step.goes][:limit]
        return going + [step for step in steps if not step.goes]

    def run_queues(self, queues: Sequence[Queue]) -> None:
        """Redrive from the queues, letter by letter as they are received, and check.

        See `ledger` and `pace`. Nothing is looked through first: a long queue would take longer to
        read than to send.
        """
        self._run([partial(self._redrive_queue, queue) for queue in DESTINATION if queue in queues])

    def run_letters(self, letters: Sequence[Letter]) -> None:
        """Redrive letters that lie elsewhere, and check."""
        self.expected = len(letters)
        self._run([partial(self._redrive, FileSource(letters), None)])

    def _run(self, parts: Sequence[Callable[[], None]]) -> None:
        try:
            for part in parts:
                if not self._stop.is_set():
                    part()
        except (OperationsError, ClientError, BotoCoreError) as error:
            self.ledger.problems.append(str(error))
        if self._stop.is_set():
            self.ledger.problems.append("interrupted: what was not reached is still in its queue")
        sent = self.ledger.ended(Fate.SENT)
        try:
            self._proof.settle(sent, timeout_s=self._orders.check_s, settled=self.ledger.note)
        except (ClientError, BotoCoreError) as error:
            self.ledger.problems.append(f"what was sent could not be checked: {error}")

    def _redrive_queue(self, queue: Queue) -> None:
        url = self._urls[queue]
        self.expected += depth(self._sqs, url)
        source = QueueSource(self._sqs, queue, url)
        self._redrive(source, self._native_plan(queue))

    def _native_plan(self, queue: Queue) -> list[Step] | None:
        """All letters, if a move task would do just what is asked; they are what is checked."""
        orders = self._orders
        whole = orders.selection.everything and orders.limit is None
        slow = orders.rate is not None and orders.rate < 1
        if not (orders.native and queue in MOVABLE and whole) or slow:
            return None
        if (why := unavailable(self._sqs, self._urls[queue])) is not None:
            self.ledger.remarks.append(f"{queue}: sent one by one, no move task here ({why})")
            return None
        steps = self.plan([queue])
        return steps if all(step.goes for step in steps) else None

    def _redrive(self, source: LetterSource, planned: Sequence[Step] | None) -> None:
        try:
            ready = self._first(source)
            if ready and self._orders.canary_s:
                self._send_canary(source, ready.pop(0))
            if self._stop.is_set():
                return
            if planned is not None:
                source.release()
                ready = []
            if planned is None or not self._move_natively(planned):
                self._send_rest(source, ready)
            if self._orders.limit is None:
                self._wait_for_hidden(source)
        finally:
            source.release()

    def _first(self, source: LetterSource) -> list[Step]:
        """What goes of the first page that has any."""
        while not self._stop.is_set() and (page := source.page()):
            if ready := self._accept(page):
                return ready
        return []

    def _accept(self, page: Sequence[Letter]) -> list[Step]:
        """Steps for the letters that go; the others are noted, if they were meant."""
        accepted = []
        for letter in page:
            if not self._is_meant(letter):
                continue
            if letter.sent_at is not None and letter.sent_at >= self._started_at:
                if identity_of(letter) not in self._sent:  # else the check will find it
                    self.ledger.note(Step(letter, (), Fate.YOUNGER, letter.reason))
                continue
            step = decide(letter, self._urls, even_refused=self._orders.even_refused)
            if not step.goes:
                self.ledger.note(step)
            elif self._within_limit():
                accepted.append(step)
        return accepted

    def _is_meant(self, letter: Letter) -> bool:
        """By the selection; a pointer that tells no building may be of any that is named."""
        selection = self._orders.selection
        if letter.pointer is not None and letter.building is None:
            selection = replace(selection, buildings=())
        return selection.matches(letter, self._started_at)

    def _within_limit(self) -> bool:
        with self._one_at_a_time:
            self._taken += 1
            return self._orders.limit is None or self._taken <= self._orders.limit

    def _send_canary(self, source: LetterSource, step: Step) -> None:
        """Send one and wait; its letter goes when it has arrived, or lies in a queue anew.

        Raises
        ------
        OperationsError
            It did not arrive.
        """
        letter = step.letter
        self._deliver([step])
        if (left := self.ledger.of(letter)).fate is Fate.SENT:
            self._proof.settle([left], timeout_s=self._orders.canary_s, settled=self.ledger.note)
        ended = self.ledger.of(letter)
        if ended.fate not in {Fate.SENT, Fate.FAILED}:
            self._remove(source, [ended])
        if not (ended.fate.good or ended.fate is Fate.UNCHECKED or self._stop.is_set()):
            raise OperationsError(
                f"{letter.queue}: the canary {letter.event_id or letter.message_id} "
                f"{_what_happened(ended, self._orders.canary_s)}; no other letter was sent"
            )

    def _move_natively(self, planned: Sequence[Step]) -> bool:
        """Whether SQS did it; if it can't, whoever asked sends one by one."""
        steps = [step for step in planned if not self.ledger.has(step.letter)]
        if not steps:
            return True
        queue = steps[0].letter.queue
        url, destination = self._urls[queue], self._urls[DESTINATION[queue]]
        left: set[str] = set()
        try:
            move(self._sqs, url, destination, rate=self._orders.rate, stop=self._stop)
        except MoveUnavailableError as error:
            self.ledger.remarks.append(f"{queue}: sent one by one, no move task here ({error})")
            return False
        except OperationsError as error:
            self.ledger.problems.append(str(error))
        if self._stop.is_set() or self.ledger.problems:
            left = {letter.message_id for letter in look(self._sqs, queue, url)}
        self.ledger.remarks.append(f"{queue}: moved by SQS's own move task")
        moved = [step for step in steps if step.letter.message_id not in left]
        self.ledger.note(*(replace(step, fate=Fate.SENT, detail=NOT_CHECKED) for step in moved))
        return True

    def _wait_for_hidden(self, source: LetterSource) -> None:
        """Redrive also what another run, maybe one that was killed, still keeps hidden.

        Its letters show within `HIDDEN_S` if it had not had them for long. What is hidden for
        longer is told: nobody knows yet what becomes of it.
        """
        until = time.monotonic() + (HIDDEN_S + self._orders.check_s if self._orders.check_s else 0)
        while (hidden := source.elsewhere()) and time.monotonic() < until:
            self.hidden = hidden
            if self._stop.wait(HIDDEN_POLL_S):
                return
            source.go_on()
            self._send_rest(source, ())
        self.hidden = 0
        if hidden:
            self.ledger.problems.append(
                f"{hidden} letters of {source.name} are hidden: somebody else has them, or a run"
                " was killed; run this again when latchline dlq ls shows none in flight"
            )

    def _send_rest(self, source: LetterSource, ready: Sequence[Step]) -> None:
        rate = self._orders.rate
        wanted = MAX_WORKERS / 2 if rate is None else rate / LETTERS_PER_WORKER_S
        workers = min(MAX_WORKERS, max(1, ceil(wanted)))
        self.pace.pause()
        with ThreadPoolExecutor(workers, thread_name_prefix="redrive") as pool:
            work = [pool.submit(self._work, source, ready)]
            work += [pool.submit(self._work, source, ()) for _ in range(workers - 1)]
            try:
                for each in work:
                    each.result()
            except BaseException:
                self._broken.set()  # the others end after their batch
                raise

    def _work(self, source: LetterSource, ready: Sequence[Step]) -> None:
        """Send what is ready, then page by page until there is no more."""
        rate = self._orders.rate
        size = BATCH if rate is None else max(1, min(BATCH, int(rate * BURST_S)))
        steps = list(ready)
        while steps or (page := source.page()):
            steps = steps or self._accept(page)
            while steps:
                chunk, steps = steps[:size], steps[size:]
                if self._broken.is_set() or not self._pacer.take(len(chunk)):
                    return
                self._deliver(chunk)
                self._remove(source, [self.ledger.of(each.letter) for each in chunk])
                self.pace.count(len(chunk))

    def _deliver(self, steps: Sequence[Step]) -> None:
        """Send, and note for each how that went."""
        failures: Failures = {}
        for name in (PROJECTOR, INGEST):
            messages = [
                Outgoing(step.letter, step.letter.envelope, {})
                for step in steps
                if name in step.destinations and step.letter.envelope is not None
            ]
            failures |= send(self._sqs, self._urls[name], messages) if messages else {}
        for step in steps:
            if APPSYNC in step.destinations:
                self.ledger.note(self._republish(step))
            elif (why := failures.get(step.letter.message_id)) is not None:
                self.ledger.note(replace(step, fate=Fate.FAILED, detail=why))
            else:
                self._sent.add(identity_of(step.letter))
                self.ledger.note(replace(step, fate=Fate.SENT, detail=NOT_CHECKED))

    def _republish(self, step: Step) -> Step:
        assert step.letter.pointer is not None
        with self._one_at_a_time:  # gql's transport is not for several threads
            if self._republisher is None:
                self._republisher = self._make_republisher()
            done = self._republisher.republish(step.letter.pointer)
        if done.problems:
            return replace(step, fate=Fate.FAILED, detail=done.problems[0])
        return replace(step, fate=Fate.PUBLISHED, detail=str(done))

    def _remove(self, source: LetterSource, steps: Sequence[Step]) -> None:
        gone = [step.letter for step in steps if step.fate is not Fate.FAILED]
        for message_id, why in (source.remove(gone) if gone else {}).items():
            self.ledger.problems.append(
                f"message {message_id} was sent but could not be deleted ({why}): "
                "redriving it again is harmless"
            )


def _what_happened(step: Step, waited_s: float) -> str:
    if step.fate is Fate.SENT:
        return (
            f"went to {'+'.join(step.destinations)} and is not in the table after {waited_s:g} s "
            "(its letter was kept)"
        )
    return f"{step.fate.value.removeprefix('left: ')}: {step.detail}"
