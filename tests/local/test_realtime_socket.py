"""The gateway's WebSocket side, in front of a real MiniStack: gql and a client by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
from botocore.credentials import Credentials
from gql import Client, gql
from gql.transport.appsync_auth import AppSyncIAMAuthentication, AppSyncJWTAuthentication
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.exceptions import TransportQueryError, TransportServerError

from local.realtime.gateway import Gateway
from tests.support.appsync_client import (
    REGION,
    RealtimeClient,
    connected,
    query_string,
    sign,
    subprotocol,
)
from tests.support.appsync_stack import Api, deploy, ministack

pytestmark = pytest.mark.integration

ON_TILES = (
    "subscription S($b: ID!) { onTiles(buildingId: $b) { buildingId note tiles { doorId fault } } }"
)
PUBLISH = (
    "mutation P($b: TileBatchInput!) "
    "{ publishTiles(batch: $b) { buildingId note publishedAt tiles { doorId version } } }"
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with ministack(tmp_path_factory.mktemp("ministack")) as stack:
        yield deploy(stack)


def make_gateway(api: Api, **settings: Any) -> Gateway:
    return Gateway(
        upstream=api.stack.url,
        api_id=api.api_id,
        region=REGION,
        credentials={api.stack.access_key: api.stack.secret_key},
        user_pool=api.pool,
        **settings,
    )


@pytest.fixture
async def gateway(api: Api) -> AsyncIterator[Gateway]:
    gateway = make_gateway(api)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest.fixture(scope="module")
def manager(api: Api) -> str:
    return api.token("building:maple-court")


def root(api: Api) -> Credentials:
    return Credentials(api.stack.access_key, api.stack.secret_key)


def host(gateway: Gateway) -> str:
    return f"127.0.0.1:{gateway.port}"


def handshake(api: Api, gateway: Gateway) -> dict[str, str]:
    return sign(root(api), host(gateway), path="/graphql/connect")


def open_client(api: Api, gateway: Gateway) -> AbstractAsyncContextManager[RealtimeClient]:
    return connected(gateway.port, handshake(api, gateway))


def tile(door: str) -> dict[str, Any]:
    return {
        "buildingId": "maple-court",
        "lockerId": "l03",
        "doorId": door,
        "version": "1",
        "status": "open",
        "open": True,
        "receivedAt": 1.5,
    }


def batch(building: str = "maple-court", note: str | None = None, *doors: str) -> dict[str, Any]:
    return {
        "buildingId": building,
        "note": note,
        "publishedAt": 1.5,
        "tiles": [tile(door) for door in doors],
    }


async def mutate(api: Api, gateway: Gateway, query: str, **variables: Any) -> Any:
    """Send a mutation with IAM; return the whole answer."""
    body = json.dumps({"query": query, "variables": variables})
    headers = sign(root(api), host(gateway), body=body)
    del headers["content-encoding"]
    auth = AppSyncIAMAuthentication(host=host(gateway), region_name=REGION, credentials=root(api))
    headers = auth.get_headers(body, {"content-type": "application/json"})
    url = f"http://{host(gateway)}/graphql"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        return await answer.json()


async def subscribe(
    client: RealtimeClient,
    gateway: Gateway,
    credentials: Credentials | str,
    id_: str = "1",
    *,
    query: str = ON_TILES,
    variables: dict[str, Any] | None = None,
) -> None:
    """Start a subscription and wait until it runs."""
    chosen = {"b": "maple-court"} if variables is None else variables
    await client.start(id_, query, chosen, credentials=credentials, host=host(gateway))
    assert await client.receive() == {"type": "start_ack", "id": id_}


async def refused_start(
    client: RealtimeClient,
    gateway: Gateway,
    credentials: Credentials | str,
    query: str = ON_TILES,
    **variables: Any,
) -> str:
    """Start a subscription that is refused; return the error type."""
    await client.start("x", query, variables, credentials=credentials, host=host(gateway))
    frame = await client.receive()
    assert (frame["type"], frame["id"]) == ("error", "x"), frame
    return str(frame["payload"]["errors"][0]["errorType"])


@pytest.mark.parametrize("use", ["iam", "IdToken", "AccessToken"])
async def test_gql_subscribes_with_iam_and_with_tokens(
    api: Api, gateway: Gateway, use: str
) -> None:
    """gql's AppSync transport works against the gateway's address without a subclass."""
    auth = (
        AppSyncIAMAuthentication(host=host(gateway), region_name=REGION, credentials=root(api))
        if use == "iam"
        else AppSyncJWTAuthentication(
            host=host(gateway), jwt=api.token("building:maple-court", use=use)
        )
    )
    url = f"ws://{host(gateway)}/graphql/realtime"
    transport = AppSyncWebsocketsTransport(url, auth=auth, keep_alive_timeout=120)
    query = gql(ON_TILES)
    query.variable_values = {"b": "maple-court"}
    async with asyncio.timeout(20), Client(transport=transport) as session:
        pushes = session.subscribe(query)
        first = asyncio.ensure_future(anext(pushes))
        await until(lambda: gateway.subscription_count == 1)
        await mutate(api, gateway, PUBLISH, b=batch("maple-court", "hello", "d1"))
        assert await first == {
            "onTiles": {
                "buildingId": "maple-court",
                "note": "hello",
                "tiles": [{"doorId": "d1", "fault": None}],
            }
        }
        await pushes.aclose()
    await until(lambda: gateway.subscription_count == 0)


async def test_gql_raises_what_the_gateway_refuses(api: Api, gateway: Gateway) -> None:
    """A refused start is a query error, a refused handshake a server error."""
    url = f"ws://{host(gateway)}/graphql/realtime"
    auth = AppSyncJWTAuthentication(host=host(gateway), jwt=api.token("building:oak-yard"))
    query = gql(ON_TILES)
    query.variable_values = {"b": "maple-court"}
    async with Client(transport=AppSyncWebsocketsTransport(url, auth=auth)) as session:
        with pytest.raises(TransportQueryError, match="Not Authorized to access onTiles"):
            await anext(session.subscribe(query))
    auth = AppSyncJWTAuthentication(host=host(gateway), jwt="rubbish")
    with pytest.raises(TransportServerError, match="UnauthorizedException"):
        async with Client(transport=AppSyncWebsocketsTransport(url, auth=auth)):
            pass


async def until(condition: Any) -> None:
    """Wait for a condition, at most ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/realtime"])
