"""A client of AppSync that does everything by hand, so that a test can do it wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
DEADLINE_S = 10.0


def sign(
    credentials: Credentials,
    host: str,
    *,
    path: str = "/graphql",
    body: str = "{}",
    region: str = REGION,
    service: str = "appsync",
    at: datetime | None = None,
) -> dict[str, str]:
    """The headers of a POST as AppSync clients sign it, `host` among them."""
    timestamp = (at or datetime.now(UTC)).strftime(SIGV4_TIMESTAMP)
    headers = {
        "accept": "application/json, text/javascript",
        "content-encoding": "amz-1.0",
        "content-type": "application/json; charset=UTF-8",
        "host": host,
        "x-amz-date": timestamp,
    }
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    request = AWSRequest("POST", f"https://{host}{path}", headers=headers, data=body.encode())
    request.context["timestamp"] = timestamp
    auth = SigV4Auth(credentials, service, region)
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    signed = auth.signed_headers(auth.headers_to_sign(request))
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return headers


def query_string(headers: Mapping[str, str]) -> str:
    """Credentials in the query string, in unescaped standard base64."""
    encoded = base64.b64encode(json.dumps(dict(headers)).encode()).decode()
    return f"?header={encoded}&payload=e30="


def subprotocol(headers: Mapping[str, str]) -> str:
    """Credentials as a subprotocol, in base64url without padding, as aws-amplify sends them."""
    encoded = base64.urlsafe_b64encode(json.dumps(dict(headers)).encode()).decode()
    return f"header-{encoded.rstrip('=')}"


class RealtimeClient:
    """One WebSocket connection, frame by frame."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def receive(self, *, skip_ka: bool = True) -> dict[str, Any]:
        """The next frame; keep-alives are passed over unless asked for."""
        while True:
            message = await self.socket.receive(DEADLINE_S)
            assert message.type is aiohttp.WSMsgType.TEXT, f"not a text frame: {message}"
            frame: dict[str, Any] = json.loads(message.data)
            if frame["type"] != "ka" or not skip_ka:
                return frame

    async def start(
        self,
        id_: str,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        credentials: Credentials | str,
        host: str,
    ) -> None:
        """Send a `start`, authorized by a signature or by a token."""
        data = json.dumps({"query": query, "variables": variables or {}})
        headers = (
            {"host": host, "Authorization": credentials}
            if isinstance(credentials, str)
            else sign(credentials, host, body=data)
        )
        payload = {"data": data, "extensions": {"authorization": headers}}
        await self.send(id=id_, type="start", payload=payload)

    async def closed(self) -> int | None:
        """Wait until the server has closed the connection; return its code."""
        async with asyncio.timeout(DEADLINE_S):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@contextlib.asynccontextmanager
async def connected(
    port: int,
    headers: Mapping[str, str] | None,
    *,
    path: str = "/graphql/realtime",
    protocols: Sequence[str] = ("graphql-ws",),
    plain: Mapping[str, str] | None = None,
) -> AsyncIterator[RealtimeClient]:
    """Open a WebSocket with credentials in the query string (None: no credentials there)."""
    url = f"http://127.0.0.1:{port}{path}{query_string(headers) if headers is not None else ''}"
    async with aiohttp.ClientSession() as session:
        # `encoded`: the base64 must arrive as a client sends it.
        from yarl import URL

        async with session.ws_connect(
            URL(url, encoded=True), protocols=protocols, headers=plain
        ) as socket:
            yield RealtimeClient(socket)
