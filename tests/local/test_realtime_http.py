"""The gateway's HTTP side, in front of a real MiniStack with AUTH=true."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import pytest
import requests
from botocore.credentials import Credentials
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.appsync_auth import AppSyncIAMAuthentication, AppSyncJWTAuthentication

from infra.resolver_code import SOURCES, resolver_code
from local.realtime.gateway import Gateway
from tests.support.appsync_client import REGION, connected, sign
from tests.support.appsync_stack import Api, deploy
from tests.support.realtime_gateway import host, make_gateway, root

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("gateway")]

PUBLISH = "mutation P($b: TileBatchInput!) { publishTiles(batch: $b) { buildingId publishedAt } }"
BATCH = {"buildingId": "maple-court", "publishedAt": 1.5, "tiles": []}


async def post(
    gateway: Gateway, headers: dict[str, str], body: str, *, method: str = "POST"
) -> tuple[int, Any, Any]:
    # aiohttp would try to compress for `amz-1.0`.
    headers = {name: value for name, value in headers.items() if name != "content-encoding"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"http://{host(gateway)}/graphql", data=body, headers=headers
        ) as answer,
    ):
        return answer.status, await answer.json(content_type=None), answer.headers


def document(query: str, **variables: Any) -> str:
    return json.dumps({"query": query, "variables": variables})


def signed(api: Api, gateway: Gateway, body: str) -> dict[str, str]:
    """The headers with which gql signs an HTTP request."""
    auth = AppSyncIAMAuthentication(host=host(gateway), region_name=REGION, credentials=root(api))
    return dict(auth.get_headers(body, {"content-type": "application/json"}))


async def test_gql_mutates_with_iam_and_queries_with_a_token(api: Api, gateway: Gateway) -> None:
    """gql's own AppSync classes work against the gateway's address without a subclass."""
    url = f"http://{host(gateway)}/graphql"
    iam = AppSyncIAMAuthentication(host=host(gateway), region_name=REGION, credentials=root(api))
    async with Client(transport=AIOHTTPTransport(url, auth=iam, ssl=False)) as session:
        query = gql(PUBLISH)
        query.variable_values = {"b": BATCH}
        answer = await session.execute(query)
    assert answer == {"publishTiles": {"buildingId": "maple-court", "publishedAt": 1.5}}
    token = AppSyncJWTAuthentication(host=host(gateway), jwt=api.token())
    async with Client(transport=AIOHTTPTransport(url, auth=token, ssl=False)) as session:
        answer = await session.execute(gql('{ tile(doorId: "d9") { doorId status } }'))
    assert answer == {"tile": {"doorId": "d9", "status": "open"}}


def proxied(api: Api, gateway: Gateway, body: str, credentials: Credentials) -> requests.Response:
    """What the fan-out sends: requests with HTTP_PROXY, signed for AppSync's own host."""
    headers = sign(credentials, api.host, body=body)
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"http://{api.host}/graphql",
            data=body.encode(),
            headers=headers,
            proxies={"http": f"http://{host(gateway)}"},
            timeout=10,
        )


def role(api: Api, **changes: str) -> Credentials:
    return Credentials(**(api.publisher | changes))


async def test_role_reaches_appsync_through_the_proxy(api: Api, gateway: Gateway) -> None:
    """A function signs with its role for AppSync's host; its policy decides about each field."""
    body = document(PUBLISH, b=BATCH)
    answer = await asyncio.to_thread(proxied, api, gateway, body, role(api))
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {"publishTiles": {"buildingId": "maple-court", "publishedAt": 1.5}}
    }
    body = document('{ tile(doorId: "d1") { doorId } }')
    answer = await asyncio.to_thread(proxied, api, gateway, body, role(api))
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["errorType"] == "UnauthorizedException"


async def test_proxied_request_with_a_wrong_signature_is_refused(
    api: Api, gateway: Gateway
) -> None:
    """Neither a role's wrong secret nor a key that the emulator trusts blindly gets through."""
    body = document(PUBLISH, b=BATCH)
    wrong = [
        role(api, secret_key="wrong"),
        role(api, token="wrong"),
        Credentials("test", "test"),
        Credentials("123456789012", "test"),
        Credentials(api.stack.access_key, "wrong"),
        Credentials("ASIAUNKNOWNUNKNOWN", "wrong"),
    ]
    for credentials in wrong:
        answer = await asyncio.to_thread(proxied, api, gateway, body, credentials)
        assert answer.status_code in {400, 401, 403}, credentials.access_key
        assert answer.json()["errors"]
    answer = await asyncio.to_thread(proxied, api, gateway, body, root(api))
    assert answer.status_code == 200


