"""What Lambda does with a batch of DynamoDB stream records, as AWS documents it. No network.

    invoke ─┬─ success ────────────────────────────────────────▶ done
            ├─ not invoked (throttle, 5xx) ── wait ──▶ again, costs no retry
            ├─ failed from record k ─▶ records before k are done, the rest again
            └─ failed as a whole ─┬─ bisect ─▶ first half, then second half, costs no retry
                                  └─ one retry less; none left ─▶ on-failure destination, done
    before each attempt: records older than the limit ─▶ on-failure destination, done

Sources: Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda" and
"Retain discarded records for a DynamoDB event source". Of a partial failure it says that with
bisect on the batch is cut at the returned sequence number, and that splitting costs no retry; so
with bisect on, progress costs none, and without it every attempt does. How long Lambda waits
between attempts is not documented; here the wait doubles.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from local.adapters.event_filter import Pattern, read_patterns

Record = Mapping[str, Any]
"""A stream record as in Lambda's event."""

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
TOO_OLD = "RecordAgeExceeded"
FOREVER = -1
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MappingConfig:
    """An event source mapping's settings. Ages in seconds; -1 stands for no limit."""

    function_arn: str
    stream_arn: str
    batch_size: int = 100
    parallelization: int = 1
    bisect: bool = False
    max_retries: int = FOREVER
    max_age_s: int = FOREVER
    destination: str | None = None
    reports_failures: bool = False
    starting_position: str = "LATEST"
    patterns: tuple[Pattern, ...] = ()

    @classmethod
    def from_api(cls, mapping: Mapping[str, Any]) -> MappingConfig:
        """Read what GetEventSourceMapping answers; AWS's defaults for what it leaves out."""
        on_failure = (mapping.get("DestinationConfig") or {}).get("OnFailure") or {}
        return cls(
            function_arn=mapping["FunctionArn"],
            stream_arn=mapping["EventSourceArn"],
            batch_size=int(mapping.get("BatchSize", cls.batch_size)),
            parallelization=int(mapping.get("ParallelizationFactor", cls.parallelization)),
            bisect=mapping.get("BisectBatchOnFunctionError") in (True, "true"),
            max_retries=int(mapping.get("MaximumRetryAttempts", cls.max_retries)),
            max_age_s=int(mapping.get("MaximumRecordAgeInSeconds", cls.max_age_s)),
            destination=on_failure.get("Destination"),
            reports_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", ()),
            starting_position=mapping.get("StartingPosition", cls.starting_position),
            patterns=read_patterns(mapping.get("FilterCriteria")),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What an invocation returned; `error` is `Unhandled` and the like, None if it returned."""

    payload: bytes
    error: str | None = None
    status: int = 200
    request_id: str = ""
    version: str = "$LATEST"


class NotInvokedError(Exception):
    """The function was not reached: throttled, or the service failed. Costs no retry."""


class Invoker(Protocol):
    """Calls the function with records; raises NotInvokedError if it was not reached."""

    async def __call__(self, records: Sequence[Record], /) -> Answer: ...


class Destination(Protocol):
    """Takes an on-failure record; returns only when it has it."""

    async def __call__(self, body: str, /) -> None: ...


def sequence_number(record: Record) -> str:
    """The record's place in its shard: a decimal number of varying length."""
    return str(record["dynamodb"]["SequenceNumber"])


@dataclass(frozen=True, slots=True)
class Failure:
    """The batch has to be delivered again from this index on. `whole`: no record was named."""

    index: int
    whole: bool


def read_failure(
    answer: Answer, records: Sequence[Record], *, reports_failures: bool
) -> Failure | None:
    """What the answer says about the batch; None for success.

    AWS, complete success: an empty or null `batchItemFailures`, an empty or null response.
    Complete failure: an error, an `itemIdentifier` that is empty, null or under a wrong key, a
    response that is not JSON, and here also an identifier that is not in the batch. The lowest
    sequence number is the checkpoint; everything from it on is retried.
    """
    if answer.error is not None:
        return Failure(0, whole=True)
    if not reports_failures or not answer.payload.strip():
        return None
    try:
        response = json.loads(answer.payload)
        failures = (response or {}).get("batchItemFailures") or []
        failed = {each["itemIdentifier"] for each in failures}
        places = {sequence_number(record): index for index, record in enumerate(records)}
        indices = [places[each] for each in failed]
    except (ValueError, AttributeError, TypeError, KeyError):
        return Failure(0, whole=True)
    return Failure(min(indices), whole=False) if indices else None


class BatchProcessor:
    """Takes batches of one shard's lane through the contract, one after the other.

    Parameters
    ----------
    config, shard
        The mapping, and the shard's id for the on-failure record.
    invoke, discard
        The function, and the on-failure destination.
    clock, wait
        Epoch seconds, and how to wait; tests bring their own.
    """

    def __init__(
        self,
        config: MappingConfig,
        shard: str,
        *,
        invoke: Invoker,
        discard: Destination,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._shard = shard
        self._invoke = invoke
        self._discard = discard
        self._clock = clock
        self._wait = wait

    async def process(self, records: Sequence[Record]) -> None:
        """Return when every record succeeded or was discarded."""
        await self._process(list(records), _Attempts())

    async def _process(self, batch: list[Record], attempts: _Attempts) -> None:
        while batch := await self._without_expired(batch, attempts):
            try:
                answer = await self._invoke(batch)
            except NotInvokedError as error:
                log.warning("%s was not invoked: %s", self._config.function_arn, error)
                await self._wait(attempts.next_wait())
                continue
            attempts.invoked(answer)
            failure = read_failure(answer, batch, reports_failures=self._config.reports_failures)
            if failure is None:
                return
            log.info("%s: record %d of %d failed", self._shard, failure.index + 1, len(batch))
            if failure.index:
                batch = batch[failure.index :]
                attempts.progressed()
            if self._config.bisect and failure.whole and len(batch) > 1:
                half = len(batch) // 2
                await self._wait(attempts.next_wait())
                await self._process(batch[:half], attempts.copy())
                batch = batch[half:]
                continue
            if not (failure.index and self._config.bisect):
                if 0 <= self._config.max_retries <= attempts.retries:
                    await self._give_up(batch, RETRIES_EXHAUSTED, attempts)
                    return
                attempts.retries += 1
            await self._wait(attempts.next_wait())

    async def _without_expired(self, batch: list[Record], attempts: _Attempts) -> list[Record]:
        if self._config.max_age_s < 0:
            return batch
        oldest = self._clock() - self._config.max_age_s
        expired = [record for record in batch if _created(record) < oldest]
        if expired:
            await self._give_up(expired, TOO_OLD, attempts)
        return [record for record in batch if _created(record) >= oldest]

    async def _give_up(
        self, records: Sequence[Record], condition: str, attempts: _Attempts
    ) -> None:
        log.error(
            "%s: %d records discarded after %d invocations (%s)",
            self._config.function_arn,
            len(records),
            attempts.count,
            condition,
        )
        if self._config.destination is not None:
            await self._discard(
                json.dumps(self._failure_record(records, condition, attempts.count, attempts.last))
            )

    def _failure_record(
        self, records: Sequence[Record], condition: str, count: int, last: Answer | None
    ) -> dict[str, Any]:
        """AWS: a pointer into the shard, without the records."""
        first, final = records[0], records[-1]
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": last.request_id if last else str(uuid.uuid4()),
                "functionArn": self._config.function_arn,
                "condition": condition,
                "approximateInvokeCount": count,
            },
            "version": "1.0",
            "timestamp": _timestamp(self._clock(), "milliseconds"),
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": sequence_number(first),
                "endSequenceNumber": sequence_number(final),
                "approximateArrivalOfFirstRecord": _timestamp(_created(first), "seconds"),
                "approximateArrivalOfLastRecord": _timestamp(_created(final), "seconds"),
                "batchSize": len(records),
                "streamArn": self._config.stream_arn,
            },
        }
        if last is not None:
            record["responseContext"] = {
                "statusCode": last.status,
                "executedVersion": last.version,
                **({} if last.error is None else {"functionError": last.error}),
            }
        return record


class _Attempts:
    """How often a batch was tried. Halves of a batch start from what the whole has used up."""

    def __init__(self) -> None:
        self.count = 0
        self.retries = 0
        self.last: Answer | None = None
        self._waits = 0

    def copy(self) -> _Attempts:
        other = _Attempts()
        other.count, other.retries, other.last = self.count, self.retries, self.last
        return other

    def invoked(self, answer: Answer) -> None:
        self.count += 1
        self.last = answer

    def progressed(self) -> None:
        """Some records are done: what is left has not been waited for yet."""
        self._waits = 0

    def next_wait(self) -> float:
        """Seconds until the next attempt: doubles each time."""
        self._waits += 1
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (self._waits - 1))


def _created(record: Record) -> float:
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def _timestamp(epoch_s: float, precision: str) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec=precision)[:-6] + "Z"
