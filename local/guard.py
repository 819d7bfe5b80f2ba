"""Runs a command and ends it, with all its descendants, when the process that asked for it dies.

`python -m local.guard LOCK -- COMMAND…` reads its standard input, a pipe whose other end only the
parent holds. However the parent dies, the kernel closes that end, and the guard sees the end of the
file. Portable, unlike Linux's parent-death signal, and it works for SIGKILL, unlike `atexit`.

The command runs as leader of a process group of its own; the whole group is ended. The guard keeps
LOCK for as long as it lives, so that others can wait for the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from local.state import FileLock

GRACE_S = 3.0
"""From the polite signal to the other one."""
_POLL_S = 0.02


def main(arguments: list[str]) -> int:
    """Return the command's exit status, negative for a signal."""
    lock_file, separator, *command = arguments
    assert separator == "--", "usage: python -m local.guard LOCK -- COMMAND…"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the pipe counts: a signal to the guard must not orphan the command. A handler, not
        # SIG_IGN, because the command would inherit that.
        signal.signal(number, lambda *_: None)
    lock = FileLock(Path(lock_file))
    # Standard output is for the line below. Were it the command's too, it would block once nobody
    # reads on, and the guard's own death could not be seen while the command lives.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    # The parent needs the group's id should the guard itself be killed.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
    threading.Thread(target=_end_at_eof, args=(child.pid,), daemon=True).start()
    status = child.wait()
    end_group(child.pid, grace_s=0)
    lock.close()
    return status


def _end_at_eof(group: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    end_group(group, grace_s=GRACE_S)


def end_group(group: int, *, grace_s: float) -> None:
    """End every process of a group: SIGTERM first, SIGKILL after the grace; no error if none."""
    deadline = time.monotonic() + grace_s
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if grace_s:
            os.killpg(group, signal.SIGTERM)
            while time.monotonic() < deadline:
                time.sleep(_POLL_S)
                os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    # `_exit`: the reader thread may still be in `read`, and nothing is left to flush.
    sys.stdout.flush()
    os._exit(main(sys.argv[1:]) & 0xFF)
