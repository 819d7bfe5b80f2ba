"""Dead letters: what lies in the six queues, read into one form that a person can work with.

Parsing is the pipeline's own contract, so that a letter is judged here as the projector would judge
it. What each queue's letters look like is in `operations.formats`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operations.formats import Message, Queue, StreamPointer, number, read, unreadable
from pipeline.contract import (
    COUNTER_LIMIT,
    DoorEvent,
    PresenceEvent,
    Thing,
    event_id,
    parse_envelope,
    version_of,
)
from pipeline.errors import Poison

__all__ = ["Letter", "Queue", "StreamPointer", "decode"]

BATCH = 10
"""AWS: messages of one ReceiveMessage and entries of one batch request."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    `sent_at`: SentTimestamp in epoch ms (AWS: a message that a redrive policy moved keeps that of
    its source queue). `receives`: ApproximateReceiveCount, looks at it included. `attempts`: how
    often delivery was tried, where the letter tells. `envelope`: the very body to send when it is
    redriven, None for a pointer and for what cannot be rebuilt. `event` is that envelope parsed, or
    `refusal` says why the contract refuses it; then thing, door, kind, boot and seq are filled as
    far as they can be read, for display and for finding gaps. `resources`: what the failed actions
    of a rule addressed.
    """

    queue: Queue
    message_id: str
    receipt_handle: str
    sent_at: int | None
    receives: int
    body: str
    attributes: Mapping[str, str]
    reason: str
    error: str
    failed_at: str
    attempts: int | None = None
    resources: tuple[str, ...] = ()
    envelope: str | None = None
    pointer: StreamPointer | None = None
    event: DoorEvent | PresenceEvent | None = None
    refusal: Poison | None = None
    thing: Thing | None = None
    door: str | None = None
    kind: str | None = None
    boot: int | None = None
    seq: int | None = None

    @property
    def building(self) -> str | None:
        if self.thing is not None:
            return self.thing.building
        return self.pointer.building if self.pointer is not None else None

    @property
    def version(self) -> int | None:
        """Of a door event whose counters can be read, even if the contract refuses the rest."""
        if self.boot is None or self.seq is None:
            return None
        return version_of(self.boot, self.seq)

    @property
    def event_id(self) -> str | None:
        if self.thing is None or self.door is None or self.boot is None or self.seq is None:
            return None
        return event_id(self.thing, self.door, self.boot, self.seq)


def decode(queue: Queue, message: Mapping[str, Any]) -> Letter:
    """Read a message as boto3's `receive_message` returns it; never raises."""
    system = message.get("Attributes")
    system = system if isinstance(system, Mapping) else {}
    known = Message(
        body=_text(message.get("Body")),
        attributes=_attributes(message.get("MessageAttributes")),
        sent_at=number(system.get("SentTimestamp")),
    )
    found = read(queue, known)
    try:
        identity = _identify(found.envelope) if found.envelope is not None else {}
    except Exception as error:  # noqa: BLE001  (anything may lie in a queue)
        found, identity = unreadable(error), {}
    return Letter(
        queue=queue,
        message_id=_text(message.get("MessageId")),
        receipt_handle=_text(message.get("ReceiptHandle")),
        sent_at=known.sent_at,
        receives=number(system.get("ApproximateReceiveCount")) or 0,
        body=known.body,
        attributes=known.attributes,
        reason=found.reason,
        error=found.error,
        failed_at=found.failed_at,
        attempts=found.attempts,
        resources=found.resources,
        envelope=found.envelope,
        pointer=found.pointer,
        **identity,
    )


def _identify(envelope: str) -> dict[str, Any]:
    """Event, or refusal and what else can be read; the arguments of `Letter` for it."""
    try:
        event = parse_envelope(envelope)
    except Poison as poison:
        return {"refusal": poison, **_readable_parts(envelope)}
    if isinstance(event, PresenceEvent):
        kind = "connected" if event.connected else "disconnected"
        return {"event": event, "thing": event.thing, "kind": kind}
    return {
        "event": event,
        "thing": event.thing,
        "door": event.door,
        "kind": event.kind.value,
        "boot": event.boot,
        "seq": event.seq,
    }


def _readable_parts(envelope: str) -> dict[str, Any]:
    """Whose it is, of an envelope that the contract refuses: its topic's parts and its counters."""
    fields = _object(envelope)
    parts: dict[str, Any] = {}
    for name, alternative in (("thing", "client"), ("door", None), ("kind", "event")):
        value = fields.get(name, fields.get(alternative) if alternative else None)
        if isinstance(value, str):
            parts[name] = value if name != "thing" else _thing(value)
    try:
        payload = _object(base64.b64decode(fields["payload"], validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return parts
    counters = {name: payload.get(name) for name in ("boot", "seq")}
    if all(type(each) is int and 1 <= each < COUNTER_LIMIT for each in counters.values()):
        parts |= counters
    return parts


def _attributes(given: object) -> dict[str, str]:
    """Message attributes as text; binary ones, which none of our senders makes, are left out."""
    if not isinstance(given, Mapping):
        return {}
    values = {
        name: value.get("StringValue")
        for name, value in given.items()
        if isinstance(value, Mapping)
    }
    return {str(name): text for name, text in values.items() if isinstance(text, str)}


def _object(text: str | bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _thing(name: str) -> Thing | None:
    try:
        return Thing.parse(name)
    except ValueError:
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
