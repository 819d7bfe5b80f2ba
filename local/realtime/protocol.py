"""AppSync's real-time WebSocket protocol (subprotocol `graphql-ws`) as a pure state machine.

Frames in, actions out; no socket, no clock, no GraphQL. The gateway performs the actions and tells
the machine how a `start` ended (`admitted`, `refused`). Every frame a client may send has one row
in `_ON_FRAME`; everything else is an error frame, never an exception and never a closed socket.

One `start` lives through two phases: PENDING while its credentials and its resolver are checked,
ACTIVE from `start_ack` on. A client may stop and reuse an id while an earlier start of that id is
still being checked, so each start carries a serial number; a verdict on an old one, or one that
does not fit the phase, is ignored.

Source of the frames: AppSync developer guide, "Building a real-time WebSocket client". The names
of the error types are those that clients report from the service (aws-amplify/amplify-js#12818,
aws-appsync-realtime-client-ios#67, amplify-cli#4118).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

SUBPROTOCOL = "graphql-ws"
MAX_SUBSCRIPTIONS = 200
"""AWS quota: subscriptions per connection."""
MAX_FRAME = 240 * 1024
"""Bytes of a frame from a client; the quota that AWS gives for messages the other way."""
MAX_ID = 128

KEEP_ALIVE = '{"type":"ka"}'

Error = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Put this frame on the wire."""

    frame: str


@dataclass(frozen=True, slots=True)
class Start:
    """Check the credentials and the document of a `start`, then say `admitted` or `refused`.

    `data` is the string that an IAM client signed, byte for byte.
    """

    id: str
    serial: int
    data: str
    query: str
    variables: Mapping[str, Any]
    operation_name: str | None
    authorization: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """From here on pushes may follow; its `start_ack` is before this in the list."""

    id: str
    serial: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """No push may follow for this id."""

    id: str


Action = Send | Start | Subscribe | Unsubscribe


class Phase(Enum):
    PENDING = "pending"
    ACTIVE = "active"


@dataclass(slots=True)
class _Operation:
    serial: int
    phase: Phase


class _BadFrame(Exception):
    def __init__(self, message: str, error_type: str = "BadRequestException") -> None:
        super().__init__(message)
        self.error = {"errorType": error_type, "message": message}


class Connection:
    """One client's side of the protocol, after its handshake was accepted."""

    def __init__(
        self, *, connection_timeout_ms: int, max_subscriptions: int = MAX_SUBSCRIPTIONS
    ) -> None:
        self._connection_timeout_ms = connection_timeout_ms
        self._max_subscriptions = max_subscriptions
        self._operations: dict[str, _Operation] = {}
        self._serial = 0

    def text(self, frame: str) -> list[Action]:
        """Take a text frame from the client."""
        if len(frame) > MAX_FRAME:
            return [error_frame(None, [_too_long(len(frame))])]
        try:
            message = json.loads(frame)
        except (ValueError, RecursionError):
            return [error_frame(None, [_error("the frame is not JSON")])]
        if not isinstance(message, dict):
            return [error_frame(None, [_error("the frame is not a JSON object")])]
        handle = _ON_FRAME.get(str(message.get("type")), Connection._unknown)
        try:
            return handle(self, message)
        except _BadFrame as bad:
            return [error_frame(_id_or_none(message), [bad.error])]

    def binary(self, size: int) -> list[Action]:
        """Take a binary frame of `size` bytes; the protocol has none."""
        return [error_frame(None, [_error(f"a binary frame ({size} bytes); frames are text")])]

    def admitted(self, start: Start) -> list[Action]:
        """Tell that a start passed its checks."""
        if not self._is(start, Phase.PENDING):
            return []
        self._operations[start.id].phase = Phase.ACTIVE
        return [_frame("start_ack", start.id), Subscribe(start.id, start.serial)]

    def refused(self, start: Start, errors: Sequence[Error]) -> list[Action]:
        """Tell that a start failed its checks; the id is free again."""
        if not self._is(start, Phase.PENDING):
            return []
        del self._operations[start.id]
        return [error_frame(start.id, errors)]

    def ended(self, start: Start, errors: Sequence[Error]) -> list[Action]:
        """End a running subscription from our side (its token ran out)."""
        if not self._is(start, Phase.ACTIVE):
            return []
        del self._operations[start.id]
        return [Unsubscribe(start.id), error_frame(start.id, errors)]

    def _is(self, start: Start, phase: Phase) -> bool:
        return self._operations.get(start.id) == _Operation(start.serial, phase)

    def _connection_init(self, _: Mapping[str, Any]) -> list[Action]:
        payload = {"connectionTimeoutMs": self._connection_timeout_ms}
        return [_frame("connection_ack", payload=payload), Send(KEEP_ALIVE)]

    def _start(self, message: Mapping[str, Any]) -> list[Action]:
        id_ = _id(message)
        if id_ in self._operations:
            raise _BadFrame(f"Duplicated operation with id {id_}", "DuplicatedOperationError")
        if len(self._operations) >= self._max_subscriptions:
            raise _BadFrame(
                f"Max number of {self._max_subscriptions} subscriptions reached",
                "MaxSubscriptionsReachedError",
            )
        start = _read_start(id_, self._serial + 1, message.get("payload"))
        self._serial = start.serial
        self._operations[id_] = _Operation(start.serial, Phase.PENDING)
        return [start]

    def _stop(self, message: Mapping[str, Any]) -> list[Action]:
        id_ = _id(message)
        operation = self._operations.pop(id_, None)
        if operation is None:
            raise _BadFrame(f"Unknown operation id {id_}", "UnknownOperationError")
        complete = _frame("complete", id_)
        return [Unsubscribe(id_), complete] if operation.phase is Phase.ACTIVE else [complete]

    def _unknown(self, message: Mapping[str, Any]) -> list[Action]:
        kind = json.dumps(message.get("type"))[:40]
        raise _BadFrame(f"unknown message type {kind}", "UnsupportedOperation")


