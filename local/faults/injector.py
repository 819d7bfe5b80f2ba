"""Makes faults happen in MiniStack's process, where every call of the functions comes by.

Installed by `local.ministack_main` only if a stack is started with `--faults`. It sits between
MiniStack's authorization and its services, so a call has been verified by then and nothing of what
follows has been done. Calls of the functions are told from everybody else's by the name that
`AWS_SDK_UA_APP_ID` puts into their `User-Agent`; one name a process, so that the very process that
makes a call can be killed at that call.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from local.faults import calls
from local.faults.calls import Answer
from local.faults.outcomes import Call, Outcomes
from local.faults.plan import DOWN, REPORT, Dice, Fault, Part, Plan, Report, read_plan, write

POLL_S = 0.1
SERVICES = ("dynamodb", "events", "sqs", "appsync")
TILE, HISTORY, PARKING, PUT, PUBLISH = (
    "UpdateItem",
    "BatchWriteItem",
    "SendMessageBatch",
    "PutEvents",
    "publishTiles",
)
KILLED_BEFORE = {
    HISTORY: Fault.PROJECTOR_KILLED_BEFORE_HISTORY,
    TILE: Fault.PROJECTOR_KILLED_BEFORE_TILE,
    PUBLISH: Fault.FANOUT_KILLED_BEFORE_PUBLISH,
}
KILLED_AFTER = {
    HISTORY: Fault.PROJECTOR_KILLED_AFTER_HISTORY,
    TILE: Fault.PROJECTOR_KILLED_AFTER_TILE,
    PARKING: Fault.PROJECTOR_KILLED_AFTER_PARKING,
    PUT: Fault.PIPE_KILLED_AFTER_PUT,
    PUBLISH: Fault.FANOUT_KILLED_AFTER_PUBLISH,
}
PARTIAL = {
    HISTORY: Fault.BATCH_UNPROCESSED,
    PUT: Fault.PUT_EVENTS_PARTIAL,
    PARKING: Fault.PARKING_REFUSED,
}
WRITES = (Fault.WRITE_FAILED, Fault.WRITE_DONE_BUT_FAILED, Fault.WRITE_ANSWER_LATE)
LATE = (Fault.WRITE_ANSWER_LATE, Fault.APPSYNC_ANSWER_LATE)
OTHERS = {
    TILE: (Fault.WRITE_THROTTLED, *WRITES),
    "PutItem": (Fault.WRITE_THROTTLED, *WRITES),
    "GetItem": (Fault.WRITE_THROTTLED,),
    HISTORY: (Fault.BATCH_THROTTLED, *WRITES),
    PARKING: (Fault.PARKING_FAILED,),
    PUT: (Fault.PUT_EVENTS_FAILED,),
    PUBLISH: (Fault.APPSYNC_FAILED, Fault.APPSYNC_ALIAS_ERRORS, Fault.APPSYNC_ANSWER_LATE),
}
SERVICE_PART = {"dynamodb": Part.DYNAMODB, "events": Part.EVENTS}

log = logging.getLogger(__name__)

Run = Callable[[bytes], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Request:
    service: str
    call: Call
    content: Mapping[str, Any]
    entries: Sequence[calls.Subjects]
    """Subjects of each, in the request's order; `call` has all of them."""
    body: bytes
    worker: Any


