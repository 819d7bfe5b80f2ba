"""Where a redrive takes letters from: a dead-letter queue, or a file of parked ones."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from operations.letters import BATCH, Letter, Queue, Walk
from operations.sending import Failures, delete


class LetterSource(Protocol):
    """Threads may share one."""

    def page(self) -> list[Letter]:
        """Up to ten letters that were not given out before; none is the end."""

    def remove(self, letters: Sequence[Letter]) -> Failures:
        """They are somewhere else now; return those that could not be removed, and why."""

    def release(self) -> None:
        """Leave all others as they were; they may be given out again."""


class QueueSource:
    """Letters of a queue, hidden from others for `hidden_s` at most."""

    def __init__(self, sqs: Any, queue: Queue, url: str, *, hidden_s: int) -> None:
        self._sqs = sqs
        self._url = url
        self._walk = Walk(sqs, queue, url, hidden_s=hidden_s)

    def page(self) -> list[Letter]:
        return self._walk.page()

    def remove(self, letters: Sequence[Letter]) -> Failures:
        failures = delete(self._sqs, self._url, letters)
        self._walk.settled(each for each in letters if each.message_id not in failures)
        return failures

    def release(self) -> None:
        self._walk.release()


class FileSource:
    """Letters that were read from a file, which stays as it is."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        self._letters = list(letters)
        self._taking = threading.Lock()

    def page(self) -> list[Letter]:
        with self._taking:
            page, self._letters = self._letters[:BATCH], self._letters[BATCH:]
        return page

    def remove(self, letters: Sequence[Letter]) -> Failures:  # noqa: ARG002
        return {}

    def release(self) -> None:
        """Nobody else reads it."""
