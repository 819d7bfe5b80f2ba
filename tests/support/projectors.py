"""A projector on clients of the test's choice."""

import io
import itertools
import json
import uuid
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from pipeline.deadline import Deadline
from pipeline.projector import Projector
from pipeline.quarantine import Quarantine
from pipeline.report import ProjectorReport
from pipeline.store import Store
from tests.support.aws import TABLE, Aws, FaultyClient
from tests.support.lambda_events import RECEIVED_AT, sqs_event


class TestBench:
    """A projector whose table and queue can be made to fail."""

    __test__ = False

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.dynamodb = FaultyClient(aws.dynamodb)
        self.sqs = FaultyClient(aws.sqs)
        self._log = io.StringIO()
        ticks = itertools.count(RECEIVED_AT + 20)
        self.store = Store(
            self.dynamodb,  # type: ignore[arg-type]
            TABLE,
            history_days=90,
            now_ms=lambda: next(ticks),
            jitter=lambda _low, _high: 0.0,
        )
        self.projector = Projector(
            self.store,
            Quarantine(self.sqs, aws.queue_url),  # type: ignore[arg-type]
            ProjectorReport(
                # Powertools keeps one handler a service name; each bench wants its own stream.
                Logger(service=f"projector-{uuid.uuid4()}", stream=self._log, level="INFO"),
                Metrics(service="projector", namespace="Latchline"),
            ),
            lambda: RECEIVED_AT + 30,
        )

    def log(self) -> list[dict[str, Any]]:
        """The structured lines so far."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def project(self, *bodies: Any, seconds: float = 10.0) -> list[str]:
        """Handle one batch; return the message ids (m0, m1, …) that must come again."""
        response = self.projector.handle(sqs_event(bodies), Deadline(seconds))
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
