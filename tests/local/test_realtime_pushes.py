"""What the gateway pushes over its WebSockets, to whom, and when it ends them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time

import aiohttp
import pytest

from local.realtime.gateway import Gateway
from tests.support.appsync_client import (
    query_string,
    sign,
)
from tests.support.appsync_stack import Api
from tests.support.realtime_gateway import (
    ON_TILES,
    PUBLISH,
    batch,
    handshake,
    host,
    make_gateway,
    mutate,
    open_client,
    root,
    subscribe,
)
from tests.support.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("gateway")]


async def test_every_alias_counts_as_a_mutation_and_order_is_kept(
    api: Api, gateway: Gateway
) -> None:
    """One document, three aliases: pushes in that order; a failed one pushes not."""
    query = """mutation M($a: TileBatchInput!, $b: TileBatchInput!, $c: TileBatchInput!) {
      x: publishTiles(batch: $a) { id: buildingId note tiles { doorId } }
      y: publishTiles(batch: $b) { buildingId note tiles { doorId } }
      z: refuseTiles(batch: $a) { buildingId note tiles { doorId } }
      ...more
    }
    fragment more on Mutation { w: publishTiles(batch: $c) { buildingId note tiles { doorId } } }"""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))
        answer = await mutate(
            api,
            gateway,
            query,
            a=batch(note="first"),
            b=batch("oak-yard", "second"),
            c=batch("maple-court", "third"),
        )
        assert answer["data"]["z"] is None
        notes = [(await client.receive())["payload"]["data"]["onTiles"]["note"] for _ in range(2)]
        assert notes == ["first", "third"]
        for number in range(30):
            await mutate(api, gateway, PUBLISH, b=batch(note=str(number)))
        notes = [(await client.receive())["payload"]["data"]["onTiles"]["note"] for _ in range(30)]
        assert notes == [str(number) for number in range(30)]


async def test_null_argument_differs_from_an_omitted_one(api: Api, gateway: Gateway) -> None:
    """Omitted: everything; null: only what has no note; a value: only that one."""
    async with open_client(api, gateway) as client:
        query = "subscription N($n: String) { onNote(note: $n) { note } }"
        await subscribe(client, gateway, root(api), "all", query=query, variables={})
        await subscribe(client, gateway, root(api), "null", query=query, variables={"n": None})
        await subscribe(client, gateway, root(api), "x", query=query, variables={"n": "x"})
        await mutate(api, gateway, PUBLISH, b=batch())
        assert {(await client.receive())["id"] for _ in range(2)} == {"all", "null"}
        await mutate(api, gateway, PUBLISH, b=batch(note="x"))
        assert {(await client.receive())["id"] for _ in range(2)} == {"all", "x"}


async def test_field_that_the_mutation_left_out_is_null_or_an_error(
    api: Api, gateway: Gateway
) -> None:
    """A nullable one comes as null; a non-null one makes the message an error."""
    async with open_client(api, gateway) as client:
        query = "subscription { onNote { publishedAt tiles { trace version } } }"
        await subscribe(client, gateway, root(api), "1", query=query, variables={})
        await mutate(api, gateway, PUBLISH, b=batch("b", None, "d1"))
        frame = await client.receive()
        assert frame["payload"]["data"]["onNote"] == {
            "publishedAt": 1.5,
            "tiles": [{"trace": None, "version": "1"}],
        }
        short = "mutation P($b: TileBatchInput!) { publishTiles(batch: $b) { buildingId } }"
        await mutate(api, gateway, short, b=batch())
        payload = (await client.receive())["payload"]
        assert payload["data"] == {"onNote": None}
        assert "publishedAt" in payload["errors"][0]["message"]


async def test_too_large_message_is_dropped(
    api: Api, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Above 240 KB nothing is pushed, one line is logged, and the next push arrives."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))
        with caplog.at_level(logging.WARNING, logger="local.realtime.subscriptions"):
            await mutate(api, gateway, PUBLISH, b=batch(note="x" * 250_000))
        assert "message dropped" in caplog.text
        await mutate(api, gateway, PUBLISH, b=batch(note="small"))
        assert (await client.receive())["payload"]["data"]["onTiles"]["note"] == "small"


async def test_stop_completes_and_ends_the_pushes(api: Api, gateway: Gateway) -> None:
    """After `complete` no push follows, and a second stop is an error of that id."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api), "1")
        await subscribe(client, gateway, root(api), "2")
        await client.send(id="1", type="stop")
        assert await client.receive() == {"type": "complete", "id": "1"}
        await mutate(api, gateway, PUBLISH, b=batch())
        assert (await client.receive())["id"] == "2"
        await client.send(id="1", type="stop")
        assert (await client.receive())["type"] == "error"
    await eventually(lambda: gateway.subscription_count == 0)


