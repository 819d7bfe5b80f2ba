"""Services of a laptop stack down on purpose, until dead letters lie in the queue behind each.

For people who practise being on call: what comes of it is no different from what an outage on AWS
leaves behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.faults.plan import Part
from local.faults.switch import FaultSwitch

BEHIND: Mapping[Part, str] = {
    Part.EVENTS: "ingest_dlq",
    Part.DYNAMODB: "projector_dlq",
    Part.APPSYNC: "fanout_dlq",
}
"""Where what fails for good ends."""
ENOUGH: Mapping[Part, int] = {Part.EVENTS: 10, Part.DYNAMODB: 10, Part.APPSYNC: 1}
"""Letters that end an outage; one of the fan-out stands for a whole batch."""
STAGGER_S = 5.0
"""Between the beginnings, so that what is further down has something to fail with. With several
down at once nothing comes by the first of them any more."""
SOURCES = ("ingest", "projector")
VISIBILITY_S = 2
"""Templates: 60 and 120 s, with five receives five and ten minutes until the first dead letter."""
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """One part is back after so many seconds; `letters` are those that came meanwhile."""

    part: Part
    letters: int
    took_s: float

    @property
    def enough(self) -> bool:
        return self.letters >= ENOUGH[self.part]


class Outage:
    """Takes parts down and brings each back once there are letters enough, or time is up.

    Parameters
    ----------
    depths
        How many messages each of the queues holds, by the names of `latchline info --json`.
    sqs, urls
        A boto3 client of the stack, and its queues.
    """

    def __init__(
        self,
        switch: FaultSwitch,
        sqs: Any,
        urls: Mapping[str, str],
        *,
        depths: Callable[[Mapping[str, str]], Mapping[str, int]],
        at_most_s: float,
    ) -> None:
        self._switch = switch
        self._sqs = sqs
        self._urls = urls
        self._depths = depths
        self._at_most_s = at_most_s

    def run(self, parts: Sequence[Part]) -> Iterator[Part | Ended]:
        """Yield each part as it goes down, and what came of it when it is back.

        However it ends, nothing stays down and the queues are as they were.

        Raises
        ------
        LocalStackError
            The stack does not follow.
        """
        started = time.monotonic()
        before = self._count(parts)
        down: dict[Part, float] = {}
        waiting = list(parts)
        with self._impatient_queues():
            try:
                while waiting or down:
                    now = time.monotonic()
                    if waiting and now >= started + STAGGER_S * (len(parts) - len(waiting)):
                        part = waiting.pop(0)
                        down[part] = now
                        self._switch.set(down=frozenset(down))
                        yield part
                    for ended in self._ended(down, before):
                        del down[ended.part]
                        self._switch.set(down=frozenset(down))
                        yield ended
                    time.sleep(POLL_S)
            finally:
                self._switch.set(down=frozenset())

    def _ended(self, down: Mapping[Part, float], before: Mapping[Part, int]) -> list[Ended]:
        counted = self._count(list(down))
        now = time.monotonic()
        found = [
            Ended(part, counted[part] - before[part], now - since) for part, since in down.items()
        ]
        return [each for each in found if each.enough or each.took_s > self._at_most_s]

    def _count(self, parts: Sequence[Part]) -> dict[Part, int]:
        depths = self._depths({BEHIND[part]: self._urls[BEHIND[part]] for part in parts})
        return {part: depths[BEHIND[part]] for part in parts}

    @contextmanager
    def _impatient_queues(self) -> Iterator[None]:
        """What failed comes back after seconds instead of minutes."""
        name = "VisibilityTimeout"
        urls = [self._urls[source] for source in SOURCES]
        patient = [
            self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
            for url in urls
        ]
        try:
            for url in urls:
                self._sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(VISIBILITY_S)})
            yield
        finally:
            for url, attributes in zip(urls, patient, strict=True):
                self._sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
