"""The HTTP half of the AppSync gateway: GraphQL requests on their way to the deployed API.

A request comes in one of two ways:

* for AppSync's own host name, `<api>.appsync-api.<region>.amazonaws.com`, signed by a role (the
  fan-out, through `HTTP_PROXY`): handed on untouched, because the emulator knows the role's secret,
  verifies the signature and asks the role's policy about every field;
* anything else: verified here, checked against the schema's auth directives, handed on with its
  token, or with a stand-in token if it was signed.

Gaps: MiniStack with AUTH=true verifies neither tokens nor the signature of a root-class key (the
configured one, `test`, any account number), enforces no auth directives, and gives resolvers no
`ctx.identity` for a signed request. Seen in MiniStack 1.5.33.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
from aiohttp import hdrs, web
from graphql import OperationType
from multidict import CIMultiDict
from yarl import URL

from local.realtime.credentials import (
    COGNITO,
    Authenticator,
    Caller,
    Refused,
    signing_key,
    unauthorized,
)
from local.realtime.operations import (
    BadDocument,
    Operation,
    parse_operation,
    refusals,
    without_fields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.realtime.api import DeployedApi
    from local.realtime.subscriptions import Subscriptions

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "x-amzn-requestid, x-amzn-errortype",
}
_PREFLIGHT = CORS | {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_NOT_FORWARDED = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers of one hop, and those that are set anew."""
_ROLE_KEY = re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,124}")
"""Keys of users and roles. The emulator takes every other shape for root and verifies nothing."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The emulator's endpoint, and how requests get there.

    `iam_groups` is what resolvers see as the groups of a caller who came with IAM: they have no
    other way here to tell a machine from a person without groups.
    """

    url: str
    api_id: str
    region: str
    iam_groups: tuple[str, ...]
    session: aiohttp.ClientSession

    @property
    def host(self) -> str:
        """The API's host name as AppSync would have it."""
        return f"{self.api_id}.appsync-api.{self.region}.amazonaws.com"

    async def untouched(self, request: web.Request, body: bytes) -> tuple[int, Any, bytes]:
        """Hand a request on as it was signed."""
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _NOT_FORWARDED
        )
        headers[hdrs.HOST] = self.host
        return await self._post(f"{self.url}/graphql", headers, body)

    async def vouched(
        self, caller: Caller, authorization: str, body: bytes
    ) -> tuple[int, Any, bytes]:
        """Hand on a request of a caller whom the gateway has verified."""
        url = f"{self.url}/v1/apis/{self.api_id}/graphql"
        token = authorization if caller.mode == COGNITO else self._stand_in(caller)
        headers = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", hdrs.AUTHORIZATION: token})
        return await self._post(url, headers, body)

    def _stand_in(self, caller: Caller) -> str:
        """Make a token whose claims become `ctx.identity`; the emulator verifies none."""
        identity = caller.identity
        claims = {
            "sub": identity["userArn"],
            "username": identity["username"],
            "userArn": identity["userArn"],
            "accountId": identity["accountId"],
            "cognito:groups": list(self.iam_groups),
        }
        return jwt.encode(claims, "", algorithm="none")

    async def _post(
        self, url: str, headers: CIMultiDict[str], body: bytes
    ) -> tuple[int, Any, bytes]:
        try:
            async with self.session.post(URL(url), data=body, headers=headers) as answer:
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the API did not answer: %r", error)
            raise Refused(503, "ServiceUnavailableException", "The API did not answer.") from None


@dataclass(frozen=True, slots=True)
class _Request:
    body: bytes
    message: Mapping[str, Any]
    operation: Operation


