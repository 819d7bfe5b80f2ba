"""The local AppSync gateway in front of a real MiniStack, and what a test says to it."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication

from local.realtime.gateway import Gateway
from tests.support.appsync_client import REGION, RealtimeClient, connected, sign
from tests.support.appsync_stack import Api

ON_TILES = (
    "subscription S($b: ID!) { onTiles(buildingId: $b) { buildingId note tiles { doorId fault } } }"
)
PUBLISH = (
    "mutation P($b: TileBatchInput!) "
    "{ publishTiles(batch: $b) { buildingId note publishedAt tiles { doorId version } } }"
)


def make_gateway(api: Api, **settings: Any) -> Gateway:
    return Gateway(
        upstream=api.stack.url,
        api_id=api.api_id,
        region=REGION,
        credentials={api.stack.access_key: api.stack.secret_key},
        user_pool=api.pool,
        **settings,
    )


@asynccontextmanager
async def running_gateway(api: Api, **settings: Any) -> AsyncIterator[Gateway]:
    """Started, and stopped at the end."""
    gateway = make_gateway(api, **settings)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


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
