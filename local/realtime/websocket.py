"""The WebSocket half of the AppSync gateway: one client's connection, its checks and its outbox."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import ClientError, WSCloseCode, WSMsgType, hdrs, web

from local.realtime.api import ResolverError
from local.realtime.credentials import Caller, Refused, unauthorized
from local.realtime.protocol import (
    KEEP_ALIVE,
    SUBPROTOCOL,
    Action,
    Connection,
    Send,
    Start,
    Subscribe,
    connection_error,
)
from local.realtime.subscriptions import InvalidSubscription, Subscription, Subscriptions

OUTBOX_FRAMES = 1024
OUTBOX_CHARACTERS = 16 * 1024 * 1024
"""What may wait for one client; with more waiting its connection is cut, so that it cannot hold
the memory of everybody."""
MAX_RECEIVED = 4 * 1024 * 1024
"""Bytes; above this aiohttp closes the socket (1009). Smaller ones, though too long, get an error
frame from the protocol."""

REFUSED_LINGER_S = 0.5

logger = logging.getLogger(__name__)

Check = Callable[[Start], Awaitable[tuple[Caller, Subscription]]]


def handshake_credentials(request: web.Request) -> tuple[Mapping[str, str], bytes]:
    """Return the headers that carry a handshake's credentials, and the body that was signed.

    In AppSync's order: the query string (standard base64 that clients do *not* escape, so a `+`
    means a `+`), the subprotocol `header-<base64url>`, the request's own headers.

    Raises
    ------
    Refused
        Something that is not base64 of a JSON object of strings.
    """
    query = {}
    for part in request.raw_path.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        query[name] = unquote(value)
    if "header" in query:
        body = _decoded(query["payload"]) if query.get("payload") else b"{}"
        return _headers(_decoded(query["header"])), body
    for offered in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if offered.strip().startswith("header-"):
            return _headers(_decoded(offered.strip().removeprefix("header-"))), b"{}"
    return request.headers, b"{}"


def _decoded(text: str) -> bytes:
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise unauthorized("the credentials are not base64") from None


def _headers(text: bytes) -> Mapping[str, str]:
    try:
        headers = json.loads(text)
    except (ValueError, RecursionError):
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise unauthorized("the credentials are not a JSON object of strings")
    return headers


def offers_protocol(request: web.Request) -> bool:
    """Whether the client speaks `graphql-ws`."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    return SUBPROTOCOL in (one.strip() for one in offered.split(","))


def _socket() -> web.WebSocketResponse:
    # No compression: it would be done once a subscriber, for messages that are small.
    return web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), compress=False, max_msg_size=MAX_RECEIVED, timeout=1.0
    )


async def refuse(request: web.Request, refused: Refused) -> web.WebSocketResponse:
    """Accept the socket only to say why it is closed, as AppSync does."""
    socket = _socket()
    await socket.prepare(request)
    frame = connection_error(refused.error_type, refused.message, refused.status)
    with contextlib.suppress(ClientError, ConnectionError):
        await socket.send_str(frame.frame)
        # A client that is just sending its connection_init must not find the socket closed before
        # it has read why.
        with contextlib.suppress(TimeoutError):
            await socket.receive(REFUSED_LINGER_S)
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=refused.error_type.encode())
    return socket


class Client:
    """One accepted connection. `run` returns when it is over and nothing of it is left."""

    def __init__(
        self,
        request: web.Request,
        *,
        connection: Connection,
        subscriptions: Subscriptions,
        check: Check,
        keep_alive_s: float,
    ) -> None:
        self._request = request
        self._socket = _socket()
        self._connection = connection
        self._subscriptions = subscriptions
        self._check = check
        self._keep_alive_s = keep_alive_s
        self._outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_FRAMES)
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._checked: dict[int, tuple[Start, Caller, Subscription]] = {}
        self._active: dict[str, asyncio.TimerHandle | None] = {}
        self._cut = False

    def push(self, frame: str) -> None:
        """Queue a frame; a client that does not read its frames loses its connection."""
        if self._cut:
            return
        if self._outbox.full() or self._waiting + len(frame) > OUTBOX_CHARACTERS:
            logger.warning(
                "connection cut: %s has %d frames (%d characters) unread",
                self._request.remote,
                self._outbox.qsize(),
                self._waiting,
            )
            self.abort()
            return
        self._waiting += len(frame)
        self._outbox.put_nowait(frame)

    def abort(self) -> None:
        """Drop the connection at once, without a closing handshake."""
        self._cut = True
        if self._request.transport is not None:
            self._request.transport.abort()

    async def run(self) -> web.WebSocketResponse:
        """Serve the connection until either side ends it."""
        await self._socket.prepare(self._request)
        self._spawn(self._write())
        self._spawn(self._keep_alive())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._perform(self._connection.text(message.data))
                elif message.type is WSMsgType.BINARY:
                    self._perform(self._connection.binary(len(message.data)))
        finally:
            for id_ in tuple(self._active):
                self._unsubscribe(id_)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._socket

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.push(action.frame)
            elif isinstance(action, Start):
                self._spawn(self._decide(action))
            elif isinstance(action, Subscribe):
                self._subscribe(action)
            else:
                self._unsubscribe(action.id)

    async def _decide(self, start: Start) -> None:
        try:
            caller, subscription = await self._check(start)
        except Refused as refused:
            error = {"errorType": refused.error_type, "message": refused.message}
            self._perform(self._connection.refused(start, [error]))
        except InvalidSubscription as invalid:
            self._perform(self._connection.refused(start, invalid.errors))
        except ResolverError as failed:
            self._perform(self._connection.refused(start, [failed.error]))
        except Exception:
            # A defect of ours must not leave the client waiting for an answer.
            logger.exception("could not check subscription %s", start.id)
            error = {"errorType": "InternalFailure", "message": "Internal failure"}
            self._perform(self._connection.refused(start, [error]))
        else:
            self._checked[start.serial] = (start, caller, subscription)
            self._perform(self._connection.admitted(start))
            self._checked.pop(start.serial, None)

    def _subscribe(self, action: Subscribe) -> None:
        start, caller, subscription = self._checked.pop(action.serial)
        timer = None
        if caller.expires_at is not None:
            timer = asyncio.get_running_loop().call_later(
                max(0.0, caller.expires_at - time.time()), self._expire, start
            )
        self._active[action.id] = timer
        self._subscriptions.add(self, action.id, subscription)

    def _expire(self, start: Start) -> None:
        error = {"errorType": "UnauthorizedException", "message": "Token has expired."}
        self._perform(self._connection.ended(start, [error]))

    def _unsubscribe(self, id_: str) -> None:
        timer = self._active.pop(id_, None)
        if timer is not None:
            timer.cancel()
        self._subscriptions.remove(self, id_)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self) -> None:
        with contextlib.suppress(ClientError, ConnectionError):
            while True:
                frame = await self._outbox.get()
                await self._socket.send_str(frame)
                self._waiting -= len(frame)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s)
            self.push(KEEP_ALIVE)
