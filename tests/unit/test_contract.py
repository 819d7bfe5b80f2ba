"""The contract: what is a door event, and under which reason everything else is parked."""

import json

import pytest

from pipeline.contract import (
    DoorEvent,
    Kind,
    PresenceEvent,
    Thing,
    TileStatus,
    device_topic,
    format_version,
    parse_envelope,
    parse_version,
    tile_status,
    version_of,
)
from pipeline.errors import Poison, PoisonReason
from tests.support.lambda_events import RECEIVED_AT, door_envelope, payload, presence_envelope

pytestmark = pytest.mark.unit


def parse(envelope: dict) -> DoorEvent | PresenceEvent:
    return parse_envelope(json.dumps(envelope))


def reason_of(body: str) -> PoisonReason:
    with pytest.raises(Poison) as caught:
        parse_envelope(body)
    assert caught.value.detail.isascii()
    assert len(caught.value.detail) <= 256
    return caught.value.reason


def test_a_good_envelope_becomes_an_event():
    """Identity comes from the topic's parts, the state from the payload."""
    event = parse(door_envelope(payload(boot=7, seq=3, open=True, extra="ignored")))
    assert isinstance(event, DoorEvent)
    assert event.thing == Thing("maple-court", "l03")
    assert (event.door, event.kind, event.open) == ("d02", Kind.OPENED, True)
    assert event.version == 7 * 2**32 + 3
    assert event.event_id == "maple-court:l03/d02@7.3"
    assert event.received_at == RECEIVED_AT
    assert event.status is TileStatus.OPEN


def test_identity_in_the_payload_is_ignored():
    """A payload that names another door does not move."""
    event = parse(door_envelope(payload(thing="other:l01", door="d99", building="other")))
    assert isinstance(event, DoorEvent)
    assert (str(event.thing), event.door) == ("maple-court:l03", "d02")


@pytest.mark.parametrize(
    ("at", "normal"),
    [
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000Z"),
        ("2026-11-20T13:00:00.1234567+01:00", "2026-11-20T12:00:00.123Z"),
        ("1970-01-01t00:00:00.5z", "1970-01-01T00:00:00.500Z"),
    ],
)
def test_device_time_is_normalized(at: str, normal: str):
    """Any RFC 3339 time with an offset is kept as UTC with milliseconds."""
    event = parse(door_envelope(payload(at=at)))
    assert isinstance(event, DoorEvent)
    assert event.at == normal


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", PoisonReason.PAYLOAD_NOT_JSON),
        (b"door open!", PoisonReason.PAYLOAD_NOT_JSON),
        (b"[" * 500, PoisonReason.PAYLOAD_NOT_JSON),
        (b'{"fault": "\\ud800"}', PoisonReason.PAYLOAD_NOT_JSON),
        (b"\x00\xff\xfe", PoisonReason.PAYLOAD_NOT_UTF8),
        (b"x" * 1025, PoisonReason.PAYLOAD_TOO_LARGE),
        (b"[]", PoisonReason.FIELD_TYPE),
        (b"null", PoisonReason.FIELD_TYPE),
        (b"{}", PoisonReason.FIELD_MISSING),
        (payload(schema=2), PoisonReason.SCHEMA_UNKNOWN),
        (payload(schema=0, open="yes"), PoisonReason.SCHEMA_UNKNOWN),
        (b'{"schema": 3}', PoisonReason.SCHEMA_UNKNOWN),
        (payload(schema="1"), PoisonReason.FIELD_TYPE),
        (payload(schema=True), PoisonReason.FIELD_TYPE),
        *((payload(**{name: ...}), PoisonReason.FIELD_MISSING) for name in payload()),
        (payload(boot=True), PoisonReason.FIELD_TYPE),
        (payload(seq=1.0), PoisonReason.FIELD_TYPE),
        (payload(open=1), PoisonReason.FIELD_TYPE),
        (payload(occupied="false"), PoisonReason.FIELD_TYPE),
        (payload(fault=5), PoisonReason.FIELD_TYPE),
        (payload(at=1_763_640_000), PoisonReason.FIELD_TYPE),
        (payload(boot=0), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(boot=2**32), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(seq=0), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(fault=""), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(fault="a\x00b"), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(fault="x" * 65), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(at="yesterday"), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(at="2026-11-20T12:00:00"), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(at="2026-02-30T12:00:00Z"), PoisonReason.VALUE_IMPOSSIBLE),
        (payload(at="9999-12-31T23:59:59-14:00"), PoisonReason.VALUE_IMPOSSIBLE),
    ],
)
def test_a_bad_payload_is_told_apart_by_reason(content: dict | bytes, reason: PoisonReason):
    """What is wrong with a payload decides under which reason it waits."""
    assert reason_of(json.dumps(door_envelope(content))) is reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thing", "maple-court"),
        ("thing", "maple-court:l03:x"),
        ("thing", ":l03"),
        ("thing", "Maple:l03"),
        ("thing", "m" * 33 + ":l03"),
        ("door", ""),
        ("door", "d 2"),
        ("door", "d#2"),
        ("kind", "exploded"),
        ("kind", "geöffnet\n" * 1000),
    ],
)
def test_a_topic_that_does_not_parse(field: str, value: str):
    """An identity that no key could hold is poison, whatever the payload says."""
    assert reason_of(json.dumps({**door_envelope(), field: value})) is PoisonReason.TOPIC_INVALID


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", PoisonReason.ENVELOPE_NOT_JSON),
        ("not json", PoisonReason.ENVELOPE_NOT_JSON),
        ("[" * 100_000, PoisonReason.ENVELOPE_NOT_JSON),
        ("\ud800", PoisonReason.ENVELOPE_INVALID),
        ("{}", PoisonReason.ENVELOPE_INVALID),
        ("[]", PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "payload": "***"}), PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "payload": None}), PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "type": "window"}), PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "received_at": "now"}), PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "received_at": -1}), PoisonReason.ENVELOPE_INVALID),
        # DynamoDB would refuse an item of that size each time.
        (json.dumps({**door_envelope(), "trace": "x" * 500_000}), PoisonReason.ENVELOPE_INVALID),
        (json.dumps({**door_envelope(), "client": "x" * 129}), PoisonReason.ENVELOPE_INVALID),
    ],
)
def test_a_broken_envelope(body: str, reason: PoisonReason):
    """What no rule of ours has written is still parked, not dropped."""
    assert reason_of(body) is reason


