"""Faults between any two calls of an invocation: the wire between a function and its services.

Each invocation has a plan: operation → what happens to its first call, its second, and so on. With
one worker thread a plan hits the same call each time.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from botocore.exceptions import ReadTimeoutError

from tests.support.aws import refusal


class Fault(Enum):
    THROTTLED = "refused for its rate"
    UNAVAILABLE = "HTTP 500"
    INVALID = "refused as a request that AWS does not take"
    PARTIAL = "half of it is done: UnprocessedItems, Failed"
    LOST_ANSWER = "done, but nobody hears of it"
    POSTPONED = "given up by the caller, done later"
    KILLED_BEFORE = "the process ends just before it"
    KILLED_AFTER = "the process ends just after it"
    LATE = "done, and meanwhile the deadline passes"
    OVERTAKEN = "another invocation runs as a whole before it"


class KilledError(BaseException):
    """The process is gone: nothing that it would still do happens."""


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


DEADLINE_S = 60.0
"""Of every invocation; whoever is late is late by nothing, so that time to park is left."""

Key = tuple[str, str]
QUEUE: Key = ("queue", "")


@dataclass
class Invocation:
    """What is to happen, and what has."""

    plan: Mapping[str, Sequence[Fault | None]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    killed: bool = False
    late: bool = False
    hit: set[Key] = field(default_factory=set)
    """Keys of items, or `QUEUE`, of the calls that failed on purpose."""


class Wire:
    """Makes clients whose calls go through the plan of the invocation under way."""

    def __init__(self, clock: Clock, overtake: Callable[[], None] | None = None) -> None:
        self.invocation = Invocation()
        self.postponed: list[Callable[[], Any]] = []
        self._clock = clock
        self._overtake = overtake

    def client(self, service: Any) -> Any:
        return _Client(self, service)

    def call(self, service: Any, operation: str, arguments: dict[str, Any]) -> Any:
        running = self.invocation
        if running.killed:
            raise KilledError
        planned = dict(enumerate(running.plan.get(operation, ())))
        fault = planned.get(running.calls[operation])
        running.calls[operation] += 1
        perform = getattr(service, operation)
        if fault in {None, Fault.OVERTAKEN, Fault.LATE}:
            if fault is Fault.OVERTAKEN and self._overtake is not None:
                self._overtake()
            if fault is Fault.LATE and not running.late and QUEUE not in keys_of(arguments):
                running.late = True
                self._clock.now += DEADLINE_S
            return perform(**arguments)
        running.hit |= keys_of(arguments)
        if fault is Fault.PARTIAL:
            return _half(perform, operation, arguments)
        if fault is Fault.POSTPONED:
            self.postponed.append(lambda: perform(**arguments))
        if fault in {Fault.KILLED_AFTER, Fault.LOST_ANSWER}:
            perform(**arguments)
        if fault in {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}:
            running.killed = True
            raise KilledError
        raise _error(fault, operation)


@dataclass(frozen=True)
class _Client:
    wire: Wire
    service: Any

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **arguments: self.wire.call(self.service, operation, arguments)


def keys_of(arguments: Mapping[str, Any]) -> set[Key]:
    """What a call is about."""
    if "QueueUrl" in arguments:
        return {QUEUE}
    if "RequestItems" in arguments:
        ((_, puts),) = arguments["RequestItems"].items()
        items = [put["PutRequest"]["Item"] for put in puts]
    else:
        items = [arguments.get("Item") or arguments["Key"]]
    return {(item["pk"]["S"], item["sk"]["S"]) for item in items}


def _half(perform: Callable[..., Any], operation: str, arguments: dict[str, Any]) -> Any:
    if operation == "batch_write_item":
        ((table, puts),) = arguments["RequestItems"].items()
        done, left = puts[: len(puts) // 2], puts[len(puts) // 2 :]
        if done:
            perform(RequestItems={table: done})
        return {"UnprocessedItems": {table: left}}
    if operation == "send_message_batch":
        entries = arguments["Entries"]
        done, left = entries[: len(entries) // 2], entries[len(entries) // 2 :]
        if done:
            perform(**{**arguments, "Entries": done})
        failed = [{"Id": entry["Id"], "Code": "InternalError"} for entry in left]
        return {"Successful": [{"Id": entry["Id"]} for entry in done], "Failed": failed}
    raise refusal("ProvisionedThroughputExceededException", operation)


def _error(fault: Fault | None, operation: str) -> Exception:
    if fault is Fault.THROTTLED:
        return refusal("ThrottlingException", operation)
    if fault is Fault.UNAVAILABLE:
        return refusal("InternalServerError", operation, status=500)
    if fault is Fault.INVALID:
        return refusal("ValidationException", operation)
    return ReadTimeoutError(endpoint_url="https://aws")
