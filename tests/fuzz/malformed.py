# ruff: noqa: T201  (a command prints)
"""Many malformed messages through the real projector: where did each of them end?

    python -m tests.fuzz.malformed --count 100000

The projector is the deployed code over a table and a queue in memory. Batches of ten, good events
among them; now and then the quarantine queue refuses a request or one entry of it, so that some
messages come again. Exit status 0 only if each message is parked once under a reason or is on
record, and none came more than twice.
"""

import argparse
import io
import itertools
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from pipeline import items
from pipeline.contract import PresenceEvent, parse_envelope
from pipeline.deadline import Deadline
from pipeline.errors import Poison, PoisonReason
from pipeline.metrics import NAMESPACE
from pipeline.projector import Projector
from pipeline.quarantine import Quarantine
from pipeline.report import ProjectorReport
from pipeline.store import Store
from tests.fuzz.mutations import good_envelope, malformed
from tests.support.aws import FaultyClient, refusal
from tests.support.lambda_events import RECEIVED_AT, sqs_event
from tests.support.memory_aws import MemoryQueue, MemoryTable

BATCH = 10
GOOD_EVERY = 5
"""Every so many messages there is a good one, whose neighbours must not cost it anything."""
FAULT_EVERY = 25
"""In every so many batches the quarantine queue refuses something."""
RECEIVES = 2


@dataclass
class Fates:
    """How the messages ended. `wrong` holds a line for each that did not end as it must."""

    messages: int = 0
    good: int = 0
    parked: Counter[PoisonReason] = field(default_factory=Counter)
    applied: int = 0
    """Malformed, but still within the contract: on record, as their content says."""
    again: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    body: str
    good: bool


