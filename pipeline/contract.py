"""The contract between a locker and the pipeline: topic, payload, envelope, version, status.

Pure: bytes and strings in, values or `Poison` out. Identity (building, locker, door) and kind are
what the broker-verified topic said; nothing in a payload can name them.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import Poison, PoisonReason

SCHEMA = 1
PAYLOAD_MAX_BYTES = 1024
COUNTER_LIMIT = 2**32
"""`boot` and `seq` are below it, so that version = boot · 2³² + seq has one reading only."""
DETAIL_MAX_CHARS = 200
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


class Kind(StrEnum):
    """Why an event was sent: the last level of its topic."""

    OPENED = "opened"
    CLOSED = "closed"
    FORCED = "forced"
    FAULTED = "faulted"
    CLEARED = "cleared"
    REPORTED = "reported"
    """The full state of a door, sent after each connect."""


class TileStatus(StrEnum):
    FAULT = "fault"
    FORCED = "forced"
    OPEN = "open"
    OCCUPIED = "occupied"
    VACANT = "vacant"


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """A locker: its IoT thing name and client id is `<building>:<locker>`."""

    building: str
    locker: str

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, name: str) -> "Thing":
        """Raise ValueError unless both parts are ids (`[a-z0-9][a-z0-9-]{0,31}`)."""
        building, _, locker = name.partition(":")
        if not (is_id(building) and is_id(locker)):
            raise ValueError(f"{shorten(name)} is not <building>:<locker>")
        return cls(building, locker)

    def __str__(self) -> str:
        return f"{self.building}:{self.locker}"


def is_id(text: str) -> bool:
    """Whether it may name a building, a locker or a door."""
    return _ID.fullmatch(text) is not None


def device_topic(rule: str, thing: Thing, door: str, kind: Kind) -> str:
    """The topic that a controller publishes to: Basic Ingest, straight to the rule."""
    return f"$aws/rules/{rule}/{rule_topic(thing, door, kind)}"


def rule_topic(thing: Thing, door: str, kind: Kind) -> str:
    """The topic as the rule sees it (AWS: the Basic Ingest prefix is invisible to `topic()`)."""
    return f"lockers/v1/{thing}/doors/{door}/{kind}"


def version_of(boot: int, seq: int) -> int:
    """Order of an event among all events of its controller."""
    return boot * COUNTER_LIMIT + seq


def boot_of(version: int) -> int:
    """The inverse of `version_of`, as far as the boot goes."""
    return version // COUNTER_LIMIT


def format_version(version: int) -> str:
    """20 digits: sorts as a string like the number, and survives JavaScript's 53-bit numbers."""
    return f"{version:020d}"


def parse_version(text: str) -> int:
    """Raise ValueError unless it is what `format_version` writes."""
    if len(text) != 20 or not (text.isascii() and text.isdigit()):  # noqa: PLR2004
        raise ValueError(f"{shorten(text)} is not a version of 20 digits")
    return int(text)


def normal_time(at: str) -> str:
    """RFC 3339 in UTC, with milliseconds; raise ValueError or OverflowError if it is no time."""
    if _RFC3339.fullmatch(at) is None:
        raise ValueError("not RFC 3339 with an offset")
    moment = datetime.fromisoformat(at.upper()).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_id(thing: Thing, door: str, boot: int, seq: int) -> str:
    """Name an event for people and logs, for instance `maple-court:l03/d02@1763625600.17`."""
    return f"{thing}/{door}@{boot}.{seq}"


def tile_status(
    *,
    kind: Kind,
    open: bool,  # noqa: A002  (the contract's word)
    occupied: bool,
    fault: str | None,
) -> TileStatus:
    """What a tile shows: fault > forced > open > occupied > vacant.

    `offline` is not among them: it is how a viewer shows the tiles of a disconnected locker.
    """
    if fault is not None:
        return TileStatus.FAULT
    if open:
        return TileStatus.FORCED if kind is Kind.FORCED else TileStatus.OPEN
    return TileStatus.OCCUPIED if occupied else TileStatus.VACANT


