"""Walks through a queue: every letter once, hidden from others for as long as the walk lasts.

A visibility timeout is a guess of how long the work takes. A short one that is renewed while the
walk goes on is right for a queue of any length, and for a person who thinks between two pages; and
whoever is killed leaves little behind.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations.letters import BATCH, Letter, Queue, decode

HIDDEN_S = 30
"""Seconds at first. When a third is over, it is doubled: a killed tool leaves letters hidden for
half a minute, or for about twice as long as it had them. The doubling keeps the work small: what a
walk has in hand for T seconds is renewed log2(T / 10 s) times."""
MAX_HIDDEN_S = 43_200
"""AWS: the longest visibility timeout, and all that a message may have since it was received."""
LONG_POLL_S = 1
READERS = 4
"""Threads that read a long queue, and as many renew, or these could not keep up. AWS: a call takes
20 to 50 ms, most of it waiting."""
READERS_FROM = 100
"""Letters asked for; below, one thread has them as soon."""


@dataclass(order=True, slots=True)
class _Lease:
    """Letters that were hidden at one time. Times in seconds of the monotonic clock."""

    due: float
    number: int
    hidden_s: int = field(compare=False)
    received: float = field(compare=False)
    message_ids: tuple[str, ...] = field(compare=False)


class Walk:
    """Receives the letters of one queue, each once, and keeps them hidden until `release`.

    Whoever receives a letter decides: delete it, or leave it to `release`. If nobody does because
    the process was killed, SQS shows it again by itself. Threads may share a walk.
    """

    def __init__(self, sqs: Any, queue: Queue, url: str, *, hidden_s: int = HIDDEN_S) -> None:
        self._sqs = sqs
        self._queue = queue
        self._url = url
        self._hidden_s = hidden_s
        self._handles: dict[str, str] = {}
        self._seen: set[str] = set()
        self._at_end = False
        self._leases: list[_Lease] = []
        self._numbers = itertools.count()
        self._changing = threading.Lock()
        self._renewing: list[threading.Thread] = []
        self._ended = threading.Event()

    def page(self) -> list[Letter]:
        """Up to ten letters not received before; none means that all have been.

        AWS: a short poll asks some of SQS's servers only, so an empty answer is asked again with a
        long poll, which asks all. A message may come twice, so only an empty answer is the end.

        Raises
        ------
        ClientError, BotoCoreError
            As boto3 raises them; `OverLimit` if 120,000 letters are hidden already (AWS).
        """
        while not self._at_end:  # or another thread has found it out
            messages = self._receive(0) or self._receive(LONG_POLL_S)
            if not messages:
                self._at_end = True
                break
            if new := self._take([decode(self._queue, message) for message in messages]):
                return new
        return []

    def go_on(self) -> None:
        """Look again after the end: letters may have shown that others had hidden."""
        self._at_end = False

    def current(self, letter: Letter) -> Letter:
        """With the handle that counts: that of the last time it was received."""
        with self._changing:
            handle = self._handles.get(letter.message_id, letter.receipt_handle)
        return letter if handle == letter.receipt_handle else replace(letter, receipt_handle=handle)

    @property
    def held(self) -> int:
        """Letters received and not settled."""
        with self._changing:
            return len(self._handles)

    def settled(self, letters: Iterable[Letter]) -> None:
        """They were deleted, or are somebody else's to release."""
        with self._changing:
            for letter in letters:
                self._handles.pop(letter.message_id, None)

    def release(self) -> None:
        """Show at once all that was received and not settled; it may be received again."""
        self._stop_renewing()
        with self._changing:
            self._at_end = False
            self._seen -= self._handles.keys()
            handles, self._handles = list(self._handles.values()), {}
        chunks = [handles[start : start + BATCH] for start in range(0, len(handles), BATCH)]
        with ThreadPoolExecutor(READERS, thread_name_prefix="release") as pool:
            for _ in pool.map(lambda chunk: self._hide(chunk, 0), chunks):
                pass

    def _take(self, letters: Sequence[Letter]) -> list[Letter]:
        """Remember them; those that are new."""
        now = time.monotonic()
        with self._changing:
            self._handles |= {each.message_id: each.receipt_handle for each in letters}
            new = [each for each in letters if each.message_id not in self._seen]
            self._seen |= {each.message_id for each in new}
            self._lease(tuple(each.message_id for each in letters), self._hidden_s, now, now)
            if not self._renewing:
                self._ended.clear()
                self._renewing = [
                    threading.Thread(target=self._renew, name="renew", daemon=True)
                    for _ in range(READERS)
                ]
                for thread in self._renewing:
                    thread.start()
        return new

    def _lease(
        self, message_ids: tuple[str, ...], hidden_s: int, received: float, now: float
    ) -> None:
        due = now + hidden_s / 3
        lease = _Lease(due, next(self._numbers), hidden_s, received, message_ids)
        heapq.heappush(self._leases, lease)

    def _renew(self) -> None:
        """Hide for longer what is still held, in the order in which it would show."""
        while not self._ended.wait(self._until_due()):
            with self._changing:
                if not self._leases or self._leases[0].due > time.monotonic():
                    continue
                lease = heapq.heappop(self._leases)
            self._renew_lease(lease)

    def _renew_lease(self, lease: _Lease) -> None:
        now = time.monotonic()
        with self._changing:
            held = tuple(each for each in lease.message_ids if each in self._handles)
            handles = [self._handles[each] for each in held]
        left_s = int(MAX_HIDDEN_S - (now - lease.received))
        hidden_s = min(2 * lease.hidden_s, left_s)
        if not handles or hidden_s <= 0:
            return
        try:
            self._hide(handles, hidden_s)
        except (ClientError, BotoCoreError):
            hidden_s = lease.hidden_s // 2  # botocore has retried; again in a while
        with self._changing:
            self._lease(held, hidden_s, lease.received, now)

    def _until_due(self) -> float:
        with self._changing:
            due = self._leases[0].due if self._leases else time.monotonic() + self._hidden_s / 3
        return max(0.0, due - time.monotonic())

    def _stop_renewing(self) -> None:
        self._ended.set()
        with self._changing:
            threads, self._renewing = self._renewing, []
        for thread in threads:
            thread.join()
        self._leases.clear()

    def _hide(self, handles: Sequence[str], hidden_s: int) -> None:
        """An entry that fails is a letter whose time is up, or that was deleted: no matter."""
        entries = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": hidden_s}
            for n, handle in enumerate(handles)
        ]
        self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _receive(self, wait_s: int) -> Sequence[Mapping[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=self._hidden_s,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        return messages


def look(
    sqs: Any,
    queue: Queue,
    url: str,
    *,
    limit: int | None = None,
    stop: threading.Event | None = None,
) -> list[Letter]:
    """Read the letters of a queue, `limit` at most, oldest first, and leave all as they were.

    They are hidden from others while it looks, and the receive count of each is one higher after.
    When `stop` is set, it returns what it has.
    """
    walk = Walk(sqs, queue, url)
    letters: list[Letter] = []
    ended = threading.Event()

    def read() -> None:
        while not (ended.is_set() or (stop is not None and stop.is_set())):
            if limit is not None and len(letters) >= limit:
                return
            if not (page := walk.page()):
                return
            letters.extend(page)

    try:
        letters += walk.page()
        long = len(letters) == BATCH and (limit is None or limit > READERS_FROM)
        with ThreadPoolExecutor(READERS, thread_name_prefix="look") as pool:
            try:
                for work in [pool.submit(read) for _ in range(READERS if long else 1)]:
                    work.result()
            except BaseException:
                ended.set()  # Ctrl-C, or one of them failed: the others end after their page
                raise
    finally:
        walk.release()
    letters.sort(key=lambda each: each.sent_at or 0)
    return letters if limit is None else letters[:limit]


def look_into(
    sqs: Any,
    urls: Mapping[str, str],
    queues: Sequence[Queue],
    *,
    limit: int | None = None,
    stop: threading.Event | None = None,
) -> dict[Queue, list[Letter]]:
    """`look` into several queues at once; whatever ends it, Ctrl-C too, all letters show again."""
    stop = stop or threading.Event()
    with ThreadPoolExecutor(max(1, len(queues)), thread_name_prefix="queue") as pool:
        work = {
            queue: pool.submit(look, sqs, queue, urls[queue], limit=limit, stop=stop)
            for queue in queues
        }
        try:
            return {queue: each.result() for queue, each in work.items()}
        except BaseException:
            stop.set()  # the others put back what they have
            raise
