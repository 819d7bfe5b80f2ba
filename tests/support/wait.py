"""Waiting for a condition, with a deadline; never a fixed sleep."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05


def wait_for(condition: Callable[[], T], *, timeout_s: float = 30.0, what: str = "") -> T:
    """Return the first true value of the condition; raise AssertionError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition}: not within {timeout_s:g} s, last {value!r}")
        threading.Event().wait(POLL_S)


async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, timeout_s: float = 30.0, what: str = ""
) -> T:
    """`wait_for` for the event loop; the condition may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition}: not within {timeout_s:g} s, last {value!r}")
        await asyncio.sleep(POLL_S)