def test_presence_becomes_an_event():
    """A lifecycle event carries its session, its counter and the broker's clock."""
    event = parse(presence_envelope(connected=False, at=RECEIVED_AT, session="s9", counter=4))
    assert event == PresenceEvent(
        thing=Thing("maple-court", "l03"),
        connected=False,
        at=RECEIVED_AT,
        session="s9",
        counter=4,
        reason="CONNECTION_LOST",
        received_at=RECEIVED_AT + 5,
        trace="8f7e0b1c-0000-4000-8000-000000000002",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"clientId": "maple-court:l04"},
        {"eventType": "connected"},
        {"eventType": "subscribed"},
        {"sessionIdentifier": ""},
        {"versionNumber": "4"},
        {"timestamp": None},
    ],
)
def test_presence_that_contradicts_its_topic(changed: dict):
    """A lifecycle event whose body is not what its topic says is parked."""
    envelope = presence_envelope(connected=False, **changed)
    assert reason_of(json.dumps(envelope)) is PoisonReason.PRESENCE_INVALID


def test_presence_of_something_that_is_no_locker():
    """A client id that is not a thing of ours has no tile to grey."""
    envelope = presence_envelope(connected=True, thing="console-1")
    assert reason_of(json.dumps(envelope)) is PoisonReason.PRESENCE_INVALID


@pytest.mark.parametrize(
    ("kind", "door_open", "occupied", "fault", "status"),
    [
        (Kind.FORCED, True, True, "jammed", TileStatus.FAULT),
        (Kind.FORCED, True, True, None, TileStatus.FORCED),
        (Kind.FORCED, False, True, None, TileStatus.OCCUPIED),
        (Kind.OPENED, True, True, None, TileStatus.OPEN),
        (Kind.REPORTED, True, False, None, TileStatus.OPEN),
        (Kind.CLOSED, False, True, None, TileStatus.OCCUPIED),
        (Kind.CLOSED, False, False, None, TileStatus.VACANT),
    ],
)
def test_status(kind: Kind, door_open: bool, occupied: bool, fault: str | None, status: TileStatus):
    """Fault beats forced beats open beats occupied beats vacant."""
    assert tile_status(kind=kind, open=door_open, occupied=occupied, fault=fault) is status


def test_versions_sort_as_strings():
    """Outside Python a version is 20 digits, and sorts like its number."""
    versions = [version_of(1, 9), version_of(1, 10), version_of(2**32 - 1, 2**32 - 1)]
    texts = [format_version(version) for version in versions]
    assert texts == sorted(texts)
    assert [parse_version(text) for text in texts] == versions
    assert {len(text) for text in texts} == {20}


@pytest.mark.parametrize("text", ["", "1", "0" * 19 + "x", "0" * 21, "-" + "0" * 19, "٣" * 20])
def test_a_text_that_is_no_version(text: str):
    """Only what format_version writes is read back."""
    with pytest.raises(ValueError, match="20 digits"):
        parse_version(text)


def test_the_device_topic_is_basic_ingest():
    """A controller publishes straight to the rule."""
    topic = device_topic("door_events", Thing("maple-court", "l03"), "d02", Kind.CLOSED)
    assert topic == "$aws/rules/door_events/lockers/v1/maple-court:l03/doors/d02/closed"