class Injector:
    """One for the process. Counters are guarded: queues are polled in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan = Plan()
        self._dice = Dice(self._plan.seed)
        self._outcomes = Outcomes()
        self._calls: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._workers: dict[int, Any] = {}
        """Number to worker, of MiniStack's class."""
        self._invocations: dict[Any, str] = {}
        """Worker to the request id of what it runs now."""
        self._numbers = itertools.count(1)

    def install(
        self, app: ModuleType, runtime: ModuleType, sqs: ModuleType, lambda_svc: ModuleType
    ) -> None:
        """Put it before MiniStack's services, its workers and its poller of queues.

        Raises
        ------
        KeyError, AttributeError
            This version of MiniStack lacks something that is used here.
        """
        for service in SERVICES:
            theirs = app.SERVICE_HANDLERS[service]
            app.SERVICE_HANDLERS[service] = functools.partial(self._handle, service, theirs)
        self._mark_workers(runtime.Worker)
        self._watch_queues(sqs, lambda_svc)
        threading.Thread(target=self._follow_plan, daemon=True, name="faults").start()

    # Requests.

    async def _handle(  # noqa: PLR0917  (the last five are how MiniStack calls it)
        self,
        service: str,
        theirs: Callable[..., Awaitable[Answer]],
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
    ) -> Answer:
        request = self._read(service, path, headers, body)

        async def run(content: bytes) -> Answer:
            return await theirs(method, path, headers, content, query)

        if request is None:
            return await run(body)
        with self._guard:
            self._calls[request.call.operation] += 1
            fault = self._choose(request)
            if fault is not None:
                self._outcomes.inject(fault, request.call)
        if fault is None:
            return self._observed(request, await run(body))
        log.info("fault %s at %s", fault, request.call.operation)
        return await self._faulty(fault, request, run)

    def _read(
        self, service: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> _Request | None:
        operation = calls.operation_of(service, path, headers, body)
        if operation not in OTHERS:
            return None
        worker = self._busy("fanout") if operation == PUBLISH else self._caller(headers)
        if worker is None:
            return None
        content = json.loads(body)
        entries = calls.subjects_of(operation, content)
        call = Call(
            operation,
            frozenset().union(*entries),
            headers.get("amz-sdk-invocation-id"),
            self._invocations.get(worker),
        )
        return _Request(service, call, content, entries, body, worker)

    def _caller(self, headers: Mapping[str, str]) -> Any:
        number = calls.worker_number(headers)
        return None if number is None else self._workers.get(number)

    def _busy(self, part: str) -> Any:
        """The worker of a function that runs now; with one lane there is at most one.

        The fan-out calls AppSync without an SDK, so its calls bear no name.
        """
        for worker in list(self._workers.values()):
            if worker.in_use and worker.func_name.endswith(f"-{part}"):
                return worker
        return None

    def _choose(self, request: _Request) -> Fault | None:
        part = SERVICE_PART.get(request.service)
        if part in self._plan.down:
            return DOWN[part]
        return self._dice.throw(self._plan, _candidates(request), self._outcomes.injected)

    def _observed(self, request: _Request, answer: Answer) -> Answer:
        done = calls.done_by(request.call.operation, request.entries, answer)
        with self._guard:
            self._outcomes.succeed(request.call, done, self._plan.phase)
        return answer

    async def _faulty(self, fault: Fault, request: _Request, run: Run) -> Answer:
        if fault in KILLED_BEFORE.values():
            return _kill(request.worker)
        if fault in KILLED_AFTER.values():
            await run(request.body)
            return _kill(request.worker)
        if fault in PARTIAL.values():
            return await self._partial(request, run)
        if fault in LATE:
            answer = await run(request.body)
            wait_s = self._plan.write_late_s if fault in WRITES else self._plan.appsync_late_s
            await asyncio.sleep(wait_s)
            return answer
        if fault is Fault.APPSYNC_ALIAS_ERRORS:
            failed = self._dice.some(len(request.entries))
            answer = calls.without_aliases(await run(request.body), failed)
            return self._observed(request, answer)
        if fault is Fault.WRITE_DONE_BUT_FAILED:
            await run(request.body)
        return self._refusal(fault, request.service)

    def _refusal(self, fault: Fault, service: str) -> Answer:
        match fault:
            case Fault.WRITE_THROTTLED | Fault.BATCH_THROTTLED:
                return calls.throttled(table=self._dice.either(True, False))
            case Fault.PRESENCE_RACE_LOST:
                return calls.condition_failed()
            case Fault.APPSYNC_FAILED:
                return calls.graphql_error(self._dice.either(429, 500, 503))
        return calls.internal_error(service)

    async def _partial(self, request: _Request, run: Run) -> Answer:
        operation, count = request.call.operation, len(request.entries)
        # AWS: BatchWriteItem that can process nothing at all is throttled as a whole.
        refused = self._dice.some(count - 1 if operation == HISTORY else count)
        body = calls.without_entries(operation, request.content, refused)
        answer = None if len(refused) == count else await run(body)
        if answer is not None and answer[0] != calls.OK:
            return answer
        return self._observed(
            request, calls.with_refused(operation, request.content, refused, answer)
        )

    # Workers.

    def _mark_workers(self, worker_class: Any) -> None:
        spawn, invoke = worker_class._spawn, worker_class.invoke  # noqa: SLF001

        @functools.wraps(spawn)
        def marked_spawn(worker: Any) -> None:
            number = next(self._numbers)
            for known, each in list(self._workers.items()):
                if each is worker:
                    del self._workers[known]
            self._workers[number] = worker
            environment = worker.config.get("Environment") or {}
            variables = {
                **environment.get("Variables", {}),
                "AWS_SDK_UA_APP_ID": f"latchline-{number}",
            }
            worker.config = {
                **worker.config,
                "Environment": {**environment, "Variables": variables},
            }
            spawn(worker)

        @functools.wraps(invoke)
        def noted_invoke(worker: Any, event: Any, request_id: str, **rest: Any) -> Any:
            self._invocations[worker] = request_id
            return invoke(worker, event, request_id, **rest)

        worker_class._spawn, worker_class.invoke = marked_spawn, noted_invoke  # noqa: SLF001

    # Queues. AWS: a standard queue delivers at least once, and a message that is not deleted before
    # its visibility timeout ends is delivered again.

    def _watch_queues(self, sqs: ModuleType, lambda_svc: ModuleType) -> None:
        receive, delete = sqs._receive_messages_for_esm, sqs._delete_messages_for_esm  # noqa: SLF001

        @functools.wraps(receive)
        def watched_receive(url: str, count: int) -> list[dict[str, Any]]:
            return [self._maybe_expired(message) for message in receive(url, count)]

        @functools.wraps(delete)
        def watched_delete(url: str, handles: set[str]) -> None:
            delete(url, handles - self._kept(sqs._get_q(url)["messages"], handles))  # noqa: SLF001
            lambda_svc._esm_wake.set()  # noqa: SLF001

        sqs._receive_messages_for_esm = watched_receive  # type: ignore[attr-defined]  # noqa: SLF001
        sqs._delete_messages_for_esm = watched_delete  # type: ignore[attr-defined]  # noqa: SLF001

    def _maybe_expired(self, message: dict[str, Any]) -> dict[str, Any]:
        if not self._hits(Fault.VISIBILITY_EXPIRED, message):
            return message
        # A copy: its receipt handle is stale once the message is received again.
        taken = dict(message)
        message["visible_at"] = time.time()
        return taken

    def _kept(self, messages: Sequence[dict[str, Any]], handles: set[str]) -> set[str]:
        """Handles of messages that come again although their receiver deleted them."""
        kept = set()
        for message in messages:
            if message.get("receipt_handle") not in handles:
                continue
            call = _message_call(message)
            with self._guard:
                self._outcomes.succeed(call, call.subjects, self._plan.phase)
            if self._hits(Fault.MESSAGE_REDELIVERED, message):
                kept.add(message["receipt_handle"])
                message["visible_at"] = time.time()
        return kept

    def _hits(self, fault: Fault, message: Mapping[str, Any]) -> bool:
        with self._guard:
            hit = self._dice.throw(self._plan, (fault,), self._outcomes.injected) is not None
            if hit:
                self._outcomes.inject(fault, _message_call(message))
        return hit

    # The plan, and the report.

    def _follow_plan(self) -> None:
        reported: Report | None = None
        while True:
            try:
                plan = read_plan(self._folder)
                if plan.generation != self._plan.generation:
                    self._follow(plan)
                report = self._report()
                if report != reported:
                    write(self._folder / REPORT, report)
                    reported = report
            except Exception:
                log.exception("the plan of faults could not be followed")
            time.sleep(POLL_S)

    def _follow(self, plan: Plan) -> None:
        with self._guard:
            before, self._plan = self._plan, plan
            if plan.seed != before.seed:
                self._dice = Dice(plan.seed)
        if plan.restarts > before.restarts:
            for worker in list(self._workers.values()):
                _kill(worker)

    def _report(self) -> Report:
        with self._guard:
            return Report(
                generation=self._plan.generation,
                injected=dict(self._outcomes.injected),
                outcomes={fault: dict(count) for fault, count in self._outcomes.mended.items()},
                open=dict(self._outcomes.open),
                calls=dict(self._calls),
            )


def _candidates(request: _Request) -> Iterator[Fault]:
    operation = request.call.operation
    for faults in (KILLED_BEFORE, KILLED_AFTER):
        if operation in faults:
            yield faults[operation]
    if operation in PARTIAL and not (operation == HISTORY and len(request.entries) == 1):
        yield PARTIAL[operation]
    yield from OTHERS[operation]
    if operation == "PutItem" and "ConditionExpression" in request.content:
        yield Fault.PRESENCE_RACE_LOST


def _message_call(message: Mapping[str, Any]) -> Call:
    return Call("message", frozenset({f"message {message['id']}"}))


def _kill(worker: Any) -> Answer:
    """SIGKILL, as when the machine below goes away. Nobody is left to read the answer."""
    process = worker._proc  # noqa: SLF001
    if process is not None:
        process.kill()
    return calls.service_error("InternalFailure", "its caller is dead", 500)
