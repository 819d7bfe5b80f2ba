"""Lambda's events, as AWS documents them: a batch of messages, and the fields of any record.

A field of another type is a TypeError; whoever reads an event turns that into `EventShapeError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import EventShapeError


@dataclass(frozen=True, slots=True)
class Record:
    """One SQS message. `queued_at`: SentTimestamp, epoch ms."""

    message_id: str
    body: str
    queued_at: int | None
    receive_count: int


def read_records(event: Mapping[str, Any]) -> list[Record]:
    """Raise EventShapeError unless it is the event of an SQS mapping."""
    try:
        return [
            Record(
                message_id=text(record, "messageId"),
                # Whatever it is: what is no text fails on its own, not its neighbours with it.
                body=record["body"],
                queued_at=int(sent)
                if (sent := record["attributes"].get("SentTimestamp"))
                else None,
                receive_count=int(record["attributes"].get("ApproximateReceiveCount", 1)),
            )
            for record in event["Records"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise EventShapeError("an SQS batch", event, error) from error


def text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is of type {type(value).__name__}, not a string")
    return value


def item(record: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """An item in DynamoDB's wire form (`{"pk": {"S": …}, …}`); None if there is none."""
    value = record.get(name)
    if value is None:
        return None
    if not isinstance(value, dict) or not all(_is_attribute(each) for each in value.values()):
        raise TypeError(f"{name} is not an item in DynamoDB's wire form")
    return value


def _is_attribute(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("S", ""), str)
