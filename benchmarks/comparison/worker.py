"""One design's functions in a process of their own, handed events over standard input.

    python -m benchmarks.comparison.worker <design>

Each line is a request, each answered with one: see `serve`. What the functions print goes nowhere,
but they do print it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from benchmarks.comparison.designs import DESIGNS, Design, Function
from benchmarks.comparison.wire import Usage, Wire

TIMEOUT_MS = 300_000
"""Of an invocation; longer than on AWS, because the machine may be busy."""


@dataclass(frozen=True)
class Context:
    """Lambda's context object, as far as the functions and Powertools look at it."""

    function_name: str
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return TIMEOUT_MS


class Functions:
    """The handlers of a design; each is imported when it is first asked for."""

    def __init__(self, design: Design, wire: Wire) -> None:
        self._design = design
        self._wire = wire
        self._context = Context(design.table)

    def handle(
        self,
        *,
        function: str,
        events: Sequence[dict[str, Any]],
        count: bool = False,
        offline: bool = False,
    ) -> dict[str, Any]:
        """Hand over the events one after the other: seconds, failures and, if counted, usage."""
        handler = self._handler(Function(function))
        usage = self._wire.usage = Usage() if count else None
        self._wire.offline = offline
        failed = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for event in events:
            failed += len(handler(event, self._context)["batchItemFailures"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self._wire.usage, self._wire.offline = None, False
        return {
            "wall_s": wall,
            "cpu_s": cpu,
            "failed": failed,
            "usage": None if usage is None else usage.as_json(),
        }

    def own_code(self, *, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Seconds of CPU that the projector takes for the events on clients that do nothing."""
        handle = self._on_nothing
        cpu = time.process_time()
        for event in events:
            handle(event)
        return {"cpu_s": time.process_time() - cpu}

    @cached_property
    def _on_nothing(self) -> Callable[[dict[str, Any]], object]:
        # Not before the wire is installed: a function's module makes its clients when imported.
        from benchmarks.comparison.own_code import projector  # noqa: PLC0415

        return projector(self._design, self._context)

    def _handler(self, function: Function) -> Callable[..., Any]:
        handler: Callable[..., Any] = importlib.import_module(self._design.module(function)).handler
        return handler


def serve(functions: Functions, requests: IO[str], answers: IO[str]) -> None:
    """Answer until the input ends; a request names a method of `Functions` and its arguments."""
    methods: Mapping[str, Callable[..., dict[str, Any]]] = {
        "handle": functions.handle,
        "own_code": functions.own_code,
    }
    for line in requests:
        asked = json.loads(line)
        answer = methods[asked.pop("do")](**asked)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    # Ctrl-C is for who started us, and then closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    (design,) = (each for each in DESIGNS if each.name == sys.argv[1])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    wire = Wire()
    wire.install()
    serve(Functions(design, wire), sys.stdin, answers)


if __name__ == "__main__":
    main()
