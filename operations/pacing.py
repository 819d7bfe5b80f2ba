"""Spends read capacity no faster than it was told to."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


class ReadBudget:
    """A pace in read units a second, shared by threads.

    AWS: an eventually consistent read of 4 KB costs half a unit, so one unit is about ten events.
    """

    def __init__(
        self,
        units_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._units_per_s = units_per_s
        self._clock = clock
        self._pause = pause or threading.Event().wait
        self._lock = threading.Lock()
        self._free_at = clock()
        self.spent = 0.0

    def wait(self) -> None:
        """Return when what was spent so far is paid for; call before each read."""
        with self._lock:
            ahead = self._free_at - self._clock()
        if ahead > 0:
            self._pause(ahead)

    def spend(self, answer: Mapping[str, Any]) -> None:
        """Count what a read has cost (asked with ReturnConsumedCapacity=TOTAL)."""
        units = float(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0))
        with self._lock:
            self.spent += units
            self._free_at = max(self._free_at, self._clock()) + units / self._units_per_s