class GraphqlEndpoint:
    """Answers `POST /graphql` and publishes what its mutations returned."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        api: DeployedApi,
        authenticator: Authenticator,
        subscriptions: Subscriptions,
        root_keys: frozenset[str],
    ) -> None:
        self._upstream = upstream
        self._api = api
        self._authenticator = authenticator
        self._subscriptions = subscriptions
        self._root_keys = root_keys

    async def answer(self, request: web.Request, hosts: frozenset[str]) -> web.Response:
        """Answer one request; `hosts` are the names that a signature may have been made for."""
        if request.method == hdrs.METH_OPTIONS:
            asked = request.headers.get("Access-Control-Request-Headers", "*")
            return web.Response(headers=_PREFLIGHT | {"Access-Control-Allow-Headers": asked})
        try:
            if request.method != hdrs.METH_POST:
                raise Refused(405, "UnsupportedOperation", "GraphQL requests are POST requests.")
            return await self._post(request, hosts)
        except Refused as refused:
            return refusal_response(refused)

    async def _post(self, request: web.Request, hosts: frozenset[str]) -> web.Response:
        acknowledge_at_once(request.transport)
        body = await request.read()
        if len(request.headers.getall(hdrs.AUTHORIZATION, [])) > 1:
            raise unauthorized()
        if self._is_for_upstream(request):
            status, headers, answer = await self._upstream.untouched(request, body)
            if status == web.HTTPOk.status_code:
                self._publish_from(_read_request(body), answer)
            return _response(status, headers, answer)
        caller = await self._authenticator.authenticate(
            request.headers, path="/graphql", body=body, hosts=hosts
        )
        return await self._vouched(caller, request.headers.get(hdrs.AUTHORIZATION, ""), body)

    def _is_for_upstream(self, request: web.Request) -> bool:
        """Whether a role signed this for the API's host, so that only the emulator can verify it.

        Keys of ours are verified here under any host name: the emulator would let them pass
        whatever their signature says.
        """
        if request.host.partition(":")[0].lower() != self._upstream.host:
            return False
        key = signing_key(request.headers)
        return key is not None and key not in self._root_keys and bool(_ROLE_KEY.fullmatch(key))

    async def _vouched(self, caller: Caller, authorization: str, body: bytes) -> web.Response:
        asked = _read_request(body)
        kind = asked.operation.kind
        if kind is OperationType.SUBSCRIPTION:
            message = "subscriptions are served over WebSocket, at /graphql/realtime"
            raise Refused(400, "UnsupportedOperation", message)
        refused = refusals(self._api, asked.operation, caller)
        if not refused:
            status, headers, answer = await self._upstream.vouched(caller, authorization, body)
            if status == web.HTTPOk.status_code:
                self._publish_from(asked, answer)
            return _response(status, headers, answer)
        result: dict[str, Any] = {"data": {}}
        keys = frozenset(one.key for one in refused)
        if keys != asked.operation.root_fields.keys():
            root = self._api.schema.get_root_type(kind)
            query = without_fields(asked.operation, root.name if root else "", keys)
            rest = json.dumps({**asked.message, "query": query}).encode()
            status, headers, answer = await self._upstream.vouched(caller, authorization, rest)
            if status != web.HTTPOk.status_code:
                return _response(status, headers, answer)
            self._publish_from(asked, answer)
            result = json.loads(answer)
        if any(one.nulls_data for one in refused) or result.get("data") is None:
            result["data"] = None
        else:
            result["data"].update(dict.fromkeys(sorted(keys)))
        result["errors"] = [*(one.error for one in refused), *result.get("errors", [])]
        return web.json_response(result, headers=CORS)

    def _publish_from(self, asked: _Request, answer: bytes) -> None:
        """Publish every mutation field that came back without an error of its own.

        Synchronous from the answer on, so that pushes keep the order in which mutations ended.
        """
        if asked.operation.kind is not OperationType.MUTATION:
            return
        fields = asked.operation.root_fields
        if not self._subscriptions.wants(nodes[0].name.value for nodes in fields.values()):
            return
        result = json.loads(answer)
        failed = [error.get("path") for error in result.get("errors") or ()]
        data = result.get("data") or {}
        for key, nodes in fields.items():
            value = data.get(key)
            if isinstance(value, dict) and [key] not in failed:
                if key in asked.operation.renamed:
                    value = asked.operation.by_field_name(value, nodes)
                self._subscriptions.publish(nodes[0].name.value, value)


def acknowledge_at_once(transport: asyncio.BaseTransport | None) -> None:
    """Acknowledge what has come so far, without waiting for something to send with it.

    urllib3 leaves Nagle's algorithm on for a connection to a proxy, which the gateway is to the
    fan-out: the request's body waits for the acknowledgement of its headers, and Linux would hold
    that back for 40 ms. The option is spent by the next packet, so every request asks for it.
    """
    sock = None if transport is None else transport.get_extra_info("socket")
    option = getattr(socket, "TCP_QUICKACK", None)
    if sock is not None and option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, 1)


def refusal_response(refused: Refused) -> web.Response:
    """AppSync's envelope of a request that it did not execute."""
    return web.json_response(
        {"errors": [{"errorType": refused.error_type, "message": refused.message}]},
        status=refused.status,
        headers=CORS | {"x-amzn-errortype": refused.error_type},
    )


def _response(status: int, headers: Mapping[str, str], body: bytes) -> web.Response:
    kept = {
        name: headers[name]
        for name in (hdrs.CONTENT_TYPE, "x-amzn-requestid", "x-amzn-errortype")
        if name in headers
    }
    return web.Response(status=status, headers=CORS | kept, body=body)


def _read_request(body: bytes) -> _Request:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    query = message.get("query") if isinstance(message, dict) else None
    name = message.get("operationName") if isinstance(message, dict) else None
    if not isinstance(query, str) or not (name is None or isinstance(name, str)):
        raise Refused(
            400,
            "MalformedHttpRequestException",
            "Invalid JSON payload in GraphQLAuth POST request.",
        )
    try:
        return _Request(body, message, parse_operation(query, name))
    except BadDocument:
        raise Refused(
            400, "MalformedHttpRequestException", "Unable to parse GraphQL query."
        ) from None
