"""Holds a rate of messages a second, over several threads, and measures it."""

import threading
import time
from collections.abc import Callable

CATCH_UP_S = 1.0
"""So much of lost time may be made up for, in one burst: the mean holds, the peak stays bounded."""


class Pacer:
    """Hands out the right to send `count` messages, at `rate` a second on average.

    Parameters
    ----------
    rate
        Messages a second; None is as fast as it goes.
    stop
        Whoever waits gives up when it is set.
    """

    def __init__(
        self,
        rate: float | None,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._next: float | None = None
        self._booking = threading.Lock()

    def take(self, count: int) -> bool:
        """Wait until `count` may be sent; False if it was told to stop meanwhile."""
        if self._rate is None:
            return not self._stop.is_set()
        with self._booking:
            now = self._clock()
            begin = now if self._next is None else max(self._next, now - CATCH_UP_S)
            self._next = begin + count / self._rate
        return not self._stop.wait(max(0.0, begin - now))


class Pace:
    """The rate that was held, from the end of each first batch to the end of the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._letters = 0
        self._seconds = 0.0
        self._last: float | None = None
        self._counting = threading.Lock()

    def pause(self) -> None:
        """The time until the next batch does not count."""
        with self._counting:
            self._last = None

    def count(self, letters: int) -> None:
        """So many have just been sent."""
        with self._counting:
            now = self._clock()
            if self._last is not None:
                self._letters += letters
                self._seconds += now - self._last
            self._last = now

    @property
    def per_second(self) -> float | None:
        """None as long as there was one batch only."""
        return self._letters / self._seconds if self._seconds else None
