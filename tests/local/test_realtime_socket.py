"""Handshakes and subscriptions at the gateway's WebSocket, in front of a real MiniStack."""

from __future__ import annotations

import asyncio
import base64
import json
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
    sign,
    subprotocol,
)
from tests.support.appsync_stack import Api, deploy
from tests.support.realtime_gateway import (
    ON_TILES,
    PUBLISH,
    batch,
    handshake,
    host,
    mutate,
    open_client,
    root,
    subscribe,
)
from tests.support.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("gateway")]


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
        await eventually(lambda: gateway.subscription_count == 1)
        await mutate(api, gateway, PUBLISH, b=batch("maple-court", "hello", "d1"))
        assert await first == {
            "onTiles": {
                "buildingId": "maple-court",
                "note": "hello",
                "tiles": [{"doorId": "d1", "fault": None}],
            }
        }
        await pushes.aclose()
    await eventually(lambda: gateway.subscription_count == 0)


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
