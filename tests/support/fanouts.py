"""A fan-out between a real HTTP server in AppSync's place and an in-process queue."""

import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from gql.transport.requests import RequestsHTTPTransport

from pipeline import items
from pipeline.appsync import AppSync, IamAuth
from pipeline.contract import DoorEvent, Kind, PresenceEvent, Thing
from pipeline.deadline import Deadline
from pipeline.fanout import Fanout
from pipeline.merge import presence_of
from pipeline.quarantine import Quarantine
from pipeline.report import FanoutReport
from tests.support.aws import Aws, FaultyClient
from tests.support.lambda_events import AT, RECEIVED_AT, stream_event
from tests.support.mutation_server import MutationServer, mutation_server


def tile(
    building: str = "maple-court", door: str = "d01", *, seq: int = 1, locker: str = "l03"
) -> dict:
    """A tile's item as the projector writes it."""
    event = DoorEvent(
        thing=Thing(building, locker), door=door, kind=Kind.OPENED, boot=1, seq=seq, at=AT,
        open=True, occupied=False, fault=None, received_at=RECEIVED_AT, trace="t",
        client=None, payload="{}",
    )  # fmt: skip
    update = items.tile_update(event, queued_at=RECEIVED_AT + 1, projected_at=RECEIVED_AT + 2)
    values = update["ExpressionAttributeValues"]
    return {**update["Key"], **{name[1:]: value for name, value in values.items()}}


def locker(building: str = "maple-court", *, revision: int = 1, connected: bool = False) -> dict:
    """A locker's item as the projector writes it."""
    thing = Thing(building, "l03")
    event = PresenceEvent(thing, connected, RECEIVED_AT, "s1", 1, None, RECEIVED_AT, None)
    return items.locker_item(
        thing,
        presence_of(event),
        revision=revision,
        received_at=RECEIVED_AT,
        projected_at=RECEIVED_AT,
    )


class FanoutBench:
    """A fan-out whose AppSync and queue can be made to fail."""

    def __init__(self, server: MutationServer, aws: Aws) -> None:
        self.server = server
        self.aws = aws
        self.sqs = FaultyClient(aws.sqs)
        signer = AppSyncIAMAuthentication(
            host="example.appsync-api.us-east-1.amazonaws.com",
            region_name="us-east-1",
            credentials=Credentials("AKIDEXAMPLE", "secret"),
        )
        self.transport = RequestsHTTPTransport(server.url, auth=IamAuth(signer))
        self._log = io.StringIO()
        self.fanout = Fanout(
            AppSync(self.transport, lambda: RECEIVED_AT + 50),
            Quarantine(self.sqs, aws.queue_url),  # type: ignore[arg-type]
            FanoutReport(
                Logger(service=f"fanout-{uuid.uuid4()}", stream=self._log, level="INFO"),
                Metrics(service="fanout", namespace="Latchline"),
                lambda: RECEIVED_AT + 60,
            ),
        )

    def publish(self, *images: Any, seconds: float = 10.0) -> list[str]:
        """Handle one batch with sequence numbers 100, 101, …; return the checkpoint, if any."""
        response = self.fanout.handle(stream_event(images), Deadline(seconds))
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


@contextmanager
def fanout_bench(aws: Aws) -> Iterator[FanoutBench]:
    """Start a server for it; nothing outlives it."""
    with mutation_server() as server:
        bench = FanoutBench(server, aws)
        yield bench
        bench.transport.close()
