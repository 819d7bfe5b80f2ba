"""Audits completeness in production: no ground truth, only what the system itself has on record.

For each controller its history is read once, newest first, page by page. What is missing is looked
for among the dead letters and judged by its age; `operations.audit_sequences` has the rules.

Read cost. AWS: an eventually consistent query is charged half a unit for 4 KB, so a million events
of 0.7 KB are 90,000 units, about 0.01 USD on demand. It is the pace that must not hurt the pipeline
beside it, so reads wait for a `ReadBudget`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from operations.audit_sequences import (
    SETTLE_MS,
    Fate,
    Gap,
    Kept,
    Letters,
    Missing,
    Sequences,
    Settling,
    Window,
    find_gaps,
    tell_fates,
)
from operations.formats import Queue
from operations.letters import Letter
from operations.pacing import ReadBudget
from operations.walk import look_into
from pipeline.contract import PresenceEvent, Thing
from pipeline.items import locker_pk
from simulators.queues import queue_depths

if TYPE_CHECKING:
    from simulators.target import Target

NO_LETTERS = Letters()
SOURCE_QUEUES = ("ingest", "projector")
CONCURRENT_READS = 4
AGE_PERIOD_S = 60
AGE_LOOK_BACK = timedelta(minutes=10)
"""AWS: SQS metrics are a minute's, and come a few minutes late."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a queue on the path. `oldest_s` is None where nobody can tell."""

    queue: str
    messages: int
    oldest_s: float | None


@dataclass(slots=True)
class Audit:
    """What was found. `silent` are controllers without any event in the time looked at.

    `whole`: all of history was looked at.
    """

    whole: bool = True
    controllers: int = 0
    events: int = 0
    boots: int = 0
    heads_expired: int = 0
    silent: list[Thing] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    read_units: float = 0.0

    def events_with(self, *fates: Fate) -> int:
        return sum(each.gap.events for each in self.missing if each.fate in fates)

    @property
    def complete(self) -> bool:
        return not self.missing and not self.undecided

    @property
    def undecided(self) -> bool:
        """Whether all that is missing may still come, or nothing at all is on record.

        An empty history has no gaps, and proves nothing.
        """
        if not self.missing:
            return self.whole and not self.events
        return all(each.fate is Fate.ON_THE_WAY for each in self.missing)

    def as_json(self) -> dict[str, Any]:
        return {
            "controllers": self.controllers,
            "boots": self.boots,
            "events": self.events,
            "heads_expired": self.heads_expired,
            "silent": [str(thing) for thing in self.silent],
            "missing_events": {fate.value: self.events_with(fate) for fate in Fate},
            "missing": [_as_json(each) for each in self.missing],
            "read_units": round(self.read_units, 1),
        }