async def test_handshake_by_query_string(api: Api, gateway: Gateway, path: str) -> None:
    """Both paths speak; the answer to `connection_init` is the ack and a keep-alive."""
    async with connected(gateway.port, handshake(api, gateway), path=path) as client:
        await client.send(type="connection_init")
        assert await client.receive() == {
            "type": "connection_ack",
            "payload": {"connectionTimeoutMs": 300_000},
        }
        assert await client.receive(skip_ka=False) == {"type": "ka"}
        assert client.socket.protocol == "graphql-ws"


async def test_handshake_by_subprotocol_and_by_plain_headers(
    api: Api, gateway: Gateway, manager: str
) -> None:
    """The other two places where credentials may be."""
    offered = ["graphql-ws", subprotocol(handshake(api, gateway))]
    async with connected(gateway.port, None, protocols=offered) as client:
        await subscribe(client, gateway, root(api))
        assert client.socket.protocol == "graphql-ws"
    for plain in ({"Authorization": manager}, handshake(api, gateway)):
        async with connected(gateway.port, None, plain=plain) as client:
            await subscribe(client, gateway, manager)


async def test_handshake_with_bad_credentials_says_so_and_closes(
    api: Api, gateway: Gateway
) -> None:
    """Each way to be wrong: `connection_error` with AppSync's error type, then the end."""
    name = host(gateway)
    wrong = Credentials(api.stack.access_key, "wrong")
    connect = "/graphql/connect"
    cases: list[tuple[dict[str, str] | None, str]] = [
        (None, "UnauthorizedException"),
        ({}, "UnauthorizedException"),
        ({"host": name, "Authorization": "rubbish"}, "UnauthorizedException"),
        ({"host": name, "x-api-key": "da2-x"}, "UnauthorizedException"),
        (sign(wrong, name, path=connect), "BadRequestException"),
        (sign(root(api), name), "BadRequestException"),
        (sign(root(api), "example.org", path=connect), "BadRequestException"),
        (sign(root(api), name, path=connect, body="{ }"), "BadRequestException"),
        (sign(root(api), name, path=connect, region="eu-west-1"), "InvalidSignatureException"),
        (sign(root(api), name, path=connect, service="iot"), "InvalidSignatureException"),
        (sign(Credentials("test", "test"), name, path=connect), "UnrecognizedClientException"),
    ]
    for headers, error_type in cases:
        async with connected(gateway.port, headers) as client:
            frame = await client.receive()
            assert frame["type"] == "connection_error"
            assert frame["payload"]["errors"][0]["errorType"] == error_type
            await client.send(type="connection_init")
            assert await client.closed() == aiohttp.WSCloseCode.POLICY_VIOLATION


@pytest.mark.parametrize("header", ["!", "e30", "bm8=", base64.b64encode(b"[1]").decode(), ""])
async def test_unreadable_credentials_are_refused(gateway: Gateway, header: str) -> None:
    """What is not base64 of an object of strings is a refusal, not a crash."""
    path = f"/graphql/realtime?header={header}&payload=e30="
    for protocols, chosen in (
        (["graphql-ws"], path),
        (["graphql-ws", f"header-{header.rstrip('=')}"], "/graphql/realtime"),
    ):
        async with connected(gateway.port, None, path=chosen, protocols=protocols) as client:
            assert (await client.receive())["type"] == "connection_error"


