"""MiniStack, with one of its pauses made shorter: `python -m local.ministack_main`.

Gap: its poller of queues is woken by arrivals, but also by the end of every batch. If that wake
finds no message, the poller sleeps 50 ms before it looks again, deaf to what arrives. At a few
dozen events a second that is nearly always, at both queues of the path: it took 20 of the median
event's 105 ms. Seen in MiniStack 1.5.33, which has no setting for it; delete this file and
start `ministack` itself when upstream listens while it waits.
"""

from __future__ import annotations

import sys
from types import ModuleType

from ministack.app import main  # type: ignore[import-untyped]
from ministack.services import lambda_svc  # type: ignore[import-untyped]

IDLE_WAKE_GAP_S = 0.001
"""Enough for the processor to do something else; a poll that finds nothing takes 0.05 ms."""


def shorten_pause(service: ModuleType = lambda_svc) -> None:
    """Set the pause after a wake for nothing, in MiniStack's module of Lambda.

    Raises
    ------
    AttributeError
        This version of MiniStack does not have it any more, so this file can go.
    """
    if not hasattr(service, "_ESM_IDLE_WAKE_GAP_SECONDS"):
        raise AttributeError(f"{service.__name__} has no _ESM_IDLE_WAKE_GAP_SECONDS")
    vars(service)["_ESM_IDLE_WAKE_GAP_SECONDS"] = IDLE_WAKE_GAP_S


if __name__ == "__main__":
    shorten_pause()
    sys.exit(main())
