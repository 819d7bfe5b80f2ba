"""Where a redrive takes letters from: a dead-letter queue, or a file of parked ones."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from operations.letters import BATCH, Letter, Queue
from operations.sending import Failures, delete
from operations.walk import Walk


class LetterSource(Protocol):
    """Threads may share one."""

    name: str

    def page(self) -> list[Letter]:
        """Up to ten letters that were not given out before; none is the end."""

    def remove(self, letters: Sequence[Letter]) -> Failures:
        """They are somewhere else now; return those that could not be removed, and why."""

    def elsewhere(self) -> int:
        """How many letters somebody else has in hand (AWS: approximate, may lag by a minute)."""

    def go_on(self) -> None:
        """Give out also what was put back since the end was reached."""

    def release(self) -> None:
        """Leave all others as they were; they may be given out again."""


class QueueSource:
    """Letters of a queue, hidden from others until they are removed or released."""

    def __init__(self, sqs: Any, queue: Queue, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self.name = queue.value
        self._walk = Walk(sqs, queue, url)

    def page(self) -> list[Letter]:
        return self._walk.page()

    def remove(self, letters: Sequence[Letter]) -> Failures:
        failures = delete(self._sqs, self._url, [self._walk.current(each) for each in letters])
        self._walk.settled(each for each in letters if each.message_id not in failures)
        return failures

    def elsewhere(self) -> int:
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return max(0, int(answer["Attributes"][name]) - self._walk.held)

    def go_on(self) -> None:
        self._walk.go_on()

    def release(self) -> None:
        self._walk.release()


class FileSource:
    """Letters that were read from a file, which stays as it is."""

    name = "the file"

    def __init__(self, letters: Iterable[Letter]) -> None:
        self._letters = list(letters)
        self._taking = threading.Lock()

    def page(self) -> list[Letter]:
        with self._taking:
            page, self._letters = self._letters[:BATCH], self._letters[BATCH:]
        return page

    def remove(self, letters: Sequence[Letter]) -> Failures:  # noqa: ARG002
        return {}

    def elsewhere(self) -> int:
        return 0

    def go_on(self) -> None:
        """It does not grow."""

    def release(self) -> None:
        """Nobody else reads it."""
