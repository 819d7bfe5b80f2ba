"""The projectors on clients that do nothing: what is left is the code between event and SDK."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from benchmarks.comparison.designs import OURS, Design
from pipeline.deadline import Deadline, LambdaContext
from pipeline.metrics import NAMESPACE
from pipeline.projector import Projector
from pipeline.quarantine import Quarantine
from pipeline.report import ProjectorReport
from pipeline.store import Store

TABLE = "bench"


class Nothing:
    """A client of boto3, or a table, that has done whatever it is asked, and found nothing."""

    def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
        return self._done

    def _done(self, *_: object, **__: object) -> dict[str, Any]:
        return {}


def projector(design: Design, context: LambdaContext) -> Callable[[dict[str, Any]], object]:
    """The design's projector, built on nothing."""
    nothing: Any = Nothing()
    if design == OURS:

        def now_ms() -> int:
            return time.time_ns() // 1_000_000

        ours = Projector(
            Store(nothing, TABLE, history_days=90, now_ms=now_ms),
            Quarantine(nothing, "https://queue/quarantine"),
            ProjectorReport(Logger(), Metrics(namespace=NAMESPACE)),
            now_ms,
        )
        return lambda event: ours.handle(event, Deadline.of(context))

    from benchmarks.textbook.projector import build  # noqa: PLC0415  (it makes its clients)

    textbook: Callable[..., object] = build(
        nothing, DynamoDBPersistenceLayer(TABLE, boto3_client=nothing)
    )
    return lambda event: textbook(event, context)
