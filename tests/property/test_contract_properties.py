"""Whatever arrives is an event or poison with a reason: nothing else may come out of parsing."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import items
from pipeline.contract import DoorEvent, PresenceEvent, parse_envelope
from pipeline.errors import Poison
from tests.support.lambda_events import door_envelope, payload, presence_envelope

pytestmark = pytest.mark.property

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def outcome(body: str) -> DoorEvent | PresenceEvent | Poison:
    """The event, or the poison; its detail must be fit for a message attribute and a log line."""
    try:
        return parse_envelope(body)
    except Poison as error:
        poison = error
    assert poison.detail.isascii()
    assert poison.detail.isprintable()
    assert 0 < len(poison.detail) <= 256
    return poison


def changed(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The document with some of its fields replaced by anything, and some left out."""
    return st.dictionaries(st.sampled_from(list(good)), JSON | st.just(...), min_size=1).map(
        lambda fields: {
            name: value for name, value in {**good, **fields}.items() if value is not ...
        }
    )


@given(st.text())
@example("\ud800")
@example('{"event": "presence"}')
@example("9" * 5_000)
@example("[" * 100_000)
def test_any_body_is_an_event_or_poison(body: str):
    """No text makes the parser fail in a way that nobody expects."""
    outcome(body)


@given(st.binary(max_size=1100))
@example(b'{"schema": 1e999}')
@example(b'{"schema": ' + b"9" * 1000 + b"}")
@example(b'{"schema": NaN, "schema": 2}')
@example(b"\xef\xbb\xbf{}")
@example(b"{" + b'"a":{' * 150 + b"}" * 151)
def test_any_bytes_of_a_device_are_an_event_or_poison(content: bytes):
    """A broken controller can publish anything; its topic is good all the same."""
    outcome(json.dumps(door_envelope(content)))


@given(changed(payload()))
def test_a_payload_with_odd_fields_is_an_event_or_poison(content: dict):
    """Right outline, any values: what is accepted can be written to the table."""
    event = outcome(json.dumps(door_envelope(json.dumps(content).encode())))
    if isinstance(event, DoorEvent):
        assert items.history_item(event, days=90)["version"]["S"]
        assert items.tile_update(event, queued_at=None, projected_at=1)["Key"]


@given(changed(door_envelope()) | changed(presence_envelope(connected=False)))
def test_an_envelope_with_odd_fields_is_an_event_or_poison(envelope: dict):
    """Nor does an envelope that no rule of ours would write."""
    outcome(json.dumps(envelope))


@given(changed(json.loads(base64.b64decode(presence_envelope(connected=True)["payload"]))))
def test_a_lifecycle_event_with_odd_fields_is_an_event_or_poison(content: dict):
    """AWS may add, drop or change what a lifecycle event says."""
    raw = base64.b64encode(json.dumps(content).encode()).decode()
    outcome(json.dumps({**presence_envelope(connected=True), "payload": raw}))
