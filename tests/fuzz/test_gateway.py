"""Anything that a client sends to the AppSync gateway: it answers in AppSync's form and lives on.

Over real sockets, with an emulator behind it: raw bytes, headers, bodies signed and unsigned,
handshakes, frames.
"""

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any, TypeVar

import aiohttp
import pytest
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from local.realtime.gateway import Gateway
from tests.fuzz.mutations import BYTES, DOCUMENTS, ODD
from tests.support.appsync_client import REGION, query_string, sign, subprotocol
from tests.support.appsync_stack import Api
from tests.support.examples import examples

pytestmark = [pytest.mark.property, pytest.mark.xdist_group("gateway")]

T = TypeVar("T")
DEADLINE_S = 20.0
SUBSCRIBE = 'subscription { onTiles(buildingId: "maple-court") { buildingId publishedAt } }'
QUERY = "query Q($d: ID!) { tile(doorId: $d) { doorId version } }"
PUBLISH = "mutation P($b: TileBatchInput!) { publishTiles(batch: $b) { buildingId publishedAt } }"
TILE = {"doorId": "d02", "version": "00000000000000000001"}
BATCH = {"buildingId": "maple-court", "publishedAt": 1.5, "tiles": []}


class Running:
    """A gateway in a thread of its own, because hypothesis is not asynchronous."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.loop = asyncio.new_event_loop()
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.gateway = Gateway(
            upstream=api.stack.url,
            api_id=api.api_id,
            region=REGION,
            credentials={api.stack.access_key: api.stack.secret_key},
            user_pool=api.pool,
        )
        self.run(self.gateway.start())
        self.session = self.run(self._session())

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_S))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.gateway.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self) -> None:
        self.run(self.session.close())
        self.run(self.gateway.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @property
    def root(self) -> Credentials:
        return Credentials(self.api.stack.access_key, self.api.stack.secret_key)

    def sign(self, body: str, path: str = "/graphql") -> dict[str, str]:
        """For a frame or a handshake, which carry the headers inside."""
        return sign(self.root, self.host, body=body, path=path)

    def headers(self, body: str) -> dict[str, str]:
        """For an HTTP request, as gql signs it."""
        auth = AppSyncIAMAuthentication(self.host, region_name=REGION, credentials=self.root)
        return dict(auth.get_headers(body, {"content-type": "application/json"}))

    async def post(
        self, body: bytes | str, headers: dict[str, str], *, method: str = "POST", path: str = ""
    ) -> tuple[int, Any]:
        url = URL(f"http://{self.host}/graphql{path}", encoded=True)
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    def alive(self) -> None:
        """A good query is still answered; nothing went wrong where nobody looked."""
        body = json.dumps({"query": QUERY, "variables": {"d": "d02"}})
        status, answer = self.run(self.post(body, self.headers(body)))
        assert (status, answer) == (200, {"data": {"tile": TILE}})
        assert self.complaints == []


@pytest.fixture(scope="module")
def gateway(api: Api) -> Iterator[Running]:
    running = Running(api)
    try:
        yield running
    finally:
        running.stop()


def plain(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def mutated(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The document, spoilt in its bytes or in its fields."""

    def spoil(seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.4:
            return bytes(random.choice(BYTES)(random, json.dumps(document).encode()))
        return bytes(random.choice(DOCUMENTS)(random, document))

    return st.integers(0, 2**32).map(spoil)


DOCUMENT = {"query": QUERY, "variables": {"d": "d02"}, "operationName": "Q"}
MUTATION = {"query": PUBLISH, "variables": {"b": BATCH}, "operationName": None}
GRAPHQL = st.lists(
    st.sampled_from(
        [*'{}()[]!:$@#|&="', "...", "query", "mutation", "subscription", "fragment", "on", "F",
         "tile", "onTiles", "publishTiles", "__schema", "__typename", "@skip(if: true)", "null",
         '"""', "\\u0000", "1e999", "-", "é", "🔒", "\x00", "d02", "$d", " "]
    ),
    max_size=25,
).map(" ".join)  # fmt: skip
BODIES = st.one_of(
    mutated(DOCUMENT),
    mutated(MUTATION),
    mutated(BATCH).map(lambda raw: b'{"query": "%s", "variables": {"b": %s}}' % (
        PUBLISH.encode(), raw
    )),
    GRAPHQL.map(lambda text: json.dumps({"query": text}).encode()),
    st.sampled_from((200, 2_000, 20_000)).map(
        lambda depth: json.dumps({"query": "{ tile " * depth + "}" * depth}).encode()
    ),
)  # fmt: skip


def assert_answered(status: int, answer: Any) -> None:
    """AWS: `errors`, each with a message, in every answer that is no success; never 500."""
    assert status in {200, 400, 401, 403, 404, 405, 413}
    assert isinstance(answer, dict)
    assert "data" in answer or answer["errors"]
    for error in answer.get("errors") or ():
        assert isinstance(error["message"], str)


@examples(60, 3_000)
@given(body=BODIES, signed=st.booleans())
def test_any_body_gets_graphqls_envelope(gateway: Running, body: bytes, signed: bool):
    """Signed, it goes through parsing, directives and the emulator; unsigned, it is refused."""
    text = body.decode("utf-8", errors="replace")
    headers = gateway.headers(text) if signed else {"authorization": "x"}
    status, answer = gateway.run(gateway.post(text.encode(), headers))
    if signed:
        assert_answered(status, answer)
    else:
        assert status in {400, 401, 403}
        assert answer["errors"]
    gateway.alive()


TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=60
)
AUTHORIZATIONS = st.one_of(
    TEXT,
    TEXT.map(lambda text: f"Bearer {text}"),
    st.builds("{}.{}.{}".format, *[TEXT.map(lambda text: urlsafe(text.encode()))] * 3),
    # A longer one does not get past the HTTP parser, which answers 400 itself.
    mutated({"alg": "RS256", "kid": "k", "typ": "JWT"})
    .map(lambda raw: f"{urlsafe(raw)}.e30.AAAA")
    .filter(lambda text: len(text) < 8_000),
    st.builds(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}".format,
        TEXT, TEXT, st.sampled_from(("host;x-amz-date", "", ";;;", "host", "é")),
        st.sampled_from(("0" * 64, "", "z" * 64)),
    ),
)  # fmt: skip


