"""MiniStack with two of its gaps closed from inside: `python -m local.ministack_main`.

Both need its process, because it has no setting for them; everything else about it is set from
outside (`local.ministack`).

- A resolver's DynamoDB Query is none: see `local.adapters.appsync_query`.
- Its poller of queues is woken by arrivals, but also by the end of every batch. If that wake finds
  no message, the poller sleeps 50 ms before it looks again, deaf to what arrives. At a few dozen
  events a second that is nearly always, at both queues of the path: it took 20 of the median
  event's 105 ms. Seen in MiniStack 1.5.33; goes when upstream listens while it waits.

Without either, start `ministack` itself and delete this file.
"""

from __future__ import annotations

import sys
from types import ModuleType

from ministack.app import main  # type: ignore[import-untyped]
from ministack.services import (  # type: ignore[import-untyped]
    appsync,
    dynamodb,
    lambda_svc,
)

from local.adapters.appsync_query import install

IDLE_WAKE_GAP_S = 0.001
"""Enough for the processor to do something else; a poll that finds nothing takes 0.05 ms."""


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
    shorten_pause()
    install(appsync, dynamodb)
    sys.exit(main())
