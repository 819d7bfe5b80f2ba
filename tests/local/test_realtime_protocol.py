"""The real-time protocol's state machine, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.realtime.protocol import (
    MAX_FRAME,
    Action,
    Connection,
    Send,
    Start,
    Subscribe,
    Unsubscribe,
    data_frame,
)

pytestmark = pytest.mark.unit

AUTHORIZATION = {"host": "127.0.0.1:1", "Authorization": "token"}


def start_frame(id_: object = "1", **payload: Any) -> str:
    data = json.dumps({"query": "subscription { onTiles { buildingId } }"})
    whole = {"data": data, "extensions": {"authorization": AUTHORIZATION}} | payload
    return json.dumps({"id": id_, "type": "start", "payload": whole})


def connection(**settings: int) -> Connection:
    return Connection(connection_timeout_ms=300_000, **settings)


def frames(actions: list[Action]) -> list[dict[str, Any]]:
    return [json.loads(action.frame) for action in actions if isinstance(action, Send)]


def started(machine: Connection, id_: str = "1") -> Start:
    (start,) = machine.text(start_frame(id_))
    assert isinstance(start, Start)
    return start


def error_type(actions: list[Action]) -> str:
    (frame,) = frames(actions)
    assert frame["type"] == "error"
    return str(frame["payload"]["errors"][0]["errorType"])


def test_connection_init_is_acknowledged_and_followed_by_a_keep_alive() -> None:
    """A client learns the time-out and gets one `ka` at once."""
    assert frames(connection().text('{"type":"connection_init"}')) == [
        {"type": "connection_ack", "payload": {"connectionTimeoutMs": 300_000}},
        {"type": "ka"},
    ]


def test_start_hands_out_what_was_signed() -> None:
    """The gateway gets the data string byte for byte, and it parsed."""
    data = '{"query": "subscription S { a }",  "variables": {"b": 1}, "operationName": "S"}'
    (start,) = connection().text(start_frame(data=data))
    assert start == Start("1", 1, data, "subscription S { a }", {"b": 1}, "S", AUTHORIZATION)


def test_admitted_start_is_acknowledged_before_it_is_subscribed() -> None:
    """No push may overtake its `start_ack`."""
    machine = connection()
    start = started(machine)
    assert machine.admitted(start) == [
        Send('{"type":"start_ack","id":"1"}'),
        Subscribe("1", start.serial),
    ]


def test_refused_start_frees_its_id() -> None:
    """After an error frame the same id may be used again."""
    machine = connection()
    errors = [{"errorType": "Unauthorized", "message": "no"}]
    assert frames(machine.refused(started(machine), errors)) == [
        {"type": "error", "id": "1", "payload": {"errors": errors}}
    ]
    started(machine)


def test_duplicate_id_is_refused_and_leaves_the_first_one_running() -> None:
    """A second start of an id, pending or active, is an error for that id alone."""
    machine = connection()
    start = started(machine)
    assert error_type(machine.text(start_frame())) == "DuplicatedOperationError"
    machine.admitted(start)
    assert error_type(machine.text(start_frame())) == "DuplicatedOperationError"
    assert machine.text('{"type":"stop","id":"1"}')[0] == Unsubscribe("1")


def test_stop_of_a_pending_start_makes_its_verdict_void() -> None:
    """A start stopped while it is checked is never acknowledged, even if its id is reused."""
    machine = connection()
    old = started(machine)
    assert frames(machine.text('{"type":"stop","id":"1"}')) == [{"type": "complete", "id": "1"}]
    new = started(machine)
    assert machine.admitted(old) == []
    assert machine.refused(old, []) == []
    assert machine.admitted(new)[-1] == Subscribe("1", new.serial)


def test_ended_subscription_is_removed_before_the_client_hears_of_it() -> None:
    """When a token runs out, pushes end with an error frame and the id is free."""
    machine = connection()
    start = started(machine)
    machine.admitted(start)
    actions = machine.ended(start, [{"errorType": "UnauthorizedException", "message": "x"}])
    assert actions[0] == Unsubscribe("1")
    assert error_type(actions) == "UnauthorizedException"
    assert machine.ended(start, []) == []


def test_subscriptions_per_connection_are_limited() -> None:
    """The one above the limit is refused, and a stop makes room."""
    machine = connection(max_subscriptions=2)
    started(machine, "1")
    started(machine, "2")
    assert error_type(machine.text(start_frame("3"))) == "MaxSubscriptionsReachedError"
    machine.text('{"type":"stop","id":"1"}')
    started(machine, "3")


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "null",
        '{"type": "pong"}',
        '{"type": ["start"]}',
        "{}",
        '{"type":"stop"}',
        '{"type":"stop","id":7}',
        '{"type":"stop","id":"unknown"}',
        '{"type":"start","id":"1"}',
        "[" * 100_000,
        "x" * (MAX_FRAME + 1),
        start_frame(None),
        start_frame(""),
        start_frame("x" * 129),
        start_frame(data=None),
        start_frame(data="{"),
        start_frame(data="[]"),
        start_frame(data="{}"),
        start_frame(data='{"query": 1}'),
        start_frame(data='{"query": "q", "variables": [1]}'),
        start_frame(data='{"query": "q", "operationName": 1}'),
        start_frame(extensions=None),
        start_frame(extensions={"authorization": {"host": 1}}),
    ],
    ids=lambda frame: frame[:40],
)
def test_bad_frame_is_one_error_frame(frame: str) -> None:
    """Whatever is wrong with a frame, its sender is told and the connection goes on."""
    machine = connection()
    error_type(machine.text(frame))
    started(machine)


def test_binary_frame_is_an_error_frame() -> None:
    """The protocol is text only."""
    assert error_type(connection().binary(3)) == "BadRequestException"


def test_data_frame_takes_the_payload_as_it_is() -> None:
    """Only the id is encoded for each subscriber."""
    frame = json.loads(data_frame('a"b', '{"data":{"x":1}}'))
    assert frame == {"id": 'a"b', "type": "data", "payload": {"data": {"x": 1}}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ids = st.sampled_from(["1", "2", "", None, 3])
messages = st.one_of(
    st.text().map(lambda text: ("text", text)),
    json_values.map(lambda value: ("text", json.dumps(value))),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["start", "stop", "connection_init", "ka"]) | json_values},
        optional={
            "id": ids | json_values,
            "payload": json_values
            | st.fixed_dictionaries(
                {},
                optional={
                    "data": json_values | json_values.map(json.dumps),
                    "extensions": json_values,
                },
            ),
        },
    ).map(lambda message: ("text", json.dumps(message))),
    ids.map(lambda id_: ("text", start_frame(id_))),
    st.integers(0, 9).map(lambda size: ("binary", size)),
    st.integers(0, 5).map(lambda which: ("admitted", which)),
    st.integers(0, 5).map(lambda which: ("refused", which)),
    st.integers(0, 5).map(lambda which: ("ended", which)),
)


@pytest.mark.property
@given(st.lists(messages, max_size=30))
def test_no_sequence_of_frames_and_verdicts_breaks_a_connection(
    steps: list[tuple[str, Any]],
) -> None:
    """Nothing raises, frames are JSON, and subscribe and unsubscribe alternate for every id."""
    machine = connection(max_subscriptions=3)
    starts: list[Start] = []
    active: set[str] = set()
    for step, value in steps:
        if step == "text":
            actions = machine.text(value)
        elif step == "binary":
            actions = machine.binary(value)
        elif value < len(starts):
            verdict = getattr(machine, step)
            actions = verdict(starts[value]) if step == "admitted" else verdict(starts[value], [])
        else:
            continue
        for action in actions:
            if isinstance(action, Send):
                assert "type" in json.loads(action.frame)
            elif isinstance(action, Start):
                starts.append(action)
            elif isinstance(action, Subscribe):
                assert action.id not in active
                active.add(action.id)
            else:
                active.remove(action.id)