FAN_OUT = """
import json, sys
from pipeline.appsync import AppSync, Publication, iam_transport
from pipeline.deadline import Deadline

tile = json.loads(sys.argv[2])
appsync = AppSync(iam_transport(sys.argv[1], "us-east-1"), lambda: 1_700_000_000_000)
buildings = ("oak-yard", "maple-court")
batches = [Publication(name, [tile | {"buildingId": name}], []) for name in buildings]
failures = appsync.publish(batches, Deadline(20))
print(json.dumps({str(index): str(error) for index, error in failures.items()}))
"""


async def test_fan_outs_own_client_reaches_subscribers_of_latchlines_own_api(api: Api) -> None:
    """The project's schema, resolvers and AppSync client, in a process set up like the function."""
    fields = [("Mutation", "publishTiles"), ("Subscription", "onTiles")]
    own = deploy(
        api.stack,
        (SOURCES.parent / "schema.graphql").read_text(),
        {field: resolver_code(*field) for field in fields},
    )
    tile = {
        "buildingId": "",
        "lockerId": "l03",
        "doorId": "d1",
        "version": "1",
        "kind": "opened",
        "status": "open",
        "open": True,
        "occupied": False,
        "at": "2026-11-20T12:00:00.000Z",
        "receivedAt": 1.0,
        "projectedAt": 2.0,
    }
    gateway = make_gateway(own)
    await gateway.start()
    try:
        name = host(gateway)
        credentials = sign(root(api), name, path="/graphql/connect")
        async with connected(gateway.port, credentials) as client:
            query = (
                "subscription S($b: ID!) { onTiles(buildingId: $b) "
                "{ buildingId publishedAt tiles { doorId status at trace } lockers { lockerId } } }"
            )
            variables = {"b": "maple-court"}
            token = own.token("building:maple-court")
            await client.start("1", query, variables, credentials=token, host=name)
            assert (await client.receive())["type"] == "start_ack"
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                FAN_OUT,
                f"http://{own.host}/graphql",
                json.dumps(tile),
                stdout=asyncio.subprocess.PIPE,
                env={
                    "HTTP_PROXY": f"http://{name}",
                    "NO_PROXY": "127.0.0.1,localhost",
                    "AWS_ACCESS_KEY_ID": own.publisher["access_key"],
                    "AWS_SECRET_ACCESS_KEY": own.publisher["secret_key"],
                    "AWS_SESSION_TOKEN": own.publisher["token"],
                    "PYTHONPATH": str(SOURCES.parent.parent),
                },
            )
            printed, _ = await process.communicate()
            assert json.loads(printed) == {}
            assert (await client.receive())["payload"]["data"]["onTiles"] == {
                "buildingId": "maple-court",
                "publishedAt": 1_700_000_000_000.0,
                "tiles": [{"doorId": "d1", "status": "open", "at": tile["at"], "trace": None}],
                "lockers": [],
            }
            await client.start("2", query, {"b": "oak-yard"}, credentials=token, host=name)
            assert (await client.receive())["type"] == "error"
    finally:
        await gateway.stop()


@pytest.mark.parametrize(
    "line",
    [
        "POST http://example.org/graphql HTTP/1.1\r\nHost: example.org",
        "POST http://{api}/other HTTP/1.1\r\nHost: {api}",
        "POST http://{api}:8080/graphql HTTP/1.1\r\nHost: {api}",
        "POST https://{api}/graphql HTTP/1.1\r\nHost: {api}",
        "POST http://user@{api}/graphql HTTP/1.1\r\nHost: {api}",
        "GET http://{api}/graphql HTTP/1.1\r\nHost: {api}",
        "GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: 169.254.169.254",
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org",
    ],
)
async def test_gateway_is_no_open_proxy(api: Api, gateway: Gateway, line: str) -> None:
    """Only AppSync's host and path are proxied, whatever the request line looks like."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        request = line.format(api=api.host)
        writer.write(f"{request}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            status = (await reader.readline()).split()[1]
    finally:
        writer.close()
        await writer.wait_closed()
    assert status in {b"400", b"403", b"404", b"405"}


async def test_requests_without_good_credentials_are_refused(api: Api, gateway: Gateway) -> None:
    """HTTP 401 and 403 with AppSync's envelope and error header, never an execution."""
    body = document(PUBLISH, b=BATCH)
    good = signed(api, gateway, body)
    cases = [
        ({}, body, 401, "UnauthorizedException"),
        ({"Authorization": "rubbish"}, body, 401, "UnauthorizedException"),
        ({"x-api-key": "da2-x"}, body, 401, "UnauthorizedException"),
        (good, body + " ", 403, "BadRequestException"),
        (sign(root(api), "example.org", body=body), body, 403, "BadRequestException"),
    ]
    for headers, text, status, error_type in cases:
        got, answer, answered = await post(gateway, headers, text)
        assert got == status
        assert answer["errors"][0]["errorType"] == error_type
        assert answered["x-amzn-errortype"] == error_type
        assert answered["Access-Control-Allow-Origin"] == "*"


