"""A laptop stack for one benchmark: in a folder of its own, gone with it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import stack
from local.info import StackInfo


@dataclass(frozen=True)
class Laptop:
    """A running stack, and a folder for the benchmark's own files."""

    info: StackInfo
    folder: Path


@contextmanager
def laptop(name: str, on_progress: Callable[[str], None]) -> Iterator[Laptop]:
    """Start a stack of that name beside whatever else runs, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix=f"latchline-{name}-") as folder:
        os.environ["LATCHLINE_HOME"] = folder
        running = stack.start(name, detach=False, on_progress=on_progress)
        try:
            yield Laptop(running.info, Path(folder))
        finally:
            running.stop()
