"""The six formats of a dead letter: what each queue's sender wrote, and what is to be sent again.

queue          who puts it there        body
iot_errors     rule errorAction         the publish as it came (base64), topic, failures
ingest_dlq     SQS redrive policy       envelope
bus_dlq        EventBridge target       whole event; ERROR_CODE, … as message attributes
projector_dlq  SQS redrive policy       envelope
quarantine     projector, `dlq park`    envelope; reason, error as message attributes
fanout_dlq     stream mapping, fan-out  a pointer into the stream, no data
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.contract import shorten

UNREADABLE = "unreadable"
RECEIVES_EXHAUSTED = "receives_exhausted"
"""AWS says nothing more of a message that its queue's redrive policy moved."""
NO_CLIENT = {"N/A": "n/a"}
"""AWS: an errorAction's `clientId` of a publish over HTTP → what `clientid()` gives in a rule."""


class Queue(StrEnum):
    """The dead-letter queues, named as in the hand-over (`Target.queues`)."""

    IOT_ERRORS = "iot_errors"
    INGEST_DLQ = "ingest_dlq"
    BUS_DLQ = "bus_dlq"
    PROJECTOR_DLQ = "projector_dlq"
    QUARANTINE = "quarantine"
    FANOUT_DLQ = "fanout_dlq"


@dataclass(frozen=True, slots=True)
class StreamPointer:
    """Records of the table's stream, first to last sequence number; decimal numbers as text.

    `shard` is None where the fan-out itself parked one record (AWS tells a function no shard);
    `keys` (the item's, in wire form) are known there and nowhere else.
    """

    stream: str
    shard: str | None
    first: str
    last: str
    records: int
    keys: Mapping[str, Any] = field(default_factory=dict)

    @property
    def building(self) -> str | None:
        """The building of the item, if the pointer says which item it was."""
        try:
            prefix, _, name = self.keys["pk"]["S"].partition("#")
        except (KeyError, TypeError, AttributeError):
            return None
        return name if prefix == "BUILDING" and name else None

    def __str__(self) -> str:
        what = "record" if self.records == 1 else "records"
        span = self.first if self.first == self.last else f"{self.first}…{self.last}"
        return f"{self.records} {what} {span} of {self.shard or 'the stream'}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a format's reader makes of a message."""

    reason: str
    error: str
    failed_at: str
    envelope: str | None = None
    pointer: StreamPointer | None = None
    attempts: int | None = None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    body: str
    attributes: Mapping[str, str]
    sent_at: int | None


def read(queue: Queue, message: Message) -> Found:
    """Never raises: what is not what the queue holds is found to be `unreadable`."""
    try:
        return _READERS[queue](message)
    except Exception as error:  # noqa: BLE001  (anything may lie in a queue)
        return unreadable(error)


def _iot_error(message: Message) -> Found:
    """AWS: the errorAction's document, one a publish with all its failures."""
    document = json.loads(message.body)
    failures = document["failures"]
    actions = sorted({str(each["failedAction"]) for each in failures})
    messages = list(dict.fromkeys(str(each.get("errorMessage", "")) for each in failures))
    return Found(
        reason=", ".join(actions) or "no_failure_named",
        error="; ".join(messages),
        failed_at=f"IoT rule {document['ruleName']}",
        attempts=len(failures),
        resources=tuple(str(each.get("failedResource", "")) for each in failures),
        envelope=json.dumps(_rule_envelope(document, message.sent_at)),
    )


def _rule_envelope(document: Mapping[str, Any], failed_at: int | None) -> dict[str, Any]:
    """What the rule would have made of the publish (iot_rules/*.sql).

    `received_at` was the rule's clock and is not in the document: the time of the failure, when
    the letter was sent, stands for it.
    """
    if failed_at is None:
        raise ValueError("SentTimestamp is missing: when the broker received it is unknown")
    levels = str(document["topic"]).split("/")
    if levels[:2] == ["$aws", "rules"]:
        levels = levels[3:]  # AWS: Basic Ingest's prefix, which a rule does not see
    client = str(document["clientId"])
    tail = {"received_at": failed_at, "trace": document.get("cloudwatchTraceId")}
    payload = document["base64OriginalPayload"]
    match levels:
        case ["lockers", "v1", thing, "doors", door, kind]:
            return {
                "payload": payload,
                "thing": thing,
                "door": door,
                "kind": kind,
                "client": NO_CLIENT.get(client, client),
                **tail,
                "type": "door",
            }
        case ["$aws", "events", "presence", event, whose]:
            return {
                "payload": payload,
                "client": whose,
                "event": event,
                **tail,
                "type": "presence",
            }
        case _:
            raise ValueError(f"{shorten(document['topic'])} is the topic of none of our rules")


