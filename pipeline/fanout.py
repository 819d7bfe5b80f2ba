"""The fan-out: DynamoDB stream batch in; one `publishTiles` a building out.

AWS: of the sequence numbers answered the lowest is the checkpoint, and everything from it on comes
again, what was published already included. That is harmless, viewers merge by version. So only the
lowest is named.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from pipeline.appsync import AppSync, Publication, iam_transport
from pipeline.deadline import Deadline, LambdaContext
from pipeline.errors import EventShapeError, Poison
from pipeline.items import LOCKER, TILE, graphql_locker, graphql_tile
from pipeline.lambda_event import item, text
from pipeline.metrics import NAMESPACE
from pipeline.outcomes import BatchResponse, batch_response
from pipeline.quarantine import Parked, Quarantine
from pipeline.report import FanoutReport
from pipeline.settings import FanoutSettings

ITEMS_PER_PUBLICATION = 100
"""AWS drops a push above 240 KB without a word; a tile takes about 0.4 KB."""
READERS = {TILE: graphql_tile, LOCKER: graphql_locker}


@dataclass(frozen=True, slots=True)
class Change:
    """One stream record: the item after the change, None for a deletion, and before it."""

    sequence: str
    keys: Mapping[str, Any]
    image: Mapping[str, Any] | None
    stream: str
    before: Mapping[str, Any] | None = None

    @property
    def attention(self) -> bool:
        """Whether the item is in the index of that name, or was in it until this change."""
        return any("attention" in image for image in (self.image, self.before) if image)


@dataclass(slots=True)
class Latest:
    """The newest state of one item in the batch, and all records that it stands for."""

    entity: str
    fields: Mapping[str, Any]
    order: tuple[str | int, ...]
    sequences: list[str] = field(default_factory=list)
    attention: bool = False


class Fanout:
    """Publishes batches. Built once a container."""

    def __init__(self, appsync: AppSync, parking: Quarantine, report: FanoutReport) -> None:
        self._appsync = appsync
        self._parking = parking
        self._report = report

    def handle(self, event: Mapping[str, Any], deadline: Deadline) -> BatchResponse:
        """Publish what changed; return the sequence number from which to start again, if any.

        Raises
        ------
        EventShapeError
            The event is not a DynamoDB stream batch.
        """
        changes = read_changes(event)
        latest, unreadable = coalesce(changes)
        publications, sequences = publish_plan(latest)
        before = self._appsync.requests
        failures = self._appsync.publish(publications, deadline)
        failed = [sequence for index in failures for sequence in sequences[index]]
        failed += self._park(unreadable, deadline)
        self._report.batch(
            changes=len(changes),
            published=[each for i, each in enumerate(publications) if i not in failures],
            failures=list(failures.values()),
            requests=self._appsync.requests - before,
        )
        # AWS: sequence numbers are decimal numbers of differing length.
        return batch_response([min(failed, key=int)] if failed else [])

    def _park(self, unreadable: Sequence[tuple[Change, Poison]], deadline: Deadline) -> list[str]:
        """Send to the dead-letter queue what no retry can publish; return what could not be sent.

        Left in the batch it would hold up its whole shard until the mapping gives up on it.
        """
        parked = [
            Parked(change.sequence, json.dumps(pointer(change, poison)), poison)
            for change, poison in unreadable
        ]
        failures = self._parking.park(parked, deadline)
        self._report.parked([each for each in parked if each.message_id not in failures])
        self._report.not_parked(failures)
        return list(failures)


def read_changes(event: Mapping[str, Any]) -> list[Change]:
    """Raise EventShapeError unless it is the event of a DynamoDB stream mapping."""
    try:
        return [
            Change(
                sequence=_sequence(record["dynamodb"]),
                keys=item(record["dynamodb"], "Keys") or {},
                image=item(record["dynamodb"], "NewImage"),
                stream=text(record, "eventSourceARN"),
                before=item(record["dynamodb"], "OldImage"),
            )
            for record in event["Records"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EventShapeError("a DynamoDB stream batch", event, error) from error


def _sequence(record: Mapping[str, Any]) -> str:
    """The number as AWS wrote it, which is how it wants it back."""
    number = text(record, "SequenceNumber")
    int(number)
    return number


def coalesce(
    changes: Iterable[Change],
) -> tuple[list[Latest], list[tuple[Change, Poison]]]:
    """The newest state of each item, and the records that cannot be read.

    A change that is neither a tile nor a locker, or is a deletion (the mapping's filter lets none
    through), is nobody's news.
    """
    latest: dict[tuple[str, str], Latest] = {}
    unreadable: list[tuple[Change, Poison]] = []
    for change in changes:
        entity = ((change.image or {}).get("entity") or {}).get("S")
        if change.image is None or entity not in READERS:
            continue
        try:
            fields = READERS[entity](change.image)
        except Poison as poison:
            unreadable.append((change, poison))
            continue
        key = entity, json.dumps(change.keys, sort_keys=True)
        order = (fields["version"],) if entity == TILE else (fields["revision"],)
        held = latest.get(key)
        if held is None:
            latest[key] = Latest(entity, fields, order, [change.sequence], change.attention)
            continue
        held.sequences.append(change.sequence)
        held.attention |= change.attention
        if order >= held.order:
            held.fields, held.order = fields, order
    return list(latest.values()), unreadable


def publish_plan(latest: Iterable[Latest]) -> tuple[list[Publication], list[list[str]]]:
    """Publications by building, and the sequence numbers each of them covers."""
    buildings: dict[str, list[Latest]] = {}
    for each in latest:
        buildings.setdefault(each.fields["buildingId"], []).append(each)
    publications: list[Publication] = []
    sequences: list[list[str]] = []
    for building, changed in buildings.items():
        for start in range(0, len(changed), ITEMS_PER_PUBLICATION):
            part = changed[start : start + ITEMS_PER_PUBLICATION]
            publications.append(
                Publication(
                    building,
                    tiles=[each.fields for each in part if each.entity == TILE],
                    lockers=[each.fields for each in part if each.entity == LOCKER],
                    attention=any(each.attention for each in part),
                )
            )
            sequences.append([sequence for each in part for sequence in each.sequences])
    return publications, sequences


def pointer(change: Change, poison: Poison) -> dict[str, Any]:
    """The dead letter of a record that cannot be read: where it is in the stream, and its key.

    Same outline as AWS's own on-failure record, told apart by its `condition`.
    """
    return {
        "version": "1.0",
        "requestContext": {"condition": "PoisonRecord"},
        "DDBStreamBatchInfo": {
            "streamArn": change.stream,
            "startSequenceNumber": change.sequence,
            "endSequenceNumber": change.sequence,
            "batchSize": 1,
        },
        "keys": change.keys,
        "detail": poison.detail,
    }


def build(settings: FanoutSettings) -> Fanout:
    """Wire the fan-out to AWS: the one place where its clients are made."""
    import boto3  # noqa: PLC0415  (a test that brings its own clients needs none of it)
    from botocore.config import Config  # noqa: PLC0415

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    config = Config(
        connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}
    )
    return Fanout(
        AppSync(iam_transport(settings.graphql_url, settings.aws_region), now_ms),
        Quarantine(boto3.client("sqs", config=config), settings.fanout_dlq_url),
        FanoutReport(Logger(), Metrics(namespace=NAMESPACE), now_ms),
    )


@cache
def _fanout() -> Fanout:
    return build(FanoutSettings.read(os.environ))


def handler(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Lambda's entry point."""
    return _fanout().handle(event, Deadline.of(context))


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # AWS gives a function a whole CPU while it starts: connect and validate now, not at the first
    # event.
    _fanout()
