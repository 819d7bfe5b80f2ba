"""Events as Lambda's event source mappings hand them to a function, as AWS documents them."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.contract import Kind

RECEIVED_AT = 1_763_640_000_000
AT = "2025-11-20T12:00:00.000Z"
BOOT = 1_763_600_000
STREAM_ARN = (
    "arn:aws:dynamodb:us-east-1:000000000000:table/latchline-dev/stream/2026-11-20T00:00:00.000"
)


@dataclass
class Context:
    """Lambda's context object, as far as the handlers look at it."""

    remaining_ms: int = 20_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def payload(**fields: Any) -> dict[str, Any]:
    """A good payload, with the given fields changed; a value of `...` leaves the field out."""
    good = {
        "schema": 1,
        "boot": BOOT,
        "seq": 1,
        "at": AT,
        "open": False,
        "occupied": False,
        "fault": None,
    }
    return {name: value for name, value in {**good, **fields}.items() if value is not ...}


def door_envelope(
    content: Mapping[str, Any] | bytes | None = None,
    *,
    thing: str = "maple-court:l03",
    door: str = "d02",
    kind: str = Kind.OPENED,
    received_at: int = RECEIVED_AT,
) -> dict[str, Any]:
    """What the rule `door_events` emits for a payload."""
    raw = content if isinstance(content, bytes) else json.dumps(content or payload()).encode()
    return {
        "payload": base64.b64encode(raw).decode(),
        "thing": thing,
        "door": door,
        "kind": str(kind),
        "client": thing,
        "received_at": received_at,
        "trace": "8f7e0b1c-0000-4000-8000-000000000001",
        "type": "door",
    }


def presence_envelope(
    *,
    connected: bool,
    at: int = RECEIVED_AT,
    session: str = "s1",
    counter: int = 1,
    thing: str = "maple-court:l03",
    **changed: Any,
) -> dict[str, Any]:
    """What the rule `presence` emits for a lifecycle event."""
    event = "connected" if connected else "disconnected"
    lifecycle = {
        "clientId": thing,
        "timestamp": at,
        "eventType": event,
        "sessionIdentifier": session,
        "principalIdentifier": "0" * 64,
        "versionNumber": counter,
        **({"ipAddress": "192.0.2.1"} if connected else {"disconnectReason": "CONNECTION_LOST"}),
        **changed,
    }
    return {
        "payload": base64.b64encode(json.dumps(lifecycle).encode()).decode(),
        "client": thing,
        "event": event,
        "received_at": at + 5,
        "trace": "8f7e0b1c-0000-4000-8000-000000000002",
        "type": "presence",
    }


def sqs_event(bodies: Iterable[Mapping[str, Any] | str]) -> dict[str, Any]:
    """An SQS batch; message ids are m0, m1, …"""
    return {
        "Records": [
            {
                "messageId": f"m{index}",
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(RECEIVED_AT + 10),
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": str(RECEIVED_AT + 12),
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:latchline-dev-projector",
                "awsRegion": "us-east-1",
            }
            for index, body in enumerate(bodies)
        ]
    }


def stream_event(images: Iterable[Mapping[str, Any]], *, first: int = 100) -> dict[str, Any]:
    """A DynamoDB stream batch of new images; sequence numbers count up from `first`."""
    return {
        "Records": [
            {
                "eventID": f"e{index}",
                "eventName": "MODIFY",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": RECEIVED_AT / 1000,
                    "Keys": {name: image[name] for name in ("pk", "sk") if name in image},
                    "NewImage": dict(image),
                    "SequenceNumber": str(first + index),
                    "SizeBytes": 400,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": STREAM_ARN,
            }
            for index, image in enumerate(images)
        ]
    }


def failed_ids(response: Mapping[str, Any]) -> list[str]:
    """The identifiers that Lambda is told to deliver again, which must be named explicitly."""
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
