"""Door events as the projector's queue holds them, in the batches that Lambda would make."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.contract import Kind, Thing

SQS_BATCH = 10
"""Of the deployed mapping."""
BUILDINGS = 10
LOCKERS = 4
"""A building."""
DOORS = 4
"""A locker. With the two above 160 doors, as many as `latchline demo` has, and some."""
BASE_MS = 1_796_040_000_000

Door = tuple[Thing, str]


@dataclass(frozen=True, slots=True)
class Message:
    """One queue message; a duplicate has the body of another and an id of its own."""

    message_id: str
    body: str
    sent_ms: int


def doors(count: int) -> list[Door]:
    """So many doors, spread over the buildings in turn."""
    return [
        (
            Thing(f"building-{n % BUILDINGS}", f"l{n // BUILDINGS % LOCKERS + 1:02d}"),
            f"d{n // BUILDINGS // LOCKERS + 1:02d}",
        )
        for n in range(count)
    ]


ALL_DOORS = BUILDINGS * LOCKERS * DOORS


class Traffic:
    """Events of a fleet, always new ones: each opens or closes its door. Same seed, same events."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seq: dict[Thing, int] = {}
        self._open: set[Door] = set()
        self._made = 0

    def over(self, places: Sequence[Door], count: int) -> list[Message]:
        """`count` events that take the doors in turn."""
        return [self._message(places[n % len(places)]) for n in range(count)]

    def mixed(self, count: int, *, duplicates: float) -> list[Message]:
        """Events at doors anywhere; a share of them comes a second time, within the next ten."""
        places = doors(ALL_DOORS)
        found: list[Message] = []
        again: list[tuple[int, Message]] = []
        while len(found) < count:
            if again and again[0][0] <= len(found):
                found.append(again.pop(0)[1])
                continue
            message = self._message(self._random.choice(places))
            found.append(message)
            if self._random.random() < duplicates:
                copy = Message(self._id(), message.body, message.sent_ms + 1)
                again.append((len(found) + self._random.randrange(SQS_BATCH), copy))
                again.sort(key=lambda each: each[0])
        return found

    def _message(self, door: Door) -> Message:
        thing, name = door
        self._made += 1
        seq = self._seq[thing] = self._seq.get(thing, 0) + 1
        self._open ^= {door}
        opened = door in self._open
        now_ms = BASE_MS + 20 * self._made
        payload = {
            "schema": 1,
            "boot": BASE_MS // 1000,
            "seq": seq,
            "at": f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.000Z",
            "open": opened,
            "occupied": not opened and self._random.random() < 1 / 2,
            "fault": None,
        }
        envelope = {
            "payload": base64.b64encode(json.dumps(payload).encode()).decode(),
            "thing": str(thing),
            "door": name,
            "kind": str(Kind.OPENED if opened else Kind.CLOSED),
            "client": str(thing),
            "received_at": now_ms + 5,
            "trace": self._id(),
            "type": "door",
        }
        return Message(self._id(), json.dumps(envelope, separators=(",", ":")), now_ms + 10)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def sqs_events(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Full batches of the messages, as an SQS mapping hands them to its function."""
    for start in range(0, len(messages), SQS_BATCH):
        yield {
            "Records": [
                {
                    "messageId": message.message_id,
                    "receiptHandle": message.message_id,
                    "body": message.body,
                    "attributes": {
                        "ApproximateReceiveCount": "1",
                        "SentTimestamp": str(message.sent_ms),
                        "SenderId": "AIDAEXAMPLE",
                        "ApproximateFirstReceiveTimestamp": str(message.sent_ms + 2),
                    },
                    "messageAttributes": {},
                    "md5OfBody": "",
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:projector",
                    "awsRegion": "us-east-1",
                }
                for message in messages[start : start + SQS_BATCH]
            ]
        }
