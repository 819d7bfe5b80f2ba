"""What a client is asked to do, and how it talks to who asks. Standard library only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

CONNECT_DEADLINE_S = 600.0
HANDSHAKES = 32
"""Connections that are being opened at a time: a broker that is asked for more at once answers none
of them in time."""


@dataclass(frozen=True)
class Locker:
    """A client id, and the files it proves itself with."""

    thing: str
    key: str
    certificate: str


@dataclass(frozen=True)
class Task:
    """`publishers` of the lockers publish, for `seconds`; connections come `per_s` a second."""

    host: str
    port: int
    ca: str
    rule: str
    lockers: list[Locker]
    per_s: float
    publishers: int
    seconds: float

    def save(self, path: Path) -> str:
        """Write it for a client; return the argument that names it."""
        path.write_text(json.dumps(asdict(self)))
        return str(path)

    @classmethod
    def load(cls, path: str) -> Task:
        fields = json.loads(Path(path).read_text())
        return cls(**{**fields, "lockers": [Locker(**each) for each in fields["lockers"]]})

    def topic(self, locker: Locker) -> str:
        """Basic Ingest, as the lockers' policy allows it."""
        return f"$aws/rules/{self.rule}/lockers/v1/{locker.thing}/doors/d01/opened"


class Sequence:
    """Payloads of one locker: each opens or closes its door."""

    def __init__(self) -> None:
        self._boot = int(time.time())
        self._seq = 0

    def next(self) -> bytes:
        self._seq += 1
        now = time.time()
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        return json.dumps(
            {
                "schema": 1,
                "boot": self._boot,
                "seq": self._seq,
                "at": at,
                "open": bool(self._seq % 2),
                "occupied": False,
                "fault": None,
            }
        ).encode()


def answer(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def commands(handlers: dict[str, Callable[[], None]]) -> None:
    """Serve standard input to its end (blocking)."""
    answer(ready=True)
    for line in sys.stdin:
        handlers[line.strip()]()
