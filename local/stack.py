"""The laptop stack as the command line sees it: start, find and stop one by its name.

    stack = start("default", detach=False, on_progress=print)
    stack.info.endpoint_url
    stack.stop()

A stack is a process of its own (`local.supervisor`). Not detached, it ends when this process ends,
however that happens: it holds the other end of a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from local.errors import LocalStackError
from local.info import StackInfo
from local.ports import ChosenPorts, Ports, choose
from local.state import FileLock, StateDir, is_held, state_dir, wait_until_free

__all__ = ["LocalStackError", "Ports", "Stack", "load", "start", "stop"]

STOP_S = 20.0
"""It takes 1 s; MiniStack is given 3 s to end before it is killed."""
KILL_S = 5.0
ROUTES = ("bus", "direct")


class Stack:
    """A stack that is ready."""

    def __init__(
        self, state: StateDir, info: StackInfo, process: subprocess.Popen[str] | None = None
    ) -> None:
        self._state = state
        self._process = process
        self.info = info

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def log(self) -> Path:
        """Folder of the logs, there for as long as the stack is."""
        return self._state.log

    def stop(self) -> None:
        """End it and remove its state; if it has ended on its own, its logs stay to be read."""
        if self._state.running() or not self._state.ended.exists():
            _end(self._state)
        if self._process is not None:
            _close(self._process)


def start(
    name: str = "default",
    *,
    detach: bool,
    ports: Ports | None = None,
    route: str = "bus",
    faults: bool = False,
    on_progress: Callable[[str], None],
) -> Stack:
    """Start a stack and return when an event has made the whole trip through it.

    Parameters
    ----------
    name
        Also its folder below `.latchline`.
    detach
        Whether it outlives this process.
    ports
        Ports that are asked for; free ones otherwise.
    route
        `bus` or `direct`.
    faults
        Whether faults may be injected (`local.faults`).
    on_progress
        Gets a line for people now and then.

    Raises
    ------
    LocalStackError
        With a message for people; nothing is left behind.
    """
    if route not in ROUTES:
        raise LocalStackError(f"route {route!r}: wanted {' or '.join(ROUTES)}")
    state = state_dir(name)
    with _starting(state):
        if state.running():
            raise LocalStackError(_already_running(state))
        if state.path.exists():
            on_progress(f"removing what an earlier stack {name} left behind")
            state.remove()
        chosen = choose(ports or Ports())
        state.create()
        if faults:
            state.faults.mkdir(mode=0o700)
        process = _spawn(state, chosen, route, detach=detach)
        try:
            _wait_until_ready(process, state, on_progress)
            info = StackInfo.load(state.info)
        except BaseException:
            _abandon(process, state)
            raise
    if detach:
        _close(process)
        return Stack(state, info)
    return Stack(state, info, process)


def load(name: str = "default") -> Stack:
    """Return the running stack of that name.

    Raises
    ------
    LocalStackError
        None is running, it is not ready yet, or it has ended on its own (says why).
    """
    state = state_dir(name)
    if not state.running():
        raise LocalStackError(_not_running(state))
    if not state.info.exists():
        raise LocalStackError(f"stack {name} is still starting")
    return Stack(state, StackInfo.load(state.info))


def stop(name: str = "default") -> None:
    """End the stack of that name and remove its state, also what a crashed one left behind.

    Raises
    ------
    LocalStackError
        There is no such stack, it has only begun to start, or it cannot be ended.
    """
    state = state_dir(name)
    if not state.path.exists():
        raise LocalStackError(_not_running(state))
    if not state.running() and is_held(state.starting_lock):
        # Its supervisor cannot be told yet, and would write into what is removed here.
        raise LocalStackError(f"stack {name} has only begun to start: try again in a moment")
    _end(state)


@contextlib.contextmanager
def _starting(state: StateDir) -> Iterator[None]:
    """Keep others from starting a stack of this name, or from tidying up after it, meanwhile."""
    try:
        state.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(state.starting_lock)
    except BlockingIOError:
        raise LocalStackError(
            f"stack {state.name} is being started by another command: wait for it, "
            "or choose another --name"
        ) from None
    except OSError as error:
        raise LocalStackError(f"cannot keep a stack in {state.path.parent}: {error}") from error
    try:
        yield
    finally:
        lock.close()


def _spawn(
    state: StateDir, ports: ChosenPorts, route: str, *, detach: bool
) -> subprocess.Popen[str]:
    project = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (project, os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "local.supervisor", "--state", str(state.path.resolve())),
            *("--route", route, "--gateway", str(ports.gateway)),
            *("--mqtt", str(ports.mqtt), "--realtime", str(ports.realtime)),
            *("--dashboard", str(ports.dashboard)),
            *([] if detach else ["--attached"]),
        ],
        # Its own session: Ctrl-C is for this process, which then ends the stack in order.
        start_new_session=True,
        stdin=subprocess.DEVNULL if detach else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )


def _wait_until_ready(
    process: subprocess.Popen[str], state: StateDir, on_progress: Callable[[str], None]
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        match json.loads(line):
            case {"progress": text}:
                on_progress(text)
            case {"ready": True}:
                return
            case {"error": text}:
                raise LocalStackError(f"stack {state.name} did not start: {text}")
    raise LocalStackError(
        f"stack {state.name} did not start: its supervisor ended (exit status {process.wait()})"
    )


def _abandon(process: subprocess.Popen[str], state: StateDir) -> None:
    """Leave nothing of a stack that did not start."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _close(process)
    with contextlib.suppress(LocalStackError):
        state.remove()


def _end(state: StateDir) -> None:
    pid = state.pid()
    if state.running() and pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        try:
            wait_until_free(state.lock, STOP_S)
        except LocalStackError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until_free(state.lock, KILL_S)
    state.remove()


def _close(process: subprocess.Popen[str]) -> None:
    """Let go of a process: close our ends of its pipes, and reap it when it ends."""
    pipes: tuple[IO[str] | None, ...] = (process.stdin, process.stdout)
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
    # Nobody waits for a detached stack, yet it must not stay as a zombie while we live.
    threading.Thread(target=process.wait, daemon=True).start()


def _already_running(state: StateDir) -> str:
    return (
        f"stack {state.name} is running already (pid {state.pid()}): "
        f"stop it with `latchline down{_option(state)}`, or choose another --name"
    )


def _option(state: StateDir) -> str:
    return "" if state.name == "default" else f" --name {state.name}"


def _not_running(state: StateDir) -> str:
    try:
        why = state.ended.read_text().strip()
    except OSError:
        return (
            f"no stack {state.name} is running here ({state.path}): "
            f"start it with `latchline up{_option(state)}`"
        )
    return f"stack {state.name} has ended on its own: {why}\nlogs: {state.log}"
