"""How much of a function's time is left for work.

A Lambda function that runs into its timeout loses its partial answer, and the whole batch is
delivered again. So both functions stop a margin before it and report what is not finished as
failed. A call over the network may take longer than its own timeouts add up to (names are
resolved, addresses tried in turn), so whoever waits for one does so here.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Protocol, TypeVar

from pipeline.errors import Retryable

T = TypeVar("T")

MARGIN_S = 2.0
"""For what comes after the work: parking poison, metrics, the answer."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that we need."""

    def get_remaining_time_in_millis(self) -> int: ...


class Deadline:
    """A moment on the monotonic clock.

    Parameters
    ----------
    seconds
        From now; below zero is a deadline that has passed.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @classmethod
    def of(cls, context: LambdaContext, margin_s: float = MARGIN_S) -> "Deadline":
        return cls(context.get_remaining_time_in_millis() / 1000 - margin_s)

    @property
    def remaining_s(self) -> float:
        """Never below zero."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        return self.remaining_s == 0.0

    def extended(self, seconds: float) -> "Deadline":
        """A moment so much later."""
        return Deadline(self._end + seconds - self._clock(), self._clock)


def gather(work: Iterable[Future[T]], deadline: Deadline) -> dict[Future[T], T | BaseException]:
    """Wait for all until the deadline: the value of each, or why there is none.

    What has begun and is late may still succeed, unseen, while the next batch is at work. So only a
    call that anyone may repeat at any time may be waited for in this way.
    """
    futures = list(work)
    wait(futures, timeout=deadline.remaining_s)
    values: dict[Future[T], T | BaseException] = {}
    for future in futures:
        if not future.done():
            future.cancel()
            values[future] = out_of_time()
        elif (error := future.exception()) is not None:
            values[future] = error
        else:
            values[future] = future.result()
    return values


def out_of_time() -> Retryable:
    return Retryable("the function's time ran out")
