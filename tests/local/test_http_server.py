"""The server that stands before MiniStack's application, asked over real sockets."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import hypercorn.asyncio
import pytest
import uvicorn
from hypercorn.config import Config

from local.adapters import http_server
from local.ports import HOST, Ports, choose
from tests.support.wait import eventually

pytestmark = pytest.mark.unit

PATH = "/2015-03-31/functions/arn%3Aaws%3Alambda/x?Qualifier=live"


class Application:
    """Answers with what it was asked, as an emulator that writes its own Date does."""

    def __init__(self) -> None:
        self.lifespan: list[str] = []

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                self.lifespan.append(message["type"])
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        answer = b"|".join((scope["raw_path"], scope["query_string"], body))
        headers = [
            (b"content-length", str(len(answer)).encode()),
            (b"date", b"Sat, 21 Nov 2026 00:00:00 GMT"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def hypercorn_settings(*bind: str) -> Config:
    """What MiniStack sets of them."""
    config = Config()
    config.bind = list(bind)
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    return config


@asynccontextmanager
async def served(application: Application) -> AsyncIterator[int]:
    """The application on a free port, until the block ends."""
    port = choose(Ports()).gateway
    server = uvicorn.Server(http_server.settings(hypercorn_settings(f"{HOST}:{port}"), application))
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started, what="the server to start")
        yield port
    finally:
        server.should_exit = True
        await serving


def ask(port: int, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    try:
        connection.request("POST", PATH, body)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


async def test_the_application_sees_path_query_and_body_as_they_were_sent():
    """A percent sign in a path stays one, for signatures are over the bytes."""
    application = Application()
    async with served(application) as port:
        _, answer = await asyncio.to_thread(ask, port, b"x" * 300_000)
    path, query = PATH.encode().split(b"?")
    assert answer == path + b"|" + query + b"|" + b"x" * 300_000
    assert application.lifespan == ["lifespan.startup", "lifespan.shutdown"]


async def test_the_answer_names_no_server_and_one_date():
    """As AWS's endpoints answer; the reason phrase is there for clients that read it."""
    async with served(Application()) as port:
        answer, _ = await asyncio.to_thread(ask, port, b"{}")
    assert (answer.status, answer.reason) == (200, "OK")
    assert answer.headers.get_all("date") == ["Sat, 21 Nov 2026 00:00:00 GMT"]
    assert answer.getheader("server") is None


def test_settings_that_it_does_not_serve_are_refused_by_name():
    """TLS and a second address are MiniStack's to serve, and the laptop stack asks for neither."""
    with pytest.raises(ValueError, match=r"not \['127\.0\.0\.1:1', '127\.0\.0\.1:443'\]"):
        http_server.settings(hypercorn_settings("127.0.0.1:1", "127.0.0.1:443"), Application())
    secure = hypercorn_settings("127.0.0.1:1")
    secure.certfile = "server.pem"
    with pytest.raises(ValueError, match=r"certificate server\.pem"):
        http_server.settings(secure, Application())


def test_the_function_that_it_replaces_is_there():
    """A hypercorn without it fails here and at the stack's start, not silently."""
    copy = ModuleType(hypercorn.asyncio.__name__)
    vars(copy).update(vars(hypercorn.asyncio))
    http_server.install(copy)
    assert copy.serve is http_server.serve
    with pytest.raises(AttributeError, match="other has no serve"):
        http_server.install(ModuleType("other"))