async def test_keep_alives_come_in_their_interval(api: Api) -> None:
    """With an interval of 50 ms three arrive within a second, without being asked."""
    gateway = make_gateway(api, keep_alive_s=0.05)
    await gateway.start()
    try:
        async with asyncio.timeout(1), open_client(api, gateway) as client:
            for _ in range(3):
                assert await client.receive(skip_ka=False) == {"type": "ka"}
    finally:
        await gateway.stop()


async def test_slow_subscriber_is_cut_and_delays_nobody(
    api: Api, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that never reads loses its connection; its neighbour gets every push in time."""
    headers = handshake(api, gateway)
    slow = socket.create_connection(("127.0.0.1", gateway.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        request = (
            f"GET /graphql/realtime{query_string(headers)} HTTP/1.1\r\nHost: {host(gateway)}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: graphql-ws\r\n\r\n"
        )
        data = json.dumps({"query": ON_TILES, "variables": {"b": "maple-court"}})
        extensions = {"authorization": sign(root(api), host(gateway), body=data)}
        message = {"id": "s", "type": "start", "payload": {"data": data, "extensions": extensions}}
        text = json.dumps(message).encode()
        # A masked text frame with a 16-bit length and a mask of zeros.
        frame = b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text
        await asyncio.to_thread(slow.sendall, request.encode() + frame)
        await eventually(lambda: gateway.subscription_count == 1)
        async with open_client(api, gateway) as client:
            await subscribe(client, gateway, root(api))
            pushed = 0
            async with asyncio.timeout(60):
                while gateway.subscription_count == 2:
                    note = f"{pushed}-" + "x" * 200_000
                    await mutate(api, gateway, PUBLISH, b=batch(note=note))
                    received = (await client.receive())["payload"]["data"]["onTiles"]["note"]
                    assert received == note
                    pushed += 1
        assert "connection cut" in caplog.text
    finally:
        slow.close()


async def test_expired_token_ends_its_subscription(api: Api, gateway: Gateway) -> None:
    """When the token's time is up the client gets an error for that id, and no more pushes."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, api.token("operators", lifetime_s=2), "short")
        await subscribe(client, gateway, root(api), "long")
        frame = await client.receive()
        assert (frame["type"], frame["id"]) == ("error", "short")
        assert frame["payload"]["errors"] == [
            {"errorType": "UnauthorizedException", "message": "Token has expired."}
        ]
        await mutate(api, gateway, PUBLISH, b=batch())
        assert (await client.receive())["id"] == "long"


async def test_pause_drops_connections_and_resume_takes_them_again(
    api: Api, gateway: Gateway
) -> None:
    """AppSync down: sockets end without a farewell and handshakes get 503."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))
        gateway.pause()
        assert await client.closed() == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with open_client(api, gateway):
            pass
    assert refused.value.status == 503
    assert gateway.subscription_count == 0
    gateway.resume()
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))


async def test_stop_ends_every_connection_at_once(api: Api, gateway: Gateway) -> None:
    """Open clients do not hold the gateway up, and no task of it stays."""
    before = len(asyncio.all_tasks())
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))
        started = time.monotonic()
        await gateway.stop()
        assert time.monotonic() - started < 5
        await client.closed()
    await eventually(lambda: len(asyncio.all_tasks()) <= before)