def audit(
    target: "Target",
    things: Sequence[Thing],
    letters: Iterable[Letter],
    *,
    now_ms: int,
    since_ms: int = 0,
    read_units_per_s: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Judge every controller; `letters` is what lies in the dead-letter queues.

    Read the letters before calling: what is redriven meanwhile then shows up in history.

    Raises
    ------
    ClientError, BotoCoreError
        The table or a queue could not be read.
    """
    parked = by_controller(letters)
    window = Window.ending(now_ms, since=since_ms)
    settling = settling_of(backlogs(target), now_ms)
    budget = ReadBudget(read_units_per_s)
    client, found = target.client("dynamodb"), Audit(whole=not since_ms)

    def examine(thing: Thing) -> Sequences:
        events = read_kept(client, target.table, thing, budget)
        return find_gaps(events, window, parked.get(thing, NO_LETTERS).numbered)

    with ThreadPoolExecutor(CONCURRENT_READS, thread_name_prefix="audit") as pool:
        try:
            work = {thing: pool.submit(examine, thing) for thing in things}
            for done, (thing, future) in enumerate(work.items(), start=1):
                sequences = future.result()
                found.controllers += 1
                found.events += sequences.events
                found.boots += sequences.boots
                found.heads_expired += sequences.heads_expired
                if not sequences.events:
                    found.silent.append(thing)
                found.missing += tell_fates(
                    thing, sequences.gaps, parked.get(thing, NO_LETTERS), settling
                )
                if on_progress:
                    on_progress(done, len(things))
        finally:
            pool.shutdown(cancel_futures=True)
    found.read_units = budget.spent
    return found


def read_letters(target: "Target") -> list[Letter]:
    """What lies in the dead-letter queues that hold events; all are left as they were.

    Not the fan-out's: what it could not publish is on record.
    """
    queues = [each for each in Queue if each is not Queue.FANOUT_DLQ and each in target.queues]
    found = look_into(target.client("sqs"), target.queues, queues)
    return [letter for letters in found.values() for letter in letters]


def read_kept(client: Any, table: str, thing: Thing, budget: ReadBudget) -> Iterator[Kept]:
    """A controller's history, newest version first, one page in memory at a time.

    Eventually consistent: an event of the last second may be left out, and counts as on its way.
    """
    request: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :event)",
        "ExpressionAttributeValues": {":pk": {"S": locker_pk(thing)}, ":event": {"S": "EVENT#"}},
        "ExpressionAttributeNames": {"#b": "boot", "#s": "seq", "#r": "received_at"},
        "ProjectionExpression": "#b, #s, #r",
        "ScanIndexForward": False,
        "ReturnConsumedCapacity": "TOTAL",
    }
    while True:
        budget.wait()
        page = client.query(**request)
        budget.spend(page)
        for item in page["Items"]:
            yield Kept(*(int(item[name]["N"]) for name in ("boot", "seq", "received_at")))
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def by_controller(letters: Iterable[Letter]) -> Mapping[Thing, Letters]:
    """Door events among the letters; the fan-out's are on record, presence has no numbers."""
    numbered: defaultdict[Thing, dict[tuple[int, int], Queue]] = defaultdict(dict)
    unnumbered: defaultdict[Thing, Counter[Queue]] = defaultdict(Counter)
    for letter in letters:
        if letter.thing is None or isinstance(letter.event, PresenceEvent):
            continue
        if letter.boot is not None and letter.seq is not None:
            numbered[letter.thing][letter.boot, letter.seq] = letter.queue
        elif letter.kind not in {"connected", "disconnected"}:
            unnumbered[letter.thing][letter.queue] += 1
    return {
        thing: Letters(numbered.get(thing, {}), unnumbered.get(thing, {}))
        for thing in numbered.keys() | unnumbered.keys()
    }


def settling_of(waiting: Iterable[Backlog], now_ms: int) -> Settling:
    """From when on a gap may still close.

    That is SETTLE_MS ago; earlier by the age of the oldest message that waits in a queue on the
    path; and any time if messages wait of whose age nobody knows.
    """
    since = now_ms - SETTLE_MS
    for backlog in waiting:
        if not backlog.messages:
            continue
        if backlog.oldest_s is None:
            return Settling(0)
        since = min(since, now_ms - SETTLE_MS - int(backlog.oldest_s * 1000))
    return Settling(since)


def backlogs(target: "Target") -> list[Backlog]:
    """How much waits on the path, and since when.

    AWS: the age of the oldest message is a metric of CloudWatch, not an attribute of the queue.
    """
    urls = {name: target.queues[name] for name in SOURCE_QUEUES if name in target.queues}
    depths = queue_depths(target.client("sqs"), urls)
    return [
        Backlog(name, depth, _oldest_s(target, urls[name]) if depth else None)
        for name, depth in depths.items()
    ]


def _oldest_s(target: "Target", url: str) -> float | None:
    now = datetime.now(UTC)
    try:
        answer = target.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": url.rsplit("/", 1)[-1]}],
            StartTime=now - AGE_LOOK_BACK,
            EndTime=now,
            Period=AGE_PERIOD_S,
            Statistics=["Maximum"],
        )
    except (ClientError, BotoCoreError):
        return None  # a right that is missing must not end an audit; it judges more cautiously
    return max((float(point["Maximum"]) for point in answer.get("Datapoints", [])), default=None)


def _as_json(missing: Missing) -> dict[str, Any]:
    gap: Gap = missing.gap
    return {
        "thing": str(missing.thing),
        "boot": gap.boot,
        "first": gap.first,
        "last": gap.last,
        "events": gap.events,
        "received_before": gap.before,
        "fate": missing.fate.value,
        "queue": missing.queue,
    }
