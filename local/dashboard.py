"""Serves the built dashboard on the loopback interface, as CloudFront does on AWS.

The same headers (`infra.page_headers`), the same `/config.json`. Files are read when they are asked
for, so `make dashboard` shows in a stack that runs already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from infra.page_headers import cache_control, page_headers
from local.info import StackInfo
from local.ports import HOST

DIST = Path(__file__).resolve().parent.parent / "dashboard" / "dist"
INDEX = "index.html"
CONFIG = "config.json"
STAGE = "laptop"
UNBUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Latchline</title>
<h1>The dashboard is not built yet</h1>
<p>Run <code>make dashboard</code> in Latchline's folder (it needs a network once), then load this
page again. The stack need not be started anew.</p>
"""


def is_built(dist: Path = DIST) -> bool:
    """Whether there is a page to serve."""
    return (dist / INDEX).is_file()


class PageConfig(BaseModel):
    """What the page fetches as /config.json before it does anything. Nothing in it is secret."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    region: str
    user_pool_id: str
    user_pool_client_id: str
    user_pool_endpoint: str | None
    """Where Cognito is called instead of its own host name; None on AWS."""
    graphql: str
    realtime: str
    stage: str

    @classmethod
    def of(cls, info: StackInfo, *, stage: str = STAGE) -> PageConfig:
        """The configuration of a page for a deployment."""
        return cls(
            region=info.region,
            user_pool_id=info.cognito.user_pool_id,
            user_pool_client_id=info.cognito.client_id,
            user_pool_endpoint=info.endpoint_url,
            graphql=info.graphql.http,
            realtime=info.graphql.realtime,
            stage=stage,
        )

    def to_json(self) -> bytes:
        """What is served as /config.json."""
        return self.model_dump_json(by_alias=True).encode()

    def origins(self) -> list[str]:
        """What the page connects to, for its Content-Security-Policy."""
        cognito = self.user_pool_endpoint or f"https://cognito-idp.{self.region}.amazonaws.com"
        urls = (urlsplit(url) for url in (self.graphql, self.realtime, cognito))
        return [f"{url.scheme}://{url.netloc}" for url in urls]


class DashboardServer:
    """The page of one deployment on a port of the loopback interface; 0 takes a free one."""

    def __init__(self, config: PageConfig, *, port: int = 0, dist: Path = DIST) -> None:
        self._config = config.to_json()
        self._headers = page_headers(config.origins())
        self._dist = dist
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    async def start(self) -> None:
        """Raise OSError if the port is taken."""
        application = web.Application(middlewares=[self._with_headers])
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """May be called twice, and without a start."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _with_headers(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(self._headers)
            raise
        response.headers.update(self._headers)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"] or INDEX
        headers = {hdrs.CACHE_CONTROL: cache_control(path)}
        if path == CONFIG:
            return web.Response(body=self._config, content_type="application/json", headers=headers)
        file = (self._dist / path).resolve()
        if file.is_relative_to(self._dist) and file.is_file():
            return web.FileResponse(file, headers=headers)
        if path == INDEX:
            return web.Response(status=503, text=UNBUILT, content_type="text/html", headers=headers)
        raise web.HTTPNotFound(text=f"nothing at /{path}\n")
