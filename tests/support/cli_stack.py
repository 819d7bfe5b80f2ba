"""A whole laptop stack, started, asked and stopped through the command line as its user does it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = (str(Path(sys.executable).with_name("latchline")),)
READY = "Ctrl-C stops it"
START_S = 180
STOP_S = 30


@dataclass
class CliStack:
    """A running stack: where its files are, and what `latchline info --json` says of it."""

    home: Path
    name: str
    info: dict[str, Any]
    process: subprocess.Popen[str]

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `latchline <arguments> --name <this stack>`."""
        return latchline(*arguments, "--name", self.name, home=self.home, timeout_s=timeout_s)


def environment(home: Path) -> dict[str, str]:
    """The user's own, with the state elsewhere and wide enough for whole lines."""
    return {**os.environ, "LATCHLINE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}


def latchline(
    *arguments: str, home: Path, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def cli_stack(home: Path, name: str, *options: str) -> Iterator[CliStack]:
    """Start with `latchline up`; end it with Ctrl-C.

    Raises
    ------
    RuntimeError
        It ended, or the time was up, before it was ready; holds all that it printed.
    """
    process = subprocess.Popen(
        [*COMMAND, "up", "--name", name, *options],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    printed = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if READY in line:
                break
        else:
            raise RuntimeError(f"latchline up ended: {''.join(printed)}")
        watchdog.cancel()
        answer = latchline("info", "--json", "--name", name, home=home)
        yield CliStack(home, name, json.loads(answer.stdout), process)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