async def test_field_denied_by_a_directive_is_an_error_inside_200(
    api: Api, gateway: Gateway
) -> None:
    """A token may not publish, whoever holds it; the rest of the document still runs."""
    token = {"Authorization": api.token("operators"), "content-type": "application/json"}
    status, answer, _ = await post(gateway, token, document(PUBLISH, b=BATCH))
    assert status == 200
    assert answer["data"] == {"publishTiles": None}
    assert answer["errors"] == [
        {
            "path": ["publishTiles"],
            "data": None,
            "errorType": "Unauthorized",
            "errorInfo": None,
            "message": "Not Authorized to access publishTiles on type Mutation",
        }
    ]
    query = "query Q($d: ID!) { t: tile(doorId: $d) { doorId } secret { value } }"
    body = document(query, d="d2")
    status, answer, _ = await post(gateway, signed(api, gateway, body), body)
    assert status == 200
    assert answer["data"] == {"t": {"doorId": "d2"}, "secret": None}
    (error,) = answer["errors"]
    assert error["path"] == ["secret", "value"]  # its type is for the default mode, tokens, only


async def test_cognito_groups_of_a_directive_are_required(api: Api, gateway: Gateway) -> None:
    """`@aws_cognito_user_pools(cognito_groups: [...])` admits those groups only."""
    query = document("{ attention { doorId } }")
    manager = {"Authorization": api.token("building:maple-court")}
    _, answer, _ = await post(gateway, manager, query)
    assert answer["errors"][0]["errorType"] == "Unauthorized"
    operator = {"Authorization": api.token("operators", use="AccessToken")}
    _, answer, _ = await post(gateway, operator, query)
    assert answer == {"data": {"attention": None}}


async def test_resolver_that_checks_the_caller_lets_machines_and_managers_in(
    api: Api, gateway: Gateway
) -> None:
    """A signed caller passes a check made for IAM, a manager one made for groups, others do not."""
    body = document('{ mine(buildingId: "maple-court") { doorId } }')
    for headers in (
        signed(api, gateway, body),
        {"Authorization": api.token("building:maple-court")},
        {"Authorization": api.token("operators")},
    ):
        _, answer, _ = await post(gateway, headers, body)
        assert answer == {"data": {"mine": None}}
    for token in (api.token(), api.token("building:oak-yard")):
        _, answer, _ = await post(gateway, {"Authorization": token}, body)
        assert answer["errors"]


async def test_malformed_requests_get_appsyncs_400(api: Api, gateway: Gateway) -> None:
    """Neither half a JSON body nor half a query reaches the emulator."""
    token = {"Authorization": api.token()}
    for body in ("", "{", "[]", "{}", '{"query": 1}', document("{"), document("{" * 5000)):
        status, answer, _ = await post(gateway, token, body)
        assert status == 400, body
        assert answer["errors"][0]["errorType"] == "MalformedHttpRequestException"
    subscription = document('subscription { onTiles(buildingId: "b") { note } }')
    status, answer, _ = await post(gateway, token, subscription)
    assert (status, answer["errors"][0]["errorType"]) == (400, "UnsupportedOperation")
    status, _, _ = await post(gateway, token, "", method="PUT")
    assert status == 405


async def test_browser_may_ask_from_any_origin(gateway: Gateway) -> None:
    """The preflight is answered without credentials."""
    async with (
        aiohttp.ClientSession() as session,
        session.options(
            f"http://{host(gateway)}/graphql",
            headers={"Access-Control-Request-Headers": "authorization"},
        ) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_paused_gateway_is_an_appsync_that_is_down(api: Api, gateway: Gateway) -> None:
    """While paused every request gets 503; afterwards all is as before."""
    body = document(PUBLISH, b=BATCH)
    gateway.pause()
    status, _, _ = await post(gateway, signed(api, gateway, body), body)
    assert status == 503
    answer = await asyncio.to_thread(proxied, api, gateway, body, role(api))
    assert answer.status_code == 503
    gateway.resume()
    status, _, _ = await post(gateway, signed(api, gateway, body), body)
    assert status == 200


async def test_stop_frees_the_port_and_may_be_repeated(api: Api, gateway: Gateway) -> None:
    """A second gateway can take the port at once; a taken port is an OSError."""
    settings: dict[str, Any] = {
        "upstream": api.stack.url,
        "api_id": api.api_id,
        "region": REGION,
        "credentials": {api.stack.access_key: api.stack.secret_key},
        "user_pool": None,
        "port": gateway.port,
    }
    with pytest.raises(OSError, match="address already in use"):
        await Gateway(**settings).start()
    await gateway.stop()
    await gateway.stop()
    again = Gateway(**settings)
    await again.start()
    await again.stop()
