"""A gateway in front of the deployed AppSync API: real-time subscriptions and verified callers.

Gap: MiniStack executes GraphQL over HTTP, but has no subscriptions and does not verify all
credentials. Seen in MiniStack 1.5.33; delete this when upstream closes it.

    gateway = Gateway(
        upstream="http://127.0.0.1:4566", api_id=…, region="us-east-1",
        credentials={access_key: secret_key}, user_pool=UserPool(pool_id, client_id),
    )
    await gateway.start()
    gateway.port
    await gateway.stop()

Serves `POST /graphql` and WebSocket on `/graphql` and `/graphql/realtime`; and, as an HTTP proxy,
`POST http://<api>.appsync-api.<region>.amazonaws.com/graphql`, which is how a deployed function
reaches it without knowing that it runs on a laptop (`HTTP_PROXY`). It proxies to nothing else.

What happens where: `protocol` the frames, `credentials` who calls, `api` what
the API says, `operations` the documents, `subscriptions` who gets what, `graphql_http`
and `websocket` the wires.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import boto3
from aiohttp import hdrs, web
from botocore.config import Config

from local.realtime.api import DeployedApi, ResolverError, evaluate_resolver, read_api
from local.realtime.credentials import (
    COGNITO,
    Authenticator,
    Caller,
    CognitoVerifier,
    Refused,
    SigV4Verifier,
    UserPool,
)
from local.realtime.graphql_http import GraphqlEndpoint, Upstream, refusal_response
from local.realtime.operations import refusals
from local.realtime.protocol import Connection, Start
from local.realtime.subscriptions import Subscription, Subscriptions
from local.realtime.websocket import Client, handshake_credentials, offers_protocol, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from types_boto3_appsync import AppSyncClient

__all__ = ["Gateway", "UserPool"]

MAX_BODY = 16 * 1024 * 1024
_REALTIME_PATHS = ("/graphql", "/graphql/realtime")


class Gateway:
    """One AppSync API of the emulator, as AppSync would serve it.

    Parameters
    ----------
    upstream
        The emulator's endpoint, `http://host:port`.
    api_id, region
        The deployed API. It is read once, in `start`.
    credentials
        Access key to secret of those who sign for the gateway's own host; the first is the
        emulator's root key, with which the gateway itself reads the API.
    user_pool
        The pool and client whose tokens are accepted; None accepts no tokens.
    host, port
        Where to listen; 0 takes a free port.
    iam_groups
        The groups that resolvers of HTTP requests see for a caller who signed; the emulator gives
        them no IAM identity. On AWS they see `userArn` instead.
    keep_alive_s, connection_timeout_ms
        As in AppSync: `ka` every 60 s, and how long a client should wait for one.
    """

    def __init__(
        self,
        *,
        upstream: str,
        api_id: str,
        region: str,
        credentials: Mapping[str, str],
        user_pool: UserPool | None,
        host: str = "127.0.0.1",
        port: int = 0,
        iam_groups: Sequence[str] = ("operators",),
        keep_alive_s: float = 60.0,
        connection_timeout_ms: int = 300_000,
    ) -> None:
        self._upstream_url = upstream.rstrip("/")
        self._api_id = api_id
        self._region = region
        self._credentials = dict(credentials)
        self._user_pool = user_pool
        self._host = host
        self.port = port
        self._iam_groups = tuple(iam_groups)
        self._keep_alive_s = keep_alive_s
        self._connection_timeout_ms = connection_timeout_ms
        self._paused = False
        self._clients: set[Client] = set()
        self._cleanup = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Read the API and listen; on an error nothing is left running.

        Raises
        ------
        OSError
            The port is taken.
        botocore.exceptions.ClientError
            The emulator does not know the API.
        """
        async with contextlib.AsyncExitStack() as cleanup:
            session = await cleanup.enter_async_context(
                # Shorter than the emulator's own 5 s: a POST on a connection that it is just
                # closing would fail, and must not be repeated by us.
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=35),  # AWS: a request runs 30 s at most
                    skip_auto_headers=(
                        hdrs.ACCEPT,
                        hdrs.ACCEPT_ENCODING,
                        hdrs.CONTENT_TYPE,
                        hdrs.USER_AGENT,
                    ),
                )
            )
            self._threads = ThreadPoolExecutor(4, "appsync-gateway")
            # In a thread of its own, because it waits for evaluations that are still running.
            cleanup.push_async_callback(
                asyncio.to_thread, self._threads.shutdown, cancel_futures=True
            )
            root_key, root_secret = next(iter(self._credentials.items()))
            self._appsync: AppSyncClient = boto3.client(
                "appsync",
                endpoint_url=self._upstream_url,
                region_name=self._region,
                aws_access_key_id=root_key,
                aws_secret_access_key=root_secret,
                config=Config(
                    connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}
                ),
            )
            cleanup.callback(self._appsync.close)
            self._api = await self._in_thread(read_api, self._appsync, self._api_id)
            self._subscriptions = Subscriptions(self._api.schema, self._api.subscription_fields())
            self._authenticator = self._make_authenticator(session, self._api)
            upstream = Upstream(
                self._upstream_url,
                self._api_id,
                self._region,
                self._iam_groups,
                session,
            )
            self._api_host = upstream.host
            self._endpoint = GraphqlEndpoint(
                upstream=upstream,
                api=self._api,
                authenticator=self._authenticator,
                subscriptions=self._subscriptions,
                root_keys=frozenset(self._credentials),
            )
            await self._listen(cleanup)
            self._cleanup = cleanup.pop_all()

    async def stop(self) -> None:
        """Close every connection and the port; may be called twice."""
        self._drop_clients()
        await self._cleanup.aclose()

    def pause(self) -> None:
        """For tests: AppSync is down. Connections drop, requests and handshakes get 503."""
        self._paused = True
        self._drop_clients()

    def resume(self) -> None:
        """For tests: AppSync is back."""
        self._paused = False

    @property
    def subscription_count(self) -> int:
        """How many subscriptions run now."""
        return len(self._subscriptions)

    def _drop_clients(self) -> None:
        for client in self._clients:
            client.abort()

    async def _in_thread(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _make_authenticator(
        self, session: aiohttp.ClientSession, api: DeployedApi
    ) -> Authenticator:
        cognito = None
        if self._user_pool is not None and COGNITO in api.modes:
            url = f"{self._upstream_url}/{self._user_pool.pool_id}/.well-known/jwks.json"
            fetch = functools.partial(_fetch_json, session, url)
            cognito = CognitoVerifier(self._user_pool, fetch, default_action=api.default_action)
        sigv4 = SigV4Verifier(self._credentials, region=self._region, account_id=api.account_id)
        return Authenticator(api.modes, sigv4, cognito)

    async def _listen(self, cleanup: contextlib.AsyncExitStack) -> None:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        cleanup.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self._host, self.port)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        absolute = not request.raw_path.startswith("/")
        if absolute and not self._is_ours(request):
            target = urlsplit(request.raw_path).netloc
            message = (
                f"this gateway proxies POST http://{self._api_host}/graphql only, not {target}"
            )
            return refusal_response(Refused(403, "ForbiddenException", message))
        if self._paused:
            message = "The service is unavailable."
            return refusal_response(Refused(503, "ServiceUnavailableException", message))
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket" and not absolute:
            if request.path in _REALTIME_PATHS:
                return await self._connect(request)
        elif request.path == "/graphql":
            return await self._endpoint.answer(request, self._signing_hosts(request))
        return refusal_response(Refused(404, "NotFoundException", f"nothing at {request.path}"))

    def _is_ours(self, request: web.Request) -> bool:
        target = urlsplit(request.raw_path)
        return (
            request.method == hdrs.METH_POST
            and target.scheme == "http"
            and target.netloc.lower() in (self._api_host, f"{self._api_host}:80")
            and target.path == "/graphql"
            and not target.query
        )

    def _signing_hosts(self, request: web.Request) -> frozenset[str]:
        """Host names a signature may be for: AppSync's own and the one that was really called."""
        own = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", self._host)}
        return frozenset({*own, self._api_host, request.host.lower()})

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        try:
            if not offers_protocol(request):
                raise Refused(400, "NoProtocolError", "the subprotocol must be graphql-ws")
            headers, body = handshake_credentials(request)
            await self._authenticator.authenticate(
                headers, path="/graphql/connect", body=body, hosts=self._signing_hosts(request)
            )
        except Refused as refused:
            return await refuse(request, refused)
        client = Client(
            request,
            connection=Connection(connection_timeout_ms=self._connection_timeout_ms),
            subscriptions=self._subscriptions,
            check=functools.partial(self._check, self._signing_hosts(request)),
            keep_alive_s=self._keep_alive_s,
        )
        self._clients.add(client)
        try:
            return await client.run()
        finally:
            self._clients.discard(client)

    async def _check(self, hosts: frozenset[str], start: Start) -> tuple[Caller, Subscription]:
        """Check one `start`: its credentials, its document, the directives, then its resolver."""
        caller = await self._authenticator.authenticate(
            start.authorization,
            path="/graphql",
            body=start.data.encode(errors="replace"),
            hosts=hosts,
        )
        subscription = self._subscriptions.prepare(
            start.query, start.variables, start.operation_name
        )
        for refusal in refusals(self._api, subscription.operation, caller):
            raise ResolverError("Unauthorized", refusal.error["message"])
        resolver = self._api.resolvers.get(subscription.field)
        if resolver is not None:
            # Never cached: what it says may depend on the moment, and a start is not hot.
            await self._in_thread(
                evaluate_resolver,
                self._appsync,
                resolver,
                field=subscription.field,
                arguments=subscription.arguments,
                caller=caller,
            )
        return caller, subscription


async def _fetch_json(session: aiohttp.ClientSession, url: str) -> Mapping[str, Any]:
    try:
        async with session.get(url) as answer:
            answer.raise_for_status()
            keys: Mapping[str, Any] = await answer.json(content_type=None)
            return keys
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        message = f"The user pool's keys could not be read: {error!r}"
        raise Refused(503, "ServiceUnavailableException", message) from None
