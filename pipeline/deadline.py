"""How much of a function's time is left for work.

A Lambda function that runs into its timeout loses its partial answer, and the whole batch is
delivered again. So both functions stop a margin before it and report what is not finished as
failed.
"""

import time
from collections.abc import Callable
from typing import Protocol

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