def _bare_envelope(message: Message, failed_at: str) -> Found:
    """AWS: a redrive policy moves the message as it is and says nothing more."""
    return Found(
        reason=RECEIVES_EXHAUSTED,
        error="received as often as the queue's redrive policy allows, never done",
        failed_at=failed_at,
        envelope=message.body,
    )


def _ingest(message: Message) -> Found:
    return _bare_envelope(message, "pipe, from ingest to the bus")


def _projector(message: Message) -> Found:
    return _bare_envelope(message, "projector function (its log says why)")


def _bus(message: Message) -> Found:
    """AWS: the whole event; a target's input (`$.detail` for us) is not applied to it."""
    detail = json.loads(message.body)["detail"]
    attribute = message.attributes.get
    exhausted = attribute("EXHAUSTED_RETRY_CONDITION")
    target = _resource(attribute("TARGET_ARN", "unknown"))
    return Found(
        reason=attribute("ERROR_CODE", "unknown"),
        error=attribute("ERROR_MESSAGE", "") + (f" ({exhausted})" if exhausted else ""),
        failed_at=f"bus rule {_resource(attribute('RULE_ARN', 'unknown'))}, target {target}",
        attempts=number(attribute("RETRY_ATTEMPTS")),
        envelope=json.dumps(detail),
    )


def _quarantine(message: Message) -> Found:
    return Found(
        reason=message.attributes.get("reason", "unknown"),
        error=message.attributes.get("error", ""),
        failed_at=message.attributes.get("parked_from", "projector"),
        envelope=message.body,
    )


def _fanout(message: Message) -> Found:
    """AWS's on-failure record of a stream mapping, or the fan-out's own of a record it can't read.

    AWS: with partial failures first and last name what was left of the batch.
    """
    document = json.loads(message.body)
    info, context = document["DDBStreamBatchInfo"], document["requestContext"]
    response = document.get("responseContext", {})
    pointer = StreamPointer(
        stream=str(info["streamArn"]),
        shard=info.get("shardId"),
        first=_decimal(info["startSequenceNumber"]),
        last=_decimal(info["endSequenceNumber"]),
        records=int(info["batchSize"]),
        keys=document.get("keys", {}),
    )
    error = document.get("detail") or response.get("functionError")
    return Found(
        reason=str(context["condition"]),
        error=str(error or "the function named records that failed (its log says why)"),
        failed_at="fan-out, from the table's stream to AppSync",
        pointer=pointer,
        attempts=context.get("approximateInvokeCount"),
    )


_READERS: Mapping[Queue, Callable[[Message], Found]] = {
    Queue.IOT_ERRORS: _iot_error,
    Queue.INGEST_DLQ: _ingest,
    Queue.BUS_DLQ: _bus,
    Queue.PROJECTOR_DLQ: _projector,
    Queue.QUARANTINE: _quarantine,
    Queue.FANOUT_DLQ: _fanout,
}


def unreadable(error: Exception) -> Found:
    missing = isinstance(error, KeyError)
    detail = f"{error.args[0]} is missing" if missing else f"{type(error).__name__}: {error}"
    return Found(UNREADABLE, f"not what this queue holds: {detail}"[:256], "unknown")


def _decimal(text: str) -> str:
    """The number as AWS wrote it, which is how it wants it back; ValueError if it is none."""
    int(text)
    return text


def number(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return None


def _resource(arn: str) -> str:
    """The last part of an ARN: what a person calls it."""
    return arn.rsplit(":", 1)[-1].rsplit("/", 1)[-1]