class Bench:
    """The projector between a table and a quarantine queue in memory."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.queue = MemoryQueue()
        self.sqs = FaultyClient(self.queue)
        self.log = io.StringIO()
        ticks = itertools.count(RECEIVED_AT)
        self.projector = Projector(
            Store(self.table, "t", history_days=90, now_ms=lambda: next(ticks)),  # type: ignore[arg-type]
            Quarantine(self.sqs, "https://sqs/q"),  # type: ignore[arg-type]
            ProjectorReport(
                Logger(service=f"malformed-{uuid.uuid4()}", stream=self.log, level="ERROR"),
                Metrics(service="malformed", namespace=NAMESPACE),
            ),
            lambda: RECEIVED_AT,
        )

    def project(self, messages: Sequence[Message]) -> set[str]:
        """Handle one batch; return the ids that are to come again."""
        event = sqs_event([message.body for message in messages])
        for record, message in zip(event["Records"], messages, strict=True):
            record["messageId"] = message.id
        with redirect_stdout(io.StringIO()):  # the metrics
            answer = self.projector.handle(event, Deadline(60))
        return {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}

    def refuse_something(self, random: Random) -> None:
        """The next request to the quarantine queue fails, as a whole or for one of its entries."""
        pending = [random.random() < 0.5]

        def fault(call: Mapping[str, Any]) -> dict[str, Any] | None:
            if not pending:
                return None
            if pending.pop():
                raise refusal("ThrottlingException", "SendMessageBatch")
            first, *others = call["Entries"]
            if others:
                self.queue.send_message_batch(QueueUrl=call["QueueUrl"], Entries=others)
            failed = {"Id": first["Id"], "Code": "InternalError", "SenderFault": False}
            return {"Successful": [], "Failed": [failed]}

        self.sqs.faults["send_message_batch"] = fault


def run(count: int, seed: int = 0) -> Fates:
    """Send so many malformed messages through the projector and look where they are."""
    random, bench, fates = Random(seed), Bench(), Fates()
    begun = time.monotonic()
    receives: Counter[str] = Counter()
    messages: list[Message] = []
    waiting: list[Message] = []
    source = _messages(random, count)
    for number in itertools.count(1):
        batch = waiting + list(itertools.islice(source, BATCH - len(waiting)))
        if not batch:
            break
        messages += [each for each in batch if not receives[each.id]]
        receives.update(each.id for each in batch)
        if number % FAULT_EVERY == 0:
            bench.refuse_something(random)
        failed = bench.project(batch)
        bench.sqs.faults.clear()
        if failed and number % FAULT_EVERY:
            fates.wrong.append(f"retried without a fault: {_show(batch, failed)}")
        fates.again += len(failed)
        waiting = [each for each in batch if each.id in failed and receives[each.id] < RECEIVES]
        fates.wrong += [
            f"retried twice: {each.body[:200]!r}"
            for each in batch
            if each.id in failed and receives[each.id] >= RECEIVES
        ]
    fates.seconds = time.monotonic() - begun
    _look(bench, messages, fates)
    return fates


def _messages(random: Random, count: int) -> Iterator[Message]:
    for number in range(count):
        if number % GOOD_EVERY == 0:
            yield Message(f"g{number}", json.dumps(good_envelope(random)), good=True)
        yield Message(f"m{number}", malformed(random), good=False)


def _show(batch: Sequence[Message], failed: set[str]) -> str:
    return "; ".join(f"{each.body[:200]!r}" for each in batch if each.id in failed)


def _look(bench: Bench, messages: Sequence[Message], fates: Fates) -> None:
    """Count each message where it is; one that is nowhere, or twice in quarantine, is wrong."""
    parked = Counter(
        entry["MessageAttributes"]["message_id"]["StringValue"] for entry in bench.queue.messages
    )
    for entry in bench.queue.messages:
        attributes = entry["MessageAttributes"]
        fates.parked[PoisonReason(attributes["reason"]["StringValue"])] += 1
    bodies = {each.id: each.body for each in messages}
    for entry in bench.queue.messages:
        id_ = entry["MessageAttributes"]["message_id"]["StringValue"]
        if entry["MessageBody"] != bodies[id_]:
            fates.wrong.append(f"{id_} was changed on its way into quarantine")
    for message in messages:
        if message.good:
            fates.good += 1
        else:
            fates.messages += 1
        on_record = not parked[message.id] and _on_record(bench.table, message.body)
        if on_record and not message.good:
            fates.applied += 1
        if parked[message.id] + on_record != 1 or (message.good and not on_record):
            place = f"parked {parked[message.id]} times, on record: {on_record}"
            fates.wrong.append(f"{place}: {message.body[:200]!r}")
    fates.wrong += [line[:300] for line in bench.log.getvalue().splitlines()]


def _on_record(table: MemoryTable, body: str) -> bool:
    """Whether the table knows what the message says, by the key that follows from it."""
    try:
        event = parse_envelope(body)
    except Poison:
        return False
    if isinstance(event, PresenceEvent):
        key = items.locker_key(event.thing)
    else:
        key = items.history_key(event.thing, event.version)
    return (key["pk"]["S"], key["sk"]["S"]) in table.held


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.malformed", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="malformed messages")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other messages")
    asked = parser.parse_args(arguments)
    fates = run(asked.count, asked.seed)
    print(table(fates))
    for line in fates.wrong[:20]:
        print(line, file=sys.stderr)
    return 1 if fates.wrong else 0


def table(fates: Fates) -> str:
    """The result as a person reads it."""
    rows = [(reason.value, fates.parked[reason]) for reason in PoisonReason if fates.parked[reason]]
    rows.sort(key=lambda row: -row[1])
    lines = [
        f"{fates.messages} malformed messages, {fates.good} good ones among them",
        "",
        *(f"  {name:<22}{number:>8}" for name, number in rows),
        f"  {'still valid, applied':<22}{fates.applied:>8}",
        f"  {'sum':<22}{sum(fates.parked.values()) + fates.applied:>8}",
        "",
        f"delivered again after the quarantine queue refused: {fates.again}, none of them twice"
        if not fates.wrong
        else f"WRONG: {len(fates.wrong)}",
        f"{fates.seconds:.1f} s, {(fates.messages + fates.good) / fates.seconds:.0f} messages/s",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