_ON_FRAME: Mapping[str, Callable[[Connection, Mapping[str, Any]], list[Action]]] = {
    "connection_init": Connection._connection_init,  # noqa: SLF001 - the table of this class
    "start": Connection._start,  # noqa: SLF001
    "stop": Connection._stop,  # noqa: SLF001
}


def error_frame(id_: str | None, errors: Sequence[Error]) -> Send:
    """Build an `error` frame, for one operation or (no id) for the connection."""
    return _frame("error", id_, {"errors": [dict(error) for error in errors]})


def connection_error(error_type: str, message: str, code: int) -> Send:
    """Build what AppSync sends before it closes a connection whose handshake it refuses."""
    error = {"errorType": error_type, "message": message, "errorCode": code}
    return _frame("connection_error", payload={"errors": [error]})


def data_frame(id_: str, payload: str) -> str:
    """Build a `data` frame around a payload that is JSON already."""
    return f'{{"id":{json.dumps(id_)},"type":"data","payload":{payload}}}'


def _frame(kind: str, id_: str | None = None, payload: Mapping[str, Any] | None = None) -> Send:
    message: dict[str, Any] = {"type": kind}
    if id_ is not None:
        message["id"] = id_
    if payload is not None:
        message["payload"] = payload
    return Send(json.dumps(message, separators=(",", ":")))


def _error(message: str) -> Error:
    return {"errorType": "BadRequestException", "message": message}


def _too_long(size: int) -> Error:
    return _error(f"the frame is {size} long; at most {MAX_FRAME} is accepted")


def _id_or_none(message: Mapping[str, Any]) -> str | None:
    id_ = message.get("id")
    return id_ if isinstance(id_, str) and 0 < len(id_) <= MAX_ID else None


def _id(message: Mapping[str, Any]) -> str:
    id_ = _id_or_none(message)
    if id_ is None:
        raise _BadFrame(f"'id' must be a string of 1 to {MAX_ID} characters")
    return id_


def _read_start(id_: str, serial: int, payload: object) -> Start:
    if not isinstance(payload, dict) or not isinstance(payload.get("data"), str):
        raise _BadFrame("'payload.data' must be a string of JSON")
    try:
        data = json.loads(payload["data"])
    except (ValueError, RecursionError):
        raise _BadFrame("'payload.data' is not JSON") from None
    query = data.get("query") if isinstance(data, dict) else None
    if not isinstance(query, str):
        raise _BadFrame("'payload.data' has no string 'query'")
    variables = data.get("variables") or {}
    name = data.get("operationName")
    if not isinstance(variables, dict) or not (name is None or isinstance(name, str)):
        raise _BadFrame("'variables' must be an object and 'operationName' a string")
    extensions = payload.get("extensions")
    headers = extensions.get("authorization") if isinstance(extensions, dict) else None
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise _BadFrame(
            "'payload.extensions.authorization' must be an object of strings",
            "UnauthorizedException",
        )
    return Start(id_, serial, payload["data"], query, variables, name, headers)