async def test_handshake_without_the_subprotocol_is_refused(api: Api, gateway: Gateway) -> None:
    """As AppSync: NoProtocolError."""
    async with connected(gateway.port, handshake(api, gateway), protocols=()) as client:
        frame = await client.receive()
        assert frame["payload"]["errors"][0]["errorType"] == "NoProtocolError"


async def test_start_with_bad_credentials_leaves_the_connection_alone(
    api: Api, gateway: Gateway, manager: str
) -> None:
    """Signatures and tokens of a `start` are checked one by one; neighbours go on."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, manager)
        wrong = Credentials(api.stack.access_key, "wrong")
        assert await refused_start(client, gateway, wrong) == "BadRequestException"
        assert await refused_start(client, gateway, "rubbish") == "UnauthorizedException"
        other_pool = deploy(api.stack).token("operators")
        assert await refused_start(client, gateway, other_pool) == "UnauthorizedException"
        data = json.dumps({"query": ON_TILES, "variables": {"b": "maple-court"}})
        signed = sign(root(api), host(gateway), body=data)
        payload = {"data": data + " ", "extensions": {"authorization": signed}}
        await client.send(id="y", type="start", payload=payload)
        frame = await client.receive()
        assert frame["payload"]["errors"][0]["errorType"] == "BadRequestException"
        await mutate(api, gateway, PUBLISH, b=batch())
        assert (await client.receive())["type"] == "data"


async def test_bad_documents_are_errors_of_their_id_only(api: Api, gateway: Gateway) -> None:
    """Syntax errors, unknown fields and mutations are told apart; the rest goes on."""
    async with open_client(api, gateway) as client:
        await subscribe(client, gateway, root(api))
        for query, error_type in (
            ("subscription {", "MalformedRequestException"),
            ("subscription { onNothing { x } }", "ValidationError"),
            ("subscription { onTiles { note } }", "ValidationError"),
            ("{ tile(doorId: 1) { doorId } }", "UnsupportedOperation"),
        ):
            assert await refused_start(client, gateway, root(api), query) == error_type
        await client.start("1", ON_TILES, {"b": "x"}, credentials=root(api), host=host(gateway))
        frame = await client.receive()
        assert frame["payload"]["errors"][0]["errorType"] == "DuplicatedOperationError"
        for junk in ("rubbish", "[]", '{"type":"pong"}'):
            await client.socket.send_str(junk)
            assert (await client.receive())["type"] == "error"
        await client.socket.send_bytes(b"\x00")
        assert (await client.receive())["type"] == "error"
        await client.socket.send_str("x" * 300_000)
        assert (await client.receive())["type"] == "error"
        await mutate(api, gateway, PUBLISH, b=batch())
        assert (await client.receive())["id"] == "1"


async def test_manager_of_another_building_is_refused_by_the_resolver(
    api: Api, gateway: Gateway, manager: str
) -> None:
    """The deployed resolver runs with the subscriber's identity; operators may see any."""
    async with open_client(api, gateway) as client:
        for building, credentials, allowed in (
            ("maple-court", manager, True),
            ("oak-yard", manager, False),
            ("oak-yard", api.token(), False),
            ("oak-yard", api.token("operators"), True),
            ("oak-yard", root(api), True),
        ):
            if allowed:
                id_ = f"{building}-{hash(credentials)}"
                variables = {"b": building}
                await subscribe(client, gateway, credentials, id_, variables=variables)
            else:
                await client.start(
                    "x", ON_TILES, {"b": building}, credentials=credentials, host=host(gateway)
                )
                (error,) = (await client.receive())["payload"]["errors"]
                assert error == {
                    "errorType": "Unauthorized",
                    "message": "Not Authorized to access onTiles on type Subscription",
                }


async def test_directives_and_errors_of_resolvers_refuse_a_start(
    api: Api, gateway: Gateway, manager: str
) -> None:
    """A field for IAM only refuses a token; `util.error` reaches the client with its message."""
    async with open_client(api, gateway) as client:
        query = "subscription { onMachines { note } }"
        assert await refused_start(client, gateway, manager, query) == "Unauthorized"
        await subscribe(client, gateway, root(api), "m", query=query, variables={})
        await client.start(
            "f", "subscription { onFailing { note } }", credentials=root(api), host=host(gateway)
        )
        frame = await client.receive()
        assert frame["payload"]["errors"][0]["message"] == "no such thing"


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
    await until(lambda: gateway.subscription_count == 0)


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
        await until(lambda: gateway.subscription_count == 1)
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
    await until(lambda: len(asyncio.all_tasks()) <= before)
