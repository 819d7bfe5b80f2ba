"""Dead letters: what lies in the six queues, read into one form that a person can work with.

Parsing is the pipeline's own contract, so that a letter is judged here as the projector would judge
it. What each queue's letters look like is in `operations.formats`.
"""

import base64
import binascii
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
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

__all__ = ["Letter", "Queue", "StreamPointer", "Walk", "decode", "look"]

BATCH = 10
"""AWS: messages of one ReceiveMessage and entries of one batch request."""
HIDDEN_S = 120
"""Seconds. 10,000 letters are looked through in less; a killed tool leaves them hidden so long."""
LONG_POLL_S = 1


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


class Walk:
    """Receives the letters of one queue, each once, and hides them from others meanwhile.

    Whoever receives a letter decides: delete it, or leave it to `release`. If nobody does, SQS
    shows it again after `hidden_s`. Threads may share a walk.
    """

    def __init__(self, sqs: Any, queue: Queue, url: str, *, hidden_s: int = HIDDEN_S) -> None:
        self._sqs = sqs
        self._queue = queue
        self._url = url
        self._hidden_s = hidden_s
        self._handles: dict[str, str] = {}
        self._seen: set[str] = set()
        self._at_end = False
        self._changing = threading.Lock()

    def page(self) -> list[Letter]:
        """Up to ten letters not received before; none means that all have been.

        AWS: a short poll asks some of SQS's servers only, so an empty answer is asked again with a
        long poll, which asks all.
        """
        if self._at_end:
            return []  # what another thread has found out already
        messages = self._receive(0) or self._receive(LONG_POLL_S)
        letters = [decode(self._queue, message) for message in messages]
        with self._changing:
            self._handles |= {each.message_id: each.receipt_handle for each in letters}
            new = [each for each in letters if each.message_id not in self._seen]
            self._seen |= {each.message_id for each in new}
            self._at_end = not new
        return new

    def settled(self, letters: Iterable[Letter]) -> None:
        """They were deleted, or are somebody else's to release."""
        with self._changing:
            for letter in letters:
                self._handles.pop(letter.message_id, None)

    def release(self) -> None:
        """Show at once all that was received and not settled; it may be received again."""
        with self._changing:
            self._at_end = False
            self._seen -= self._handles.keys()
            handles, self._handles = list(self._handles.values()), {}
        for start in range(0, len(handles), BATCH):
            entries = [
                {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for n, handle in enumerate(handles[start : start + BATCH])
            ]
            # An entry that fails is a letter whose time is up: it shows already.
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _receive(self, wait_s: int) -> Sequence[Mapping[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=self._hidden_s,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        return messages


def look(
    sqs: Any, queue: Queue, url: str, *, limit: int | None = None, hidden_s: int = HIDDEN_S
) -> list[Letter]:
    """Read the letters of a queue, `limit` at most, and leave all as they were.

    They are hidden from others while it looks, and the receive count of each is one higher after.
    """
    walk = Walk(sqs, queue, url, hidden_s=hidden_s)
    letters: list[Letter] = []
    try:
        while (limit is None or len(letters) < limit) and (page := walk.page()):
            letters += page
    finally:
        walk.release()
    return letters if limit is None else letters[:limit]


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
