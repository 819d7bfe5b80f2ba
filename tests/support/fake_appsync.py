"""A stand-in for AppSync's realtime endpoint, for tests of the viewer alone.

Speaks the part of the protocol that gql uses, accepts everybody, and does what a test tells it:
push, refuse, cut. What the real gateway accepts is tested where that is.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web


@dataclass
class FakeAppSync:
    """`buildings` holds what a snapshot answers, two tiles a page."""

    buildings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refuse: bool = False
    silent: bool = False
    """Takes subscriptions, but never acknowledges them."""
    connections: int = 0
    snapshots: int = 0
    calls: list[str] = field(default_factory=list)
    port: int = 0
    _sockets: dict[web.WebSocketResponse, dict[str, str]] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/graphql/realtime", self._realtime)
        app.router.add_post("/graphql", self._query)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Close every connection, as a network would."""
        for socket in list(self._sockets):
            await socket.close(code=1011)

    async def push(self, building: str, **batch: list[dict[str, Any]]) -> None:
        data = {"buildingId": building, "publishedAt": 1, "tiles": [], "lockers": [], **batch}
        for socket, subscriptions in self._sockets.items():
            for subscription, wanted in subscriptions.items():
                if wanted == building:
                    payload = {"data": {"onTiles": data}}
                    await socket.send_json({"id": subscription, "type": "data", "payload": payload})

    async def _realtime(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["graphql-ws"])
        await socket.prepare(request)
        self.connections += 1
        self._sockets[socket] = {}
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        finally:
            del self._sockets[socket]
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                ack = {"connectionTimeoutMs": 300_000}
                await socket.send_json({"type": "connection_ack", "payload": ack})
            case "start" if self.refuse:
                errors = {"errors": [{"errorType": "Unauthorized", "message": "not yours"}]}
                await socket.send_json({"id": message["id"], "type": "error", "payload": errors})
            case "start":
                self.calls.append("start")
                variables = json.loads(message["payload"]["data"])["variables"]
                self._sockets[socket][message["id"]] = variables["buildingId"]
                if not self.silent:
                    await asyncio.sleep(0)
                    await socket.send_json({"id": message["id"], "type": "start_ack"})
            case "stop":
                self._sockets[socket].pop(message["id"], None)
                await socket.send_json({"id": message["id"], "type": "complete"})

    async def _query(self, request: web.Request) -> web.Response:
        self.calls.append("query")
        self.snapshots += 1
        variables = (await request.json())["variables"]
        building = variables["buildingId"]
        begin = int(variables.get("nextToken") or 0)
        tiles = self.buildings.get(building, [])
        rest = begin + 2 < len(tiles)
        page = {
            "buildingId": building,
            "tiles": tiles[begin : begin + 2],
            "lockers": [],
            "nextToken": str(begin + 2) if rest else None,
        }
        return web.json_response({"data": {"building": page}})
