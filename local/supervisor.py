"""The one process of a running stack: MiniStack's parent, and home of the gateway and adapters.

`python -m local.supervisor --state DIR --route bus --gateway 1 --mqtt 2 --realtime 3
--dashboard 4 [--attached]` reports to whoever started it with lines of JSON on standard output,
until it is ready:

    {"progress": "…"}   {"ready": true}   {"error": "…"}

It ends on SIGINT and SIGTERM; with --attached also at the end of its standard input, which is how
it notices that its parent is gone. It ends, too, when MiniStack or an adapter does. In every case
it takes all that it started with it; its state directory stays only if it ended on its own, so that
somebody can read why.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from local.endpoint import HERMETIC
from local.errors import LocalStackError
from local.ports import ChosenPorts
from local.state import FileLock, StateDir

log = logging.getLogger("local.supervisor")


class Reporter:
    """Tells the starting process how far it is; afterwards only the log hears of anything."""

    def __init__(self) -> None:
        # A copy of stdout: whatever else prints goes to the log.
        self._out: int | None = os.dup(1)

    def progress(self, text: str) -> None:
        log.info("%s", text)
        self._send({"progress": text})

    def ready(self) -> None:
        self._send({"ready": True})
        self.close()

    def error(self, text: str) -> None:
        self._send({"error": text})
        self.close()

    def close(self) -> None:
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def _send(self, message: dict[str, object]) -> None:
        if self._out is None:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._out, json.dumps(message).encode() + b"\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack; 0 if it was asked to end, 1 if it ended on its own."""
    options = _parse(arguments)
    state = StateDir(options.state)
    state.create()
    lock = FileLock(state.lock)
    state.pid_file.write_text(f"{os.getpid()}\n")
    reporter = Reporter()
    _log_to(state.log / "supervisor.log")
    _forget_aws()
    ports = ChosenPorts(options.gateway, options.mqtt, options.realtime, options.dashboard)
    try:
        was_ready = asyncio.run(
            supervise(state, ports, options.route, reporter, attached=options.attached)
        )
    except LocalStackError as error:
        return _ended_on_its_own(state, lock, reporter, str(error))
    except Exception as error:  # a defect: its stack is in the log, a line for people goes out
        log.exception("a defect")
        text = f"{type(error).__name__}: {error}; see {state.log / 'supervisor.log'}"
        return _ended_on_its_own(state, lock, reporter, text)
    log.info("ended %s", "as asked" if was_ready else "before it was ready")
    reporter.error("stopped before it was ready")
    state.remove()
    lock.close()
    return 0


def _ended_on_its_own(state: StateDir, lock: FileLock, reporter: Reporter, text: str) -> int:
    log.error("%s", text)
    state.ended.write_text(text + "\n")
    state.info.unlink(missing_ok=True)
    lock.close()
    reporter.error(text)
    return 1


async def supervise(
    state: StateDir, ports: ChosenPorts, route: str, reporter: Reporter, *, attached: bool
) -> bool:
    """Run until asked to end; return whether it was ready by then.

    Raises
    ------
    LocalStackError
        Something did not start, or ended on its own.
    """
    # Late: half a second of imports that a person who asks twice should not wait for.
    from local.running import RunningStack  # noqa: PLC0415

    stop = asyncio.Event()
    async with _asked_to_end(stop, attached=attached):
        stack = RunningStack(state, ports, route, reporter.progress)
        asked = asyncio.create_task(stop.wait())
        try:
            starting = asyncio.create_task(stack.start())
            await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
                return False
            starting.result()
            reporter.ready()
            failed = asyncio.create_task(stack.failed())
            await asyncio.wait({failed, asked}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                raise failed.result()
            failed.cancel()
            return True
        finally:
            asked.cancel()
            await stack.stop()


@contextlib.asynccontextmanager
async def _asked_to_end(stop: asyncio.Event, *, attached: bool) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(0, 1024):
            loop.remove_reader(0)
            stop.set()

    if attached:
        loop.add_reader(0, read)
    try:
        yield
    finally:
        if attached:
            loop.remove_reader(0)
        for number in signals:
            loop.remove_signal_handler(number)


def _log_to(path: Path) -> None:
    logging.basicConfig(
        filename=path,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("gql", "botocore", "websockets", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Tracebacks of threads, and whatever a library prints.
    with path.open("ab") as file:
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _forget_aws() -> None:
    """No profile, key or endpoint of the user's reaches this process or its children."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(HERMETIC)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.supervisor")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--route", default="bus")
    for port in ("--gateway", "--mqtt", "--realtime", "--dashboard"):
        parser.add_argument(port, type=int, required=True)
    parser.add_argument("--attached", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
