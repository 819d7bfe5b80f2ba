"""Which processes live (Linux)."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process id with its start time, so that a recycled id is another process."""

    pid: int
    started: str

    def lives(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        fields = _stat(self.pid)
        return fields is not None and fields[19] == self.started and fields[0] != "Z"


def process(pid: int) -> Process:
    """The running process of this id."""
    fields = _stat(pid)
    assert fields is not None, f"no process {pid}"
    return Process(pid, fields[19])


def family(pid: int) -> set[Process]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for each in _pids():
        fields = _stat(each)
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(each)
    found, left = set(), [pid]
    while left:
        each = left.pop()
        fields = _stat(each)
        if fields is not None:
            found.add(Process(each, fields[19]))
            left += children.get(each, [])
    return found


def processes_with(text: str) -> list[int]:
    """Process ids whose command line or environment names the text."""
    found = []
    for pid in _pids():
        entry = Path(f"/proc/{pid}")
        try:
            seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in seen and pid != os.getpid():
            found.append(pid)
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on: 0 state, 1 parent, 19 start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
