"""What became of each fault: which later call wrote, sent or published what it had stopped.

A fault is remembered with the subjects of the call that it hit (history keys, tiles, messages,
buildings), and is mended once a call has succeeded for each of them. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local.faults.plan import Fault

SDK = "the SDK's retry"
FUNCTION = "the function's own retry"
DELIVERED_AGAIN = "delivered again"
REDRIVEN = "redriven"


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a function.

    `sdk_call` is the same for all attempts that an SDK makes, `invocation` for all requests of one
    run of the function.
    """

    operation: str
    subjects: frozenset[str]
    sdk_call: str | None = None
    invocation: str | None = None


@dataclass(slots=True)
class _Open:
    fault: Fault
    call: Call
    left: set[str]


class Outcomes:
    """Counts faults, and how each was mended. Not thread-safe: one loop owns it."""

    def __init__(self) -> None:
        self.injected: Counter[Fault] = Counter()
        self._mended: defaultdict[Fault, Counter[str]] = defaultdict(Counter)
        self._open: dict[int, _Open] = {}
        self._by_subject: defaultdict[str, set[int]] = defaultdict(set)

    def inject(self, fault: Fault, call: Call) -> None:
        """Remember a fault, and all that its call was about."""
        self.injected[fault] += 1
        number = self.injected.total()
        self._open[number] = _Open(fault, call, set(call.subjects))
        for subject in call.subjects:
            self._by_subject[subject].add(number)

    def succeed(self, call: Call, done: Iterable[str], phase: str) -> None:
        """A call has done its work for some subjects, and so mends what had stopped them."""
        for subject in done:
            for number in self._by_subject.pop(subject, ()):
                fault = self._open[number]
                fault.left.discard(subject)
                if not fault.left:
                    del self._open[number]
                    self._mended[fault.fault][_how(fault.call, call, phase)] += 1

    @property
    def mended(self) -> Mapping[Fault, Mapping[str, int]]:
        return self._mended

    @property
    def open(self) -> Counter[Fault]:
        return Counter(each.fault for each in self._open.values())


def _how(failed: Call, mended: Call, phase: str) -> str:
    if failed.sdk_call is not None and failed.sdk_call == mended.sdk_call:
        return SDK
    if failed.invocation is not None and failed.invocation == mended.invocation:
        return FUNCTION
    return phase