@dataclass(frozen=True, slots=True)
class DoorEvent:
    """The whole state of one door at one moment.

    `at` is the device's clock (RFC 3339, UTC, ms; for people and latency, never for order),
    `received_at` the rule's clock in epoch ms, `payload` the device's JSON as it came.
    """

    thing: Thing
    door: str
    kind: Kind
    boot: int
    seq: int
    at: str
    open: bool
    occupied: bool
    fault: str | None
    received_at: int
    trace: str | None
    client: str | None
    payload: str

    @property
    def version(self) -> int:
        return version_of(self.boot, self.seq)

    @property
    def event_id(self) -> str:
        return event_id(self.thing, self.door, self.boot, self.seq)

    @property
    def status(self) -> TileStatus:
        return tile_status(kind=self.kind, open=self.open, occupied=self.occupied, fault=self.fault)


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """A locker's connection came or went. `at`: the broker's clock, epoch ms (AWS: ±2 min)."""

    thing: Thing
    connected: bool
    at: int
    session: str
    counter: int
    reason: str | None
    received_at: int
    trace: str | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


_Counter = Annotated[int, Field(ge=1, lt=COUNTER_LIMIT)]
_EpochMs = Annotated[int, Field(ge=0, lt=2**53)]
_Short = Annotated[str, Field(max_length=128)]
"""AWS: a client id has 128 bytes, a trace id 36. What is longer no rule wrote, and DynamoDB (400 KB
an item) or AppSync (240 KB a push) might refuse the event for it, again and again."""


class Payload(_Strict):
    """What a controller publishes. Unknown extra fields are ignored; these are all required."""

    schema_version: Annotated[int, Field(alias="schema")]
    boot: _Counter
    seq: _Counter
    at: str
    open: bool
    occupied: bool
    fault: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")] | None


class _Envelope(_Strict):
    payload: str
    received_at: _EpochMs
    trace: _Short | None = None


class DoorEnvelope(_Envelope):
    """What the rule `door_events` emits; `payload` is base64 of the bytes as published."""

    type: Literal["door"]
    thing: str
    door: str
    kind: str
    client: _Short | None = None


class PresenceEnvelope(_Envelope):
    """What the rule `presence` emits; `client` and `event` come from the topic."""

    type: Literal["presence"]
    client: str
    event: str


class Presence(_Strict):
    """AWS IoT's lifecycle event, of which this is the part that we need."""

    client_id: Annotated[str, Field(alias="clientId")]
    event_type: Annotated[Literal["connected", "disconnected"], Field(alias="eventType")]
    timestamp: _EpochMs
    session: Annotated[str, Field(alias="sessionIdentifier", min_length=1, max_length=128)]
    counter: Annotated[int, Field(alias="versionNumber", ge=0, lt=2**53)]
    reason: Annotated[str | None, Field(alias="disconnectReason", max_length=64)] = None


def parse_envelope(body: str) -> DoorEvent | PresenceEvent:
    """Turn the body of a queue message into an event.

    Raises
    ------
    Poison
        With the reason, and a detail that names the field and its value.
    """
    envelope = _read_envelope(body)
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Poison(PoisonReason.ENVELOPE_INVALID, f"payload is not base64: {error}") from error
    if isinstance(envelope, DoorEnvelope):
        return _door_event(envelope, payload)
    return _presence_event(envelope, payload)


def _read_envelope(body: str) -> DoorEnvelope | PresenceEnvelope:
    # The rule writes the type last and we write no other key of that name, so one look at the
    # text chooses the model; a wrong guess can only end in `envelope_invalid`.
    model = PresenceEnvelope if '"presence"' in body and '"event"' in body else DoorEnvelope
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise Poison(PoisonReason.ENVELOPE_NOT_JSON, _describe(first)) from None
        raise Poison(PoisonReason.ENVELOPE_INVALID, _describe(first)) from None


