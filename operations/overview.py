"""How the dead-letter queues stand: how many, how old, why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operations.letters import Letter, Queue
from operations.walk import look_into

DEPTHS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue.

    `waiting` and `in_flight` (hidden while somebody works on them) are AWS's approximate counts and
    may lag by a minute. `oldest_at` (epoch ms) and `reasons` are of the letters looked at.
    """

    queue: Queue
    waiting: int
    in_flight: int
    looked_at: int
    oldest_at: int | None
    reasons: Mapping[str, int]

    @property
    def depth(self) -> int:
        return max(self.waiting + self.in_flight, self.looked_at)

    @property
    def whole(self) -> bool:
        """Whether all that was there was looked at."""
        return self.looked_at >= self.depth

    def as_json(self, now_ms: int) -> dict[str, Any]:
        age_s = None if self.oldest_at is None else (now_ms - self.oldest_at) / 1000
        return {
            "queue": self.queue.value,
            "depth": self.depth,
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "looked_at": self.looked_at,
            "oldest_at": self.oldest_at,
            "oldest_s": age_s,
            "reasons": dict(self.reasons),
        }


def overview(sqs: Any, urls: Mapping[str, str], *, limit: int) -> list[QueueState]:
    """All queues that the deployment has, `limit` letters of each looked at."""
    queues = [queue for queue in Queue if queue in urls]
    counts = {queue: _count(sqs, urls[queue]) for queue in queues}
    found = look_into(sqs, urls, queues, limit=limit)
    return [_state(queue, *counts[queue], found[queue]) for queue in queues]


def _count(sqs: Any, url: str) -> tuple[int, int]:
    """Waiting, and in flight."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(DEPTHS))["Attributes"]
    waiting, in_flight = (int(found[name]) for name in DEPTHS)
    return waiting, in_flight


def _state(queue: Queue, waiting: int, in_flight: int, letters: Sequence[Letter]) -> QueueState:
    return QueueState(
        queue=queue,
        waiting=waiting,
        in_flight=in_flight,
        looked_at=len(letters),
        oldest_at=min((each.sent_at for each in letters if each.sent_at is not None), default=None),
        reasons=dict(Counter(each.reason for each in letters).most_common()),
    )