@examples(60, 3_000)
@given(
    authorization=AUTHORIZATIONS,
    others=st.dictionaries(
        st.sampled_from(("x-amz-date", "x-amz-security-token", "host", "content-type", "accept")),
        TEXT,
    ),
    method=st.sampled_from(("POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH")),
)
def test_any_credentials_are_refused_in_graphqls_envelope(
    gateway: Running, authorization: str, others: dict[str, str], method: str
):
    """No header makes the gateway fail, and none that was made up opens it."""
    headers = {"authorization": authorization, **others}
    wire = {name: value.strip() for name, value in headers.items() if name != "host" or value}
    status, answer = gateway.run(
        gateway.post(json.dumps(DOCUMENT), wire, method=method, path="?x=%ff&header=%")
    )
    if method == "OPTIONS":
        assert (status, answer) == (200, None)
    else:
        assert status in {400, 401, 403, 405}
        assert answer["errors"][0]["errorType"]
    gateway.alive()


@examples(40, 2_000)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.builds(
            lambda line, head, body: b"\r\n".join((line, *head, b"", body)),
            st.sampled_from(
                (b"POST /graphql HTTP/1.1", b"GET /graphql/realtime HTTP/1.1", b"POST * HTTP/9.9",
                 b"CONNECT example.com:443 HTTP/1.1", b"GET http://169.254.169.254/ HTTP/1.1",
                 b"POST /graphql\xff\x00 HTTP/1.1", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0")
            ),
            st.lists(
                st.sampled_from(
                    (b"Host: x", b"Content-Length: 5", b"Content-Length: -1", b"Upgrade: websocket",
                     b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"Expect: 100-continue",
                     b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Transfer-Encoding: chunked",
                     b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Protocol: graphql-ws", b"\x00: \xff",
                     b"Content-Encoding: gzip", b"Content-Encoding: amz-1.0",
                     b"Authorization: \xff")
                ),
                max_size=8,
            ),
            st.sampled_from((b"", b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"\x81\x85", b"\xff" * 9)),
        ),
    )
)  # fmt: skip
def test_any_bytes_on_the_socket_leave_the_gateway_alive(gateway: Running, raw: bytes):
    """Not HTTP, half of it, or HTTP by somebody who means ill."""

    async def throw() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
        writer.write(raw)
        writer.write_eof()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    answer = gateway.run(throw())
    assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500"))
    gateway.alive()


LINE_BYTES = 8190
"""aiohttp answers 400 to a longer line of a request, before the gateway sees it."""
HANDSHAKE = {"host": "x", "Authorization": "token"}


