"""The projector: SQS batch in; history, tiles and presence out.

AWS: with ReportBatchItemFailures exactly the messages named in the answer come again. An answer
that names none, even an empty one, deletes the whole batch; so every path here ends in
`failed_records`.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics

from pipeline.contract import DoorEvent, PresenceEvent, Thing, parse_envelope
from pipeline.deadline import Deadline, LambdaContext, gather, out_of_time
from pipeline.errors import Poison
from pipeline.lambda_event import Record, read_records
from pipeline.merge import newest
from pipeline.metrics import NAMESPACE
from pipeline.outcomes import BatchResponse, Outcome, Result, failed_records
from pipeline.quarantine import Parked, Quarantine
from pipeline.report import ProjectorReport
from pipeline.settings import ProjectorSettings
from pipeline.store import Store

T = TypeVar("T")

CONCURRENT_WRITES = 10
"""A batch of ten over ten doors: all tiles at once."""


SHOWN = frozenset({Outcome.APPLIED, Outcome.DUPLICATE})
"""After either the tile is at the version of the event written."""


class Projector:
    """Projects batches. Built once a container; the thread pool and the connections are kept."""

    def __init__(
        self,
        store: Store,
        quarantine: Quarantine,
        report: ProjectorReport,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._report = report
        self._now_ms = now_ms
        self._pool = ThreadPoolExecutor(CONCURRENT_WRITES, thread_name_prefix="tile")

    def handle(self, event: Mapping[str, Any], deadline: Deadline) -> BatchResponse:
        """Project every record; return those that must come again.

        Raises
        ------
        EventShapeError
            The event is not an SQS batch: a wrong mapping, nothing that a retry of one record
            cures.
        """
        records = read_records(event)
        events, results = self._parse(records)
        doors = {key: each for key, each in events.items() if isinstance(each, DoorEvent)}
        presences = {key: each for key, each in events.items() if isinstance(each, PresenceEvent)}
        queued = {record.message_id: record.queued_at for record in records}
        work = self._start_presence(presences, deadline)
        results |= self._write_history(doors, deadline)
        remaining = {key: each for key, each in doors.items() if key not in results}
        work |= self._start_tiles(remaining, queued, deadline)
        results |= self._collect(work, deadline)
        results |= self._park(records, results, deadline)
        self._report.batch(records, events, results, self._now_ms())
        return failed_records(
            [(record.message_id, results[record.message_id]) for record in records]
        )

    def _parse(
        self, records: Sequence[Record]
    ) -> tuple[dict[str, DoorEvent | PresenceEvent], dict[str, Result]]:
        events: dict[str, DoorEvent | PresenceEvent] = {}
        results: dict[str, Result] = {}
        for record in records:
            try:
                events[record.message_id] = parse_envelope(record.body)
            except Exception as error:  # noqa: BLE001  (one record must not fail its neighbours)
                results[record.message_id] = Result.of(error)
        return events, results

    def _write_history(
        self, doors: Mapping[str, DoorEvent], deadline: Deadline
    ) -> dict[str, Result]:
        """History comes first: a tile whose event is not on record must not be shown."""
        if not doors:
            return {}
        history = self._submit(deadline, self._store.write_history, list(doors.values()), deadline)
        failures = gather([history], deadline)[history]
        if isinstance(failures, BaseException):
            return {key: Result.of(failures) for key in doors}
        return {
            key: Result.of(failures[event.event_id])
            for key, event in doors.items()
            if event.event_id in failures
        }

    def _start_tiles(
        self,
        doors: Mapping[str, DoorEvent],
        queued: Mapping[str, int | None],
        deadline: Deadline,
    ) -> "dict[Future[Result], dict[str, DoorEvent | PresenceEvent]]":
        """One update a door, for the newest of its events."""
        groups: defaultdict[tuple[Thing, str], dict[str, DoorEvent | PresenceEvent]]
        groups = defaultdict(dict)
        for key, event in doors.items():
            groups[event.thing, event.door][key] = event
        work = {}
        for group in groups.values():
            tile = newest(each for each in group.values() if isinstance(each, DoorEvent))
            queued_at = next(queued[key] for key, each in group.items() if each is tile)
            work[self._submit(deadline, self._store.put_tile, tile, queued_at)] = group
        return work

    def _start_presence(
        self, presences: Mapping[str, PresenceEvent], deadline: Deadline
    ) -> "dict[Future[Result], dict[str, DoorEvent | PresenceEvent]]":
        groups: defaultdict[Thing, dict[str, DoorEvent | PresenceEvent]] = defaultdict(dict)
        for key, event in presences.items():
            groups[event.thing][key] = event
        return {
            self._submit(
                deadline, self._store.merge_presence, thing, list(group.values()), deadline
            ): group
            for thing, group in groups.items()
        }

    def _submit(self, deadline: Deadline, call: Callable[..., T], *args: object) -> "Future[T]":
        def unless_late() -> T:
            if deadline.passed:
                raise out_of_time()
            return call(*args)

        return self._pool.submit(unless_late)

    def _collect(
        self,
        work: "Mapping[Future[Result], Mapping[str, DoorEvent | PresenceEvent]]",
        deadline: Deadline,
    ) -> dict[str, Result]:
        """A record is done only when its door's tile is at its version or newer.

        So a group stands and falls with its one write: were the older events done when the newest
        one failed, and that one ended as a dead letter, their tile would stay behind them.
        """
        results: dict[str, Result] = {}
        for future, written in gather(work, deadline).items():
            group = work[future]
            if isinstance(written, BaseException):
                results |= {key: Result.of(written) for key in group}
            else:
                results |= _settle(group, written)
        return results

    def _park(
        self, records: Sequence[Record], results: Mapping[str, Result], deadline: Deadline
    ) -> dict[str, Result]:
        parked = [
            Parked(record.message_id, record.body, result.error)
            for record in records
            if isinstance((result := results[record.message_id]).error, Poison)
        ]
        failures = self._quarantine.park(parked, deadline)
        return {key: Result(Outcome.RETRYABLE, error) for key, error in failures.items()}


def _settle(group: Mapping[str, DoorEvent | PresenceEvent], written: Result) -> dict[str, Result]:
    """What became of the write is that of the newest event; the others of the door lost to it."""
    doors = {key: event for key, event in group.items() if isinstance(event, DoorEvent)}
    if not doors:
        return dict.fromkeys(group, written)
    tile = newest(doors.values())
    results = {}
    for key, event in doors.items():
        if event is tile:
            results[key] = written
        elif event.version == tile.version and written.outcome in SHOWN:
            results[key] = Result(Outcome.DUPLICATE)
        else:
            results[key] = Result(Outcome.STALE)
    return results


def build(settings: ProjectorSettings) -> Projector:
    """Wire the projector to AWS: the one place where its clients are made."""
    import boto3  # noqa: PLC0415  (a test that brings its own clients needs none of it)
    from botocore.config import Config  # noqa: PLC0415

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    config = Config(
        connect_timeout=1,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONCURRENT_WRITES + 2,
        tcp_keepalive=True,
    )
    session = boto3.Session()
    return Projector(
        Store(
            session.client("dynamodb", config=config),
            settings.table_name,
            history_days=settings.history_days,
            now_ms=now_ms,
        ),
        Quarantine(session.client("sqs", config=config), settings.quarantine_queue_url),
        ProjectorReport(Logger(), Metrics(namespace=NAMESPACE)),
        now_ms,
    )


@cache
def _projector() -> Projector:
    return build(ProjectorSettings.read(os.environ))


def handler(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Lambda's entry point."""
    return _projector().handle(event, Deadline.of(context))


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # AWS gives a function a whole CPU while it starts: connect and validate now, not at the first
    # event.
    _projector()