def _door_event(envelope: DoorEnvelope, payload: bytes) -> DoorEvent:
    try:
        thing = Thing.parse(envelope.thing)
    except ValueError as error:
        raise Poison(PoisonReason.TOPIC_INVALID, str(error)) from None
    try:
        kind = Kind(envelope.kind)
    except ValueError:
        raise Poison(
            PoisonReason.TOPIC_INVALID, f"{shorten(envelope.kind)} is not a kind of event"
        ) from None
    if not is_id(envelope.door):
        raise Poison(PoisonReason.TOPIC_INVALID, f"{shorten(envelope.door)} is not a door id")
    fields, text = _read_payload(payload)
    return DoorEvent(
        thing=thing,
        door=envelope.door,
        kind=kind,
        boot=fields.boot,
        seq=fields.seq,
        at=_utc(fields.at),
        open=fields.open,
        occupied=fields.occupied,
        fault=fields.fault,
        received_at=envelope.received_at,
        trace=envelope.trace,
        client=envelope.client,
        payload=text,
    )


def _read_payload(payload: bytes) -> tuple[Payload, str]:
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise Poison(
            PoisonReason.PAYLOAD_TOO_LARGE,
            f"{len(payload)} bytes, at most {PAYLOAD_MAX_BYTES} are allowed",
        )
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Poison(PoisonReason.PAYLOAD_NOT_UTF8, str(error)) from None
    try:
        fields = Payload.model_validate_json(payload)
    except ValidationError as error:
        raise _payload_poison(error, text) from None
    if fields.schema_version != SCHEMA:
        raise _unknown_schema(fields.schema_version)
    return fields, text


def _payload_poison(error: ValidationError, text: str) -> Poison:
    """An unknown schema explains every other complaint, so it is looked for first."""
    errors = error.errors(include_url=False)
    first = errors[0]
    if first["type"] == "json_invalid":
        return Poison(PoisonReason.PAYLOAD_NOT_JSON, _describe(first))
    schema = json.loads(text).get("schema") if first["loc"] else None
    if type(schema) is int and schema != SCHEMA:
        return _unknown_schema(schema)
    if first["type"] == "missing":
        return Poison(PoisonReason.FIELD_MISSING, f"{_path(first)} is missing")
    wrong_type = first["type"].endswith("_type")
    reason = PoisonReason.FIELD_TYPE if wrong_type else PoisonReason.VALUE_IMPOSSIBLE
    return Poison(reason, _describe(first))


def _unknown_schema(schema: int) -> Poison:
    return Poison(
        PoisonReason.SCHEMA_UNKNOWN, f"schema {shorten(schema)}, this pipeline knows {SCHEMA}"
    )


def _utc(at: str) -> str:
    try:
        return normal_time(at)
    except (ValueError, OverflowError) as error:
        raise Poison(PoisonReason.VALUE_IMPOSSIBLE, f"at = {shorten(at)}: {error}") from None


def _presence_event(envelope: PresenceEnvelope, payload: bytes) -> PresenceEvent:
    try:
        presence = Presence.model_validate_json(payload)
        thing = Thing.parse(envelope.client)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Poison(PoisonReason.PRESENCE_INVALID, _describe(first)) from None
    except ValueError as error:
        raise Poison(PoisonReason.PRESENCE_INVALID, str(error)) from None
    if (presence.client_id, presence.event_type) != (envelope.client, envelope.event):
        raise Poison(
            PoisonReason.PRESENCE_INVALID,
            f"{shorten(presence.client_id)} {presence.event_type} on the topic of "
            f"{shorten(envelope.client)} {shorten(envelope.event)}",
        )
    return PresenceEvent(
        thing=thing,
        connected=presence.event_type == "connected",
        at=presence.timestamp,
        session=presence.session,
        counter=presence.counter,
        reason=presence.reason,
        received_at=envelope.received_at,
        trace=envelope.trace,
    )


def _path(error: Any) -> str:
    return ".".join(str(part) for part in error["loc"]) or "the document"


def _describe(error: Any) -> str:
    if error["type"] == "json_invalid":
        return str(error["msg"])[:DETAIL_MAX_CHARS]
    return f"{_path(error)} = {shorten(error['input'])}: {error['msg']}"[:DETAIL_MAX_CHARS]


def shorten(value: object, limit: int = 60) -> str:
    """Show a value in ASCII and short: it may hold anything, and ends in a message attribute."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
