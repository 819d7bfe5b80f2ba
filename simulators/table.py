"""Reads the pipeline's table and queues, for comparison and for display; writes nothing."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from boto3.dynamodb.conditions import Key

from pipeline.contract import Kind, Thing, TileStatus, parse_version
from pipeline.items import EVENT, TILE, building_pk, locker_pk
from simulators.verdict import Parked, Stored

BATCH = 10
"""AWS: messages of one ReceiveMessage and entries of one ChangeMessageVisibilityBatch."""
EMPTY_ANSWERS = 2
"""AWS: a short poll asks a subset of SQS's servers, so one empty answer is not an empty queue."""


def read_tiles(table: Any, buildings: Iterable[str]) -> Iterator[Stored]:
    """Every tile of the buildings; `table` is a boto3 Table resource. Strongly consistent."""
    for building in buildings:
        for item in _query(table, building_pk(building), f"{TILE}#"):
            yield _stored(item, Thing(item["building"], item["locker"]))


def read_history(table: Any, things: Iterable[Thing]) -> Iterator[Stored]:
    """Every event kept of the lockers, whichever run made it. Strongly consistent."""
    for thing in things:
        for item in _query(table, locker_pk(thing), f"{EVENT}#"):
            yield _stored(item, thing)


def queue_depths(sqs: Any, urls: Mapping[str, str]) -> dict[str, int]:
    """Messages waiting or in flight, by name (AWS: approximate)."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    depths = {}
    for name, url in urls.items():
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        depths[name] = sum(int(found[attribute]) for attribute in names)
    return depths


class QuarantineReader:
    """Looks through the quarantine queue and leaves it as it was.

    What was seen is hidden from others for `hidden_s`, or until `release`; `found` grows with each
    `look`.
    """

    def __init__(self, sqs: Any, url: str, *, hidden_s: int = 60) -> None:
        self._sqs = sqs
        self._url = url
        self._hidden_s = hidden_s
        self._handles: list[str] = []
        self.found: list[Parked] = []

    def look(self) -> list[Parked]:
        """Return all that was found so far; presence events, which no device sends, are not."""
        empty = 0
        while empty < EMPTY_ANSWERS:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=self._hidden_s,
                MessageAttributeNames=["reason"],
            )
            messages = answer.get("Messages", [])
            empty = 0 if messages else empty + 1
            for message in messages:
                self._handles.append(message["ReceiptHandle"])
                if (parked := _parked(message)) is not None:
                    self.found.append(parked)
        return self.found

    def release(self) -> None:
        """Let others see the messages again, at once."""
        while self._handles:
            handles, self._handles = self._handles[:BATCH], self._handles[BATCH:]
            entries = [
                {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for n, handle in enumerate(handles)
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def _parked(message: Mapping[str, Any]) -> Parked | None:
    try:
        envelope = json.loads(message["Body"])
        return Parked(
            thing=Thing.parse(envelope["thing"]),
            door=envelope["door"],
            reason=message["MessageAttributes"]["reason"]["StringValue"],
            payload=base64.b64decode(envelope["payload"]),
            received_at=envelope["received_at"],
        )
    except (KeyError, TypeError, ValueError):
        return None  # not what the rule makes of a locker's publish


def _query(table: Any, partition: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    request: dict[str, Any] = {
        "KeyConditionExpression": Key("pk").eq(partition) & Key("sk").begins_with(prefix),
        "ConsistentRead": True,
    }
    while True:
        page = table.query(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _stored(item: Mapping[str, Any], thing: Thing) -> Stored:
    return Stored(
        thing=thing,
        door=item["door"],
        version=parse_version(item["version"]),
        kind=Kind(item["kind"]),
        status=TileStatus(item["status"]),
        open=item["open"],
        occupied=item["occupied"],
        fault=item.get("fault"),
        at=item["at"],
    )
