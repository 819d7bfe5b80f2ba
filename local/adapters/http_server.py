"""Has uvicorn serve the emulator's HTTP: the same answers for a third of the processor time.

Gap: MiniStack does nearly everything in one thread, and serves HTTP with hypercorn, whose parser is
plain Python: half a millisecond for each request, several of which belong to an event. Under load a
quarter of that thread's time was reading and writing HTTP; with uvicorn and httptools it is a
twelfth, and what queues for the thread waits that much less. Seen in MiniStack 1.5.33; delete this
file when upstream serves with something faster.

How: MiniStack's `main` looks up `hypercorn.asyncio.serve` when it starts; `local.ministack_main`
puts the `serve` of this module in its place. The application, its protocol (ASGI) and the settings
that MiniStack made for hypercorn stay as they are.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import uvicorn

GRACE_S = 3
"""Hypercorn's: what is still being answered when the process is told to end has this long."""


def settings(theirs: Any, app: Any) -> uvicorn.Config:
    """Shape hypercorn's settings, as far as MiniStack sets any, like uvicorn's.

    Raises
    ------
    ValueError
        It binds more than one address, or wants TLS, which the laptop stack never asks for.
    """
    if len(theirs.bind) != 1 or theirs.certfile:
        raise ValueError(
            f"one address without TLS is what is served here, not {theirs.bind}"
            f" with certificate {theirs.certfile}"
        )
    host, _, port = theirs.bind[0].rpartition(":")
    return uvicorn.Config(
        app,
        host=host,
        port=int(port),
        http="httptools",
        loop="asyncio",
        lifespan="on",
        # AWS's endpoints name no server, and the application writes its own Date.
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        log_level=theirs.loglevel.lower(),
        timeout_keep_alive=int(theirs.keep_alive_timeout),
        timeout_graceful_shutdown=GRACE_S,
        # Many devices and functions call at once; none is to be refused.
        backlog=theirs.backlog,
        proxy_headers=False,
    )


async def serve(app: Any, config: Any, **_: Any) -> None:
    """Serve until SIGINT or SIGTERM: what `hypercorn.asyncio.serve` does."""
    await uvicorn.Server(settings(config, app)).serve()


def install(hypercorn_asyncio: ModuleType) -> None:
    """Replace the module's `serve`.

    Raises
    ------
    AttributeError
        This version of hypercorn has no such function.
    """
    if not hasattr(hypercorn_asyncio, "serve"):
        raise AttributeError(f"{hypercorn_asyncio.__name__} has no serve")
    vars(hypercorn_asyncio)["serve"] = serve