@examples(40, 2_000)
@given(
    query=st.one_of(
        st.none(),
        mutated(HANDSHAKE).map(lambda raw: f"?header={plain(raw)}&payload=e30="),
        st.sampled_from(
            ("?header=", "?header=%", "?header=%ff&payload=%00", "?header=e30=&payload=!",
             "?header=W10=", "?payload=e30=", "?header=bnVsbA==", "?&&=&header")
        ),
    ),
    protocols=st.one_of(
        st.just(("graphql-ws",)),
        st.just(()),
        mutated(HANDSHAKE).map(lambda raw: ("graphql-ws", f"header-{urlsafe(raw)}")),
        st.sampled_from((("graphql-ws", "header-"), ("header-e30",), ("aws-appsync-event-ws",))),
    ),
)  # fmt: skip
def test_any_handshake_is_refused_with_a_connection_error(
    gateway: Running, query: str | None, protocols: tuple[str, ...]
):
    """AWS: the socket opens, `connection_error` says why, then it is closed."""

    async def attempt() -> tuple[dict[str, Any], int | None]:
        url = URL(f"http://{gateway.host}/graphql/realtime{query or ''}", encoded=True)
        async with gateway.session.ws_connect(url, protocols=protocols) as socket:
            # As clients do; for one that stays silent the gateway waits half a second.
            await socket.send_str('{"type": "connection_init"}')
            frame = await socket.receive_json(timeout=DEADLINE_S)
            while (await socket.receive(DEADLINE_S)).type is aiohttp.WSMsgType.TEXT:
                pass
            return frame, socket.close_code

    if len(query or "") + len(",".join(protocols)) > LINE_BYTES - 100:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            gateway.run(attempt())
        assert refused.value.status == 400
        return
    frame, code = gateway.run(attempt())
    assert frame["type"] == "connection_error"
    (error,) = frame["payload"]["errors"]
    assert error["errorType"]
    assert error["errorCode"] in {400, 401, 403}
    assert code is not None
    gateway.alive()


START = {
    "id": "1",
    "type": "start",
    "payload": {
        "data": json.dumps({"query": SUBSCRIBE, "variables": {}}),
        "extensions": {"authorization": HANDSHAKE},
    },
}


def inner(spoilt: bytes) -> str:
    """A start whose `data`, a document within the document, is spoilt."""
    data = spoilt.decode("utf-8", errors="replace")
    payload = {"data": data, "extensions": {"authorization": HANDSHAKE}}
    return json.dumps({**START, "payload": payload})


FRAMES = st.one_of(
    mutated(START).map(lambda raw: raw.decode("utf-8", errors="replace")),
    mutated({"query": SUBSCRIBE, "variables": {}, "operationName": None}).map(inner),
    st.sampled_from(("connection_init", "start", "stop", "ka", "data", "", None, 1, {})).map(
        lambda kind: json.dumps({"type": kind, "id": "1"})
    ),
    st.sampled_from([value for value in ODD if not isinstance(value, float)]).map(
        lambda value: json.dumps({"type": "stop", "id": value})
    ),
    st.text(max_size=30).map(lambda text: text.encode(errors="replace").decode()),
    st.binary(max_size=30),
)
ANSWERS = {"connection_ack", "ka", "start_ack", "error", "complete", "data"}


@examples(40, 2_000)
@given(frames=st.lists(FRAMES, min_size=1, max_size=8))
def test_any_frames_are_answered_and_the_connection_stays(
    gateway: Running, frames: list[str | bytes]
):
    """Each frame gets an answer of the protocol; a good subscription afterwards still starts."""

    async def converse() -> None:
        credentials = gateway.sign("{}", "/graphql/connect")
        url = URL(
            f"http://{gateway.host}/graphql/realtime{query_string(credentials)}", encoded=True
        )
        async with gateway.session.ws_connect(url, protocols=("graphql-ws",)) as socket:
            for frame in frames:
                send: Callable[[Any], Any] = (
                    socket.send_bytes if isinstance(frame, bytes) else socket.send_str
                )
                await send(frame)
            data = json.dumps({"query": SUBSCRIBE, "variables": {}})
            good = {"data": data, "extensions": {"authorization": gateway.sign(data)}}
            await socket.send_json({"id": "the-good-one", "type": "start", "payload": good})
            while True:
                answer = await socket.receive_json(timeout=DEADLINE_S)
                assert answer["type"] in ANSWERS
                if answer.get("id") == "the-good-one":
                    assert answer["type"] == "start_ack", answer
                    return
                if answer["type"] == "error":
                    assert all(error["message"] for error in answer["payload"]["errors"])

    gateway.run(converse())
    gateway.alive()


def test_credentials_as_a_subprotocol_are_what_is_mutated_here(gateway: Running):
    """The good form of what the handshakes above spoil is accepted."""

    async def attempt() -> str:
        credentials = gateway.sign("{}", "/graphql/connect")
        protocols = ("graphql-ws", subprotocol(credentials))
        url = f"http://{gateway.host}/graphql/realtime"
        async with gateway.session.ws_connect(url, protocols=protocols) as socket:
            await socket.send_json({"type": "connection_init"})
            return str((await socket.receive_json(timeout=DEADLINE_S))["type"])

    assert gateway.run(attempt()) == "connection_ack"
