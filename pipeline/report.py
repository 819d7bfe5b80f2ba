"""What the functions say of their work: a structured line a batch, one a parked event, metrics.

Metrics are CloudWatch's embedded format: a line of JSON on standard output, no call.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from pipeline.aws_errors import may_pass
from pipeline.contract import DoorEvent, PresenceEvent
from pipeline.errors import Poison, Retryable
from pipeline.metrics import NAMESPACE, Metric
from pipeline.outcomes import METRIC, Outcome, Result

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger, Metrics

    from pipeline.appsync import Publication
    from pipeline.lambda_event import Record
    from pipeline.quarantine import Parked

P = ParamSpec("P")

RUNBOOK = "docs/operations.md#boot-regressed"
EMF_VALUES = 99
"""AWS: 100 values of one metric in one line; Powertools flushes by itself at the hundredth."""


def is_defect(error: BaseException | None) -> bool:
    """Whether nobody expected it: logged with its stack, and worth a person's look."""
    return error is not None and not isinstance(error, (Poison, Retryable)) and not may_pass(error)


def never_raises(report: Callable[P, None]) -> Callable[P, None]:
    """What is written stays written: a report that fails must not bring the batch back."""

    @wraps(report)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            report(*args, **kwargs)
        except Exception:
            # Not with the logger that may just have failed.
            logging.getLogger(__name__).exception("%s failed", report.__qualname__)

    return attempt


class ProjectorReport:
    def __init__(self, logger: "Logger", metrics: "Metrics") -> None:
        self._logger = logger
        self._metrics = metrics

    @never_raises
    def batch(
        self,
        records: "Sequence[Record]",
        events: Mapping[str, DoorEvent | PresenceEvent],
        results: Mapping[str, Result],
        now_ms: int,
    ) -> None:
        counts = Counter(result.outcome for result in results.values())
        for record in records:
            self._record(record, events.get(record.message_id), results[record.message_id])
        self._regressed(events, results)
        for outcome in Outcome:
            if counts[outcome]:
                self._metrics.add_metric(METRIC[outcome], MetricUnit.Count, counts[outcome])
        applied = (
            events[key] for key, result in results.items() if result.outcome is Outcome.APPLIED
        )
        latencies = [
            max(0, now_ms - each.received_at) for each in applied if isinstance(each, DoorEvent)
        ]
        for latency in latencies[:EMF_VALUES]:
            self._metrics.add_metric(Metric.DOOR_TO_TABLE, MetricUnit.Milliseconds, latency)
        if results:
            self._metrics.flush_metrics()
        self._logger.info(
            "projected", extra={outcome.value: counts[outcome] for outcome in Outcome}
        )

    def _record(
        self, record: "Record", event: DoorEvent | PresenceEvent | None, result: Result
    ) -> None:
        about: dict[str, Any] = {
            "message_id": record.message_id,
            "receive_count": record.receive_count,
        }
        if isinstance(event, DoorEvent):
            about["event_id"] = event.event_id
        if event is not None:
            about["thing"], about["trace_id"] = str(event.thing), event.trace
        error = result.error
        if isinstance(error, Poison):
            about |= {"reason": error.reason.value, "detail": error.detail}
            self._logger.warning("quarantined", extra=about)
            with single_metric(
                name=Metric.QUARANTINED_BY_REASON,
                unit=MetricUnit.Count,
                value=1,
                namespace=NAMESPACE,
            ) as metric:
                metric.add_dimension("reason", error.reason.value)
        elif is_defect(error):
            self._logger.error("defect", extra=about, exc_info=error)
        elif error is not None:
            self._logger.warning("retried", extra={**about, "detail": str(error)})

    def _regressed(
        self, events: Mapping[str, DoorEvent | PresenceEvent], results: Mapping[str, Result]
    ) -> None:
        """One line a controller: after each connect it reports all of its doors at once."""
        boots = {
            event.thing: (event.boot, result.held_boot)
            for key, result in results.items()
            if result.outcome is Outcome.REGRESSED
            and isinstance(event := events.get(key), DoorEvent)
        }
        for thing, (boot, held) in boots.items():
            about = {"thing": str(thing), "boot": boot, "held_boot": held, "runbook": RUNBOOK}
            self._logger.warning("boot regressed", extra=about)


class FanoutReport:
    def __init__(self, logger: "Logger", metrics: "Metrics", now_ms: Callable[[], int]) -> None:
        self._logger = logger
        self._metrics = metrics
        self._now_ms = now_ms

    @never_raises
    def batch(
        self,
        *,
        changes: int,
        published: "Sequence[Publication]",
        failures: Sequence[Exception],
        requests: int,
    ) -> None:
        now_ms = self._now_ms()
        tiles = [tile for each in published for tile in each.tiles]
        items = len(tiles) + sum(len(each.lockers) for each in published)
        for name, value in (
            (Metric.PUBLISHED, items),
            (Metric.PUBLICATIONS, len(published)),
            (Metric.APPSYNC_REQUESTS, requests),
            (Metric.FAILED_ALIASES, len(failures)),
        ):
            self._metrics.add_metric(name, MetricUnit.Count, value)
        for tile in tiles[:EMF_VALUES]:
            latency = max(0, now_ms - tile["receivedAt"])
            self._metrics.add_metric(Metric.DOOR_TO_PUBLISHED, MetricUnit.Milliseconds, latency)
        self._metrics.flush_metrics()
        for failure in failures:
            self._logger.warning("not published", extra={"detail": str(failure)})
        self._logger.info(
            "published",
            extra={
                "records": changes,
                "items": items,
                "publications": len(published),
                "failed": len(failures),
                "requests": requests,
            },
        )

    @never_raises
    def parked(self, records: "Sequence[Parked]") -> None:
        for record in records:
            about = {"sequence_number": record.message_id, "reason": record.poison.reason.value}
            self._logger.warning("parked", extra={**about, "detail": record.poison.detail})

    @never_raises
    def not_parked(self, failures: Mapping[str, BaseException]) -> None:
        for sequence, error in failures.items():
            self._logger.error("not parked", extra={"sequence_number": sequence}, exc_info=error)
