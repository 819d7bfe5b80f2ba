"""MiniStack with five of its gaps closed from inside: `python -m local.ministack_main`.

They need its process, because it has no setting for them; everything else about it is set from
outside (`local.ministack`).

- A resolver's DynamoDB Query is none: see `local.adapters.appsync_query`.
- A certificate costs 40 ms: see `local.adapters.certificate_authority`.
- Its HTTP server takes a quarter of its only busy thread: see `local.adapters.http_server`.
- Its poller of queues is woken by arrivals, but also by the end of every batch. If that wake finds
  no message, the poller sleeps 50 ms before it looks again, deaf to what arrives. At a few dozen
  events a second that is nearly always, at both queues of the path: it took 20 of the median
  event's 105 ms. Seen in MiniStack 1.5.33; goes when upstream listens while it waits.
- Python's collector of cycles stops everything to walk all objects, and here they are the items of
  all tables and what the streams keep of them: with 100,000 tiles a second at a time.

Without any of them, start `ministack` itself and delete this file.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path
from types import ModuleType

import hypercorn.asyncio
from ministack import app  # type: ignore[import-untyped]
from ministack.core import lambda_runtime, x509_utils  # type: ignore[import-untyped]
from ministack.services import (  # type: ignore[import-untyped]
    appsync,
    dynamodb,
    lambda_svc,
    sqs,
)

from local.adapters import appsync_query, certificate_authority, http_server
from local.ministack import FAULTS

IDLE_WAKE_GAP_S = 0.001
"""Enough for the processor to do something else; a poll that finds nothing takes 0.05 ms."""

COLLECTIONS = (700, 10, 1_000_000)
"""Of the collector's three generations, the young ones as Python has them: what a request leaves in
circles (exceptions, futures) dies there. A full collection, which walks every item, is as good as
never."""

OPEN_FILES = 65_536
"""A connection of a device is one; no fleet on a laptop comes near."""


def allow_open_files() -> None:
    """Raise the soft limit, often 1,024, as far as the hard one lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def shorten_pause(service: ModuleType = lambda_svc) -> None:
    """Set the pause after a wake for nothing, in MiniStack's module of Lambda.

    Raises
    ------
    AttributeError
        This version of MiniStack does not have it any more, so this can go.
    """
    if not hasattr(service, "_ESM_IDLE_WAKE_GAP_SECONDS"):
        raise AttributeError(f"{service.__name__} has no _ESM_IDLE_WAKE_GAP_SECONDS")
    vars(service)["_ESM_IDLE_WAKE_GAP_SECONDS"] = IDLE_WAKE_GAP_S


if __name__ == "__main__":
    allow_open_files()
    gc.set_threshold(*COLLECTIONS)
    shorten_pause()
    appsync_query.install(appsync, dynamodb)
    certificate_authority.install(x509_utils)
    http_server.install(hypercorn.asyncio)
    if FAULTS in os.environ:
        # Only then is anything of it imported, or in any request's way.
        from local.faults.injector import Injector

        Injector(Path(os.environ[FAULTS])).install(app, lambda_runtime, sqs, lambda_svc)
    sys.exit(app.main())
