"""Where a running stack keeps its files, and how one tells that it runs.

    <root>/.latchline/<name>/     0700, gone when the stack is down
        supervisor.lock           held (flock) by the supervisor for as long as it lives
        guard.lock                held by the guard of MiniStack
        supervisor.pid
        info.json                 0600, written when the stack is ready
        ended.txt                 why it ended, if it did so on its own
        iot-ca.pem                CA of the MQTT endpoint
        log/                      supervisor.log, ministack.log
        emulator/                 all that MiniStack writes
        faults/                   plan and report of injected faults; only with `up --faults`
    <root>/.latchline/.<name>.starting   held by who starts the stack, until it is ready
    <root> is $LATCHLINE_HOME, or the working directory.

A lock says more than a process id: the kernel gives it back however its holder dies, and nobody
else gets it with a recycled number.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalStackError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_POLL_S = 0.05
_PROBED_S = 0.5
"""Who asks whether a lock is held has it for a moment; its owner-to-be waits that out."""


@dataclass(frozen=True, slots=True)
class StateDir:
    """The files of one stack; nothing is created by naming them."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def lock(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def guard_lock(self) -> Path:
        return self.path / "guard.lock"

    @property
    def pid_file(self) -> Path:
        return self.path / "supervisor.pid"

    @property
    def info(self) -> Path:
        return self.path / "info.json"

    @property
    def ended(self) -> Path:
        return self.path / "ended.txt"

    @property
    def ca_file(self) -> Path:
        return self.path / "iot-ca.pem"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def emulator(self) -> Path:
        return self.path / "emulator"

    @property
    def faults(self) -> Path:
        """Exists if faults may be injected (`local.faults`)."""
        return self.path / "faults"

    @property
    def starting_lock(self) -> Path:
        """Beside the folder, which a start may remove and make again."""
        return self.path.with_name(f".{self.name}.starting")

    def create(self) -> None:
        """Make the folders; only their owner may look into them.

        Raises
        ------
        LocalStackError
            The file system does not allow it.
        """
        try:
            for folder in (self.path, self.log, self.emulator):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise LocalStackError(f"cannot make {self.path}: {error}") from error

    def running(self) -> bool:
        """Whether a supervisor lives."""
        return is_held(self.lock)

    def pid(self) -> int | None:
        """Process id of the supervisor, as it wrote it down."""
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def remove(self, *, deadline_s: float = 10.0) -> None:
        """Delete everything, once the guard has seen MiniStack off.

        Raises
        ------
        LocalStackError
            The guard still lives at the deadline, or a file cannot be deleted.
        """
        wait_until_free(self.guard_lock, deadline_s)
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise LocalStackError(f"cannot remove {self.path}: {error}") from error


def state_root() -> Path:
    """Folder of all stacks: below $LATCHLINE_HOME, or below the working directory."""
    return Path(os.environ.get("LATCHLINE_HOME") or Path.cwd()) / ".latchline"


def state_dir(name: str) -> StateDir:
    """Raise LocalStackError for a name that is no plain folder name."""
    if not _NAME.fullmatch(name):
        raise LocalStackError(
            f"stack name {name!r}: wanted up to 32 lower-case letters, digits and hyphens"
        )
    return StateDir(state_root() / name)


class FileLock:
    """An exclusive lock on a file, given back when closed or when its holder dies.

    Raises
    ------
    BlockingIOError
        Somebody else has it, and not just to look.
    """

    def __init__(self, path: Path) -> None:
        # Python's descriptors are not inherited, so no child can keep the lock alive.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take()
        except OSError:
            os.close(self._descriptor)
            raise

    def _take(self) -> None:
        deadline = time.monotonic() + _PROBED_S
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def close(self) -> None:
        os.close(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock; False if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_until_free(path: Path, deadline_s: float) -> None:
    """Raise LocalStackError if the lock is still held at the deadline."""
    deadline = time.monotonic() + deadline_s
    while is_held(path):
        if time.monotonic() > deadline:
            raise LocalStackError(f"{path} is still locked after {deadline_s:g} s")
        time.sleep(_POLL_S)
