"""All queues of a deployment and its projector, in process: what a redrive works with."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from operations.arrival import Arrivals
from operations.letters import Letter, Queue
from operations.proof import Proof
from operations.redrive import Orders, Redrive
from operations.republish import Republisher
from operations.walk import look
from pipeline.contract import Kind
from tests.support.aws import TABLE, Aws, FaultyClient
from tests.support.dead_letters import string_attributes
from tests.support.lambda_events import door_envelope, payload
from tests.support.projectors import TestBench

BATCH = 10
LOOK_BACK_S = 0.3
"""The bench parks within milliseconds."""


class NoLongPolls:
    """moto has one server, so a short poll sees all; a long one would only take its second."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def receive_message(self, **arguments: Any) -> Any:
        return self._client.receive_message(**{**arguments, "WaitTimeSeconds": 0})


class DlqBench:
    """Queues on moto; `working()` plays pipe, bus and projector in a thread."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.plain_sqs = NoLongPolls(aws.sqs)
        self.sqs = FaultyClient(self.plain_sqs)
        names = [*Queue, "ingest", "projector"]
        self.urls = {
            str(name): aws.sqs.create_queue(QueueName=f"latchline-{name}")["QueueUrl"]
            for name in names
        }
        aws.queue_url = self.urls["quarantine"]
        self._projector = TestBench(aws)
        self._quit = threading.Event()
        self.stop = threading.Event()
        self.now = time.time_ns() // 1_000_000
        self.boot = self.now // 1000

    def event(self, seq: int, *, door: str | None = None, **fields: Any) -> dict[str, Any]:
        """A good envelope of now; with fields changed maybe a bad one."""
        return door_envelope(
            payload(boot=self.boot, seq=seq, **fields),
            door=door or f"d{seq % 8:02}",
            kind=Kind.OPENED,
            received_at=self.now,
        )

    def put(self, queue: str, *bodies: Any, attributes: Mapping[str, str] | None = None) -> None:
        """Send, so that it is a moment older than a run that begins after."""
        for start in range(0, len(bodies), BATCH):
            entries = [
                {
                    "Id": str(n),
                    "MessageBody": body if isinstance(body, str) else json.dumps(body),
                    "MessageAttributes": string_attributes(attributes or {}),
                }
                for n, body in enumerate(bodies[start : start + BATCH])
            ]
            self.aws.sqs.send_message_batch(QueueUrl=self.urls[queue], Entries=entries)

    def look(self, queue: str) -> list[Letter]:
        return look(self.plain_sqs, Queue(queue), self.urls[queue])

    def show_again(self, received: Mapping[str, Any]) -> None:
        """The time is up for which messages were hidden by who died while receiving them."""
        for message in received.get("Messages", []):
            self.aws.sqs.change_message_visibility(
                QueueUrl=self.urls["projector_dlq"],
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )

    def redrive(
        self, orders: Orders, *, republisher: Republisher | None = None, sqs: Any = None
    ) -> Redrive:
        """A run that begins a moment from now; no two of its timestamps are the same."""
        client = sqs or self.sqs
        sent = time.time_ns() // 1_000_000
        while (started_at := time.time_ns() // 1_000_000) <= sent:
            threading.Event().wait(0.001)
        self.stop.clear()
        return Redrive(
            sqs=client,
            urls=self.urls,
            proof=Proof(
                sqs=client,
                urls=self.urls,
                arrivals=Arrivals(self.aws.dynamodb, TABLE),
                started_at=started_at,
                hurry=self.stop,
                look_back_s=LOOK_BACK_S,
            ),
            republisher=lambda: _given(republisher),
            orders=orders,
            stop=self.stop,
            started_at=started_at,
        )

    def history(self) -> set[int]:
        """The sequence numbers on record."""
        return {int(item["seq"]["N"]) for item in self.aws.items("EVENT#")}

    @contextmanager
    def working(self) -> Iterator[None]:
        """Pipe, bus and projector are up."""
        self._quit.clear()
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._quit.set()
            thread.join()

    def _work(self) -> None:
        while not self._quit.is_set():
            moved = self.carry() + self.project()
            if not moved:
                self._quit.wait(0.02)

    def carry(self) -> int:
        """What pipe and bus do to one batch: the same JSON, written anew."""
        messages = self._receive("ingest")
        for message in messages:
            body = json.dumps(json.loads(message["Body"]), indent=1, sort_keys=True)
            self.aws.sqs.send_message(QueueUrl=self.urls["projector"], MessageBody=body)
        self._delete("ingest", messages)
        return len(messages)

    def project(self) -> int:
        """What the mapping and the projector do to one batch."""
        messages = self._receive("projector")
        if messages:
            failed = self._projector.project(*(each["Body"] for each in messages))
            done = [each for n, each in enumerate(messages) if f"m{n}" not in failed]
            self._delete("projector", done)
        return len(messages)

    def _receive(self, queue: str) -> list[dict[str, Any]]:
        answer = self.aws.sqs.receive_message(QueueUrl=self.urls[queue], MaxNumberOfMessages=BATCH)
        return list(answer.get("Messages", []))

    def _delete(self, queue: str, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self.aws.sqs.delete_message(
                QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"]
            )


def _given(republisher: Republisher | None) -> Republisher:
    assert republisher is not None, "no pointer is expected here"
    return republisher
