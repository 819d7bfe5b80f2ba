"""Stands between the page and the GraphQL gateway: goes down, loses pushes, sends old ones again.

AppSync may do each of these; the gateway of the laptop stack does not.
"""

import asyncio
import json
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType, hdrs, web

HOP = ("host", "connection", "upgrade", "content-length", "transfer-encoding")
HANDSHAKE = "sec-websocket"


class UnreliableGateway:
    """Forwards /graphql and /graphql/realtime of the gateway whose GraphQL URL it is given."""

    def __init__(self, graphql: str) -> None:
        self._upstream = f"http://{urlsplit(graphql).netloc}"
        self._down = False
        self._clients: set[web.WebSocketResponse] = set()
        self.losing = False
        """Whether pushes vanish from now on."""
        self.pushes: list[str] = []
        """Frames of type `data` that came from the gateway, also those that were lost."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_down()
        await self._session.close()
        await self._runner.cleanup()

    @property
    def graphql(self) -> str:
        return f"http://{self._host}/graphql"

    @property
    def realtime(self) -> str:
        return f"ws://{self._host}/graphql/realtime"

    @property
    def subscribers(self) -> int:
        """Connections that are open now."""
        return len(self._clients)

    def go_down(self) -> None:
        """Reset every connection, and each new one."""
        self._down = True
        for client in tuple(self._clients):
            _reset(client._req)

    def come_back(self) -> None:
        self._down = False

    async def push(self, frame: str) -> None:
        """Send a frame to everybody who is connected."""
        for client in tuple(self._clients):
            await client.send_str(frame)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if self._down:
            _reset(request)
            raise web.HTTPServiceUnavailable
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._forward_socket(request)
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            headers={n: v for n, v in request.headers.items() if n.lower() not in HOP},
            data=await request.read(),
        ) as answer:
            headers = {n: v for n, v in answer.headers.items() if n.lower() not in HOP}
            headers.pop(hdrs.CONTENT_ENCODING, None)
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    async def _forward_socket(self, request: web.Request) -> web.StreamResponse:
        offered = [each.strip() for each in request.headers[hdrs.SEC_WEBSOCKET_PROTOCOL].split(",")]
        async with self._session.ws_connect(
            self._upstream + request.raw_path, protocols=offered
        ) as upstream:
            client = web.WebSocketResponse(protocols=("graphql-ws",))
            await client.prepare(request)
            self._clients.add(client)
            try:
                up = asyncio.create_task(self._copy_up(client, upstream))
                await self._copy_down(upstream, client)
                up.cancel()
            finally:
                self._clients.discard(client)
                await client.close()
        return client

    async def _copy_up(
        self, client: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse
    ) -> None:
        async for message in client:
            if message.type is WSMsgType.TEXT:
                await upstream.send_str(message.data)
        await upstream.close()

    async def _copy_down(
        self, upstream: aiohttp.ClientWebSocketResponse, client: web.WebSocketResponse
    ) -> None:
        async for message in upstream:
            if message.type is not WSMsgType.TEXT:
                continue
            if json.loads(message.data)["type"] == "data":
                self.pushes.append(message.data)
                if self.losing:
                    continue
            if not client.closed:
                await client.send_str(message.data)


def _reset(request: web.BaseRequest | None) -> None:
    if request is not None and request.transport is not None:
        request.transport.abort()
