"""Runs a session in front of a person: live view or plain lines, Ctrl-C, then the verdict."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.live_view import LiveView
from simulators.queues import queue_depths
from simulators.session import Session
from simulators.verdict import Finding, Verdict

REFRESH_S = 0.25
PLAIN_EVERY_S = 2.0
DEPTHS_EVERY_S = 2.0
DEAD_LETTER_QUEUES = (
    "iot_errors",
    "ingest_dlq",
    "bus_dlq",
    "projector_dlq",
    "quarantine",
    "fanout_dlq",
)
SHOWN_DIFFERENCES = 20


def run_session(
    session: Session,
    console: Console,
    *,
    hints: Sequence[str] = (),
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> LiveView:
    """Run until the plan's duration is over or Ctrl-C; both end it in order.

    A second Ctrl-C gives up on what is still on its way. `beside` runs for as long on the same
    event loop, and is cancelled at the end.
    """
    view = LiveView(session, hints)
    asyncio.run(_run(session, view, console, beside))
    return view


async def _run(
    session: Session,
    view: LiveView,
    console: Console,
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(session.run(stop))
    others = [asyncio.create_task(_watch_depths(session, view))]
    if beside is not None:
        others.append(asyncio.create_task(beside()))

    def interrupt() -> None:
        if stop.is_set():
            running.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        with _screen(view, console) as draw:
            while not running.done():
                draw()
                await asyncio.wait({running}, timeout=REFRESH_S)
        with suppress(asyncio.CancelledError):
            running.result()
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _screen(view: LiveView, console: Console) -> "Iterator[Drawing]":
    if not console.is_terminal:
        yield Drawing(view, console, None)
        return
    with Live(view, console=console, auto_refresh=False, transient=False) as live:
        yield Drawing(view, console, live)


class Drawing:
    """Call it often; it refreshes the screen each time, or prints a plain line now and then."""

    def __init__(self, view: LiveView, console: Console, live: Live | None) -> None:
        self._view = view
        self._console = console
        self._live = live
        self._phase = ""
        self._next = 0.0

    def __call__(self) -> None:
        if self._live is not None:
            self._live.refresh()
            return
        due = time.monotonic() >= self._next
        if due or self._view.phase != self._phase:
            self._phase = self._view.phase
            self._next = time.monotonic() + PLAIN_EVERY_S
            self._console.print(self._view.line(), soft_wrap=True, highlight=False)


async def _watch_depths(session: Session, view: LiveView) -> None:
    urls = {name: session.target.queues[name] for name in DEAD_LETTER_QUEUES}
    client = session.target.client("sqs")
    while True:
        # A queue that can't be asked must not end a run; the view then keeps the last figures.
        with suppress(Exception):
            view.dead_letters = await asyncio.to_thread(queue_depths, client, urls)
        await asyncio.sleep(DEPTHS_EVERY_S)


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Print a table by view, then the first differences one a line."""
    table = Table(title=None)
    for column in ("view", "checked", *(finding.value for finding in Finding)):
        table.add_column(column, justify="left" if column == "view" else "right")
    for view, checked in verdict.checked.items():
        counts = [str(verdict.count(finding, view)) for finding in Finding]
        table.add_row(view.value, str(checked), *counts)
    console.print(table)
    for difference in verdict.differences[:SHOWN_DIFFERENCES]:
        console.print(f"  {difference}", soft_wrap=True, highlight=False)
    hidden = len(verdict.differences) - SHOWN_DIFFERENCES
    if hidden > 0:
        console.print(f"  … and {hidden} more (--json lists all)")


def verdict_line(verdict: Verdict) -> str:
    lost, wrong, extra = (verdict.count(finding) for finding in Finding)
    word = "ok" if verdict.ok else "DIFFERENT"
    return (
        f"{word}: {verdict.acknowledged} of {verdict.events} events acknowledged, "
        f"{lost} lost, {wrong} wrong, {extra} extra"
    )


def exit_with(verdict: Verdict) -> None:
    from scripts.errors import EXIT_DIFFERENT

    if not verdict.ok:
        raise typer.Exit(EXIT_DIFFERENT)
