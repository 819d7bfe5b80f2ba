"""Faults on purpose: chosen by the plan, made as AWS makes them, and accounted for."""

import asyncio
import json
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from local.errors import LocalStackError
from local.faults import calls
from local.faults.follower import FaultFollower
from local.faults.injector import Injector
from local.faults.outcomes import DELIVERED_AGAIN, FUNCTION, REDRIVEN, SDK, Call, Outcomes
from local.faults.plan import PLAN, Dice, Fault, Part, Plan, Rule, read_plan, write
from local.faults.switch import FaultSwitch
from tests.support.wait import eventually, wait_for

pytestmark = pytest.mark.unit


def call(*subjects: str, sdk_call: str | None = None, invocation: str | None = None) -> Call:
    return Call("UpdateItem", frozenset(subjects), sdk_call, invocation)


@pytest.mark.parametrize(
    ("again", "how"),
    [
        (call("a", sdk_call="s1", invocation="i1"), SDK),
        (call("a", sdk_call="s2", invocation="i1"), FUNCTION),
        (call("a", sdk_call="s3", invocation="i2"), DELIVERED_AGAIN),
    ],
)
def test_a_fault_is_mended_by_the_call_that_succeeds_after_it(again: Call, how: str):
    """The same SDK call, the same run of the function, or neither: that is who mended it."""
    outcomes = Outcomes()
    outcomes.inject(Fault.WRITE_FAILED, call("a", sdk_call="s1", invocation="i1"))
    outcomes.succeed(again, ["a"], DELIVERED_AGAIN)
    assert outcomes.mended == {Fault.WRITE_FAILED: {how: 1}}
    assert not outcomes.open


def test_a_fault_of_a_batch_is_open_until_all_of_it_is_done():
    """Half of the batch is not enough, and what is redriven counts as that."""
    outcomes = Outcomes()
    outcomes.inject(Fault.BATCH_THROTTLED, call("a", "b"))
    outcomes.succeed(call("a"), ["a"], DELIVERED_AGAIN)
    assert outcomes.open == {Fault.BATCH_THROTTLED: 1}
    outcomes.succeed(call("b"), ["b"], REDRIVEN)
    assert outcomes.mended == {Fault.BATCH_THROTTLED: {REDRIVEN: 1}}


def test_a_limit_is_kept_and_the_next_candidate_has_its_chance():
    """Chances add up over the candidates; who has had its limit is passed over."""
    plan = Plan(
        rules={Fault.WRITE_FAILED: Rule(chance=1, limit=1), Fault.WRITE_THROTTLED: Rule(chance=1)}
    )
    both = (Fault.WRITE_FAILED, Fault.WRITE_THROTTLED)
    dice = Dice(1)
    assert dice.throw(plan, both, {}) is Fault.WRITE_FAILED
    assert dice.throw(plan, both, {Fault.WRITE_FAILED: 1}) is Fault.WRITE_THROTTLED
    assert dice.throw(plan, (Fault.PARKING_FAILED,), {}) is None


def test_a_plan_that_is_none_names_file_and_field(tmp_path: Path):
    """A typing error in a test is no mystery."""
    (tmp_path / PLAN).write_text('{"rules": {"write_failed": {"chance": 7}}}')
    with pytest.raises(LocalStackError, match=r"plan\.json: rules\.write_failed\.chance"):
        read_plan(tmp_path)


def test_the_plan_is_for_its_owner_only(tmp_path: Path):
    """Whoever may write it can break the stack."""
    write(tmp_path / PLAN, Plan())
    assert stat.S_IMODE((tmp_path / PLAN).stat().st_mode) == 0o600


def test_a_stack_without_faults_says_so(tmp_path: Path):
    """And names the option."""
    with pytest.raises(LocalStackError, match="--faults"):
        FaultSwitch(tmp_path / "faults")


class Stage:
    """What the injector needs of MiniStack, with a service that writes down what reached it."""

    def __init__(self, folder: Path) -> None:
        self.reached: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {}
        self.queue: list[dict[str, Any]] = []
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.app = ModuleType("app")
        services = ("dynamodb", "events", "sqs", "appsync")
        vars(self.app)["SERVICE_HANDLERS"] = dict.fromkeys(services, self.serve)
        runtime = SimpleNamespace(Worker=_worker_class())
        sqs, lambda_svc = ModuleType("sqs"), ModuleType("lambda_svc")
        vars(sqs).update(
            _receive_messages_for_esm=lambda _url, _count: list(self.queue),
            _delete_messages_for_esm=self.delete,
            _get_q=lambda _url: {"messages": self.queue},
        )
        vars(lambda_svc)["_esm_wake"] = threading.Event()
        self.injector = Injector(folder)
        self.injector.install(self.app, runtime, sqs, lambda_svc)
        self.sqs = sqs
        self.worker = runtime.Worker(self.process)
        self.worker._spawn()
        self.worker.invoke({}, "i1")
        self.switch = FaultSwitch(folder)

    async def serve(self, *request: Any) -> calls.Answer:
        self.reached.append(json.loads(request[3]))
        answer = self.answer(self.reached[-1])
        return 200, {"Content-Length": "1"}, json.dumps(answer).encode()

    def delete(self, _url: str, handles: set[str]) -> None:
        self.queue = [each for each in self.queue if each["receipt_handle"] not in handles]

    def call(
        self, service: str, operation: str, body: dict[str, Any], *, app: str = "app/latchline-1"
    ) -> tuple[int, dict[str, Any]]:
        headers = {"x-amz-target": f"Service.{operation}", "user-agent": f"Boto3 {app} md/x"}
        path = "/graphql" if service == "appsync" else "/"
        handler = self.app.SERVICE_HANDLERS[service]
        answer = asyncio.run(handler("POST", path, headers, json.dumps(body).encode(), {}))
        return answer[0], json.loads(answer[2])


def _worker_class() -> type:
    class Worker:
        func_name = "latchline-dev-fanout"
        in_use = True

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._process = process
            self._proc: subprocess.Popen[bytes] | None = None
            self.config: dict[str, Any] = {"Environment": {"Variables": {"A": "b"}}}

        def _spawn(self) -> None:
            self._proc = self._process

        def invoke(self, event: Any, request_id: str) -> str:
            return request_id

    return Worker


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.process.kill()
    stage.process.communicate()


TILE = {"Key": {"pk": {"S": "BUILDING#b"}, "sk": {"S": "TILE#l#d"}}}


def puts(*keys: str) -> dict[str, Any]:
    items = [{"pk": {"S": "LOCKER#b:l"}, "sk": {"S": key}} for key in keys]
    return {"RequestItems": {"t": [{"PutRequest": {"Item": item}} for item in items]}}


def always(fault: Fault) -> dict[Fault, Rule]:
    return {fault: Rule(chance=1)}


def test_only_calls_of_functions_are_hit(stage: Stage):
    """Who reads the table to judge a run, or deploys, is left alone."""
    stage.switch.set(rules=always(Fault.WRITE_FAILED))
    assert stage.call("dynamodb", "UpdateItem", TILE, app="")[0] == 200
    assert stage.call("dynamodb", "UpdateItem", TILE)[0] == 500
    assert len(stage.reached) == 1


def test_done_but_failed_is_done(stage: Stage):
    """The caller sees a failure of something that has happened."""
    stage.switch.set(rules=always(Fault.WRITE_DONE_BUT_FAILED))
    status, answer = stage.call("dynamodb", "UpdateItem", TILE)
    assert (status, answer["__type"]) == (500, "InternalServerError")
    assert stage.reached == [TILE]


def test_unprocessed_items_are_a_part_of_the_batch(stage: Stage):
    """As on AWS: some are written, the others are named, and never all."""
    stage.switch.set(rules=always(Fault.BATCH_UNPROCESSED))
    batch = puts("EVENT#1", "EVENT#2", "EVENT#3")
    status, answer = stage.call("dynamodb", "BatchWriteItem", batch)
    assert status == 200
    left = answer["UnprocessedItems"]["t"]
    written = stage.reached[0]["RequestItems"]["t"]
    assert left
    assert written
    assert sorted(map(str, left + written)) == sorted(map(str, batch["RequestItems"]["t"]))
    stage.switch.off()
    stage.call("dynamodb", "BatchWriteItem", {"RequestItems": {"t": left}})
    wait_for(lambda: stage.switch.report().outcomes == {Fault.BATCH_UNPROCESSED: {FUNCTION: 1}})


def test_refused_events_keep_their_places(stage: Stage):
    """PutEvents answers for each entry in the request's order."""
    stage.switch.set(rules=always(Fault.PUT_EVENTS_PARTIAL))
    stage.answer = lambda request: {"Entries": [{"EventId": "e"} for _ in request["Entries"]]}
    details = [f'{{"n": {n}}}' for n in range(5)]
    for _ in range(20):  # whichever entries are chosen
        stage.reached.clear()
        _, answer = stage.call("events", "PutEvents", {"Entries": [{"Detail": d} for d in details]})
        sent = [each["Detail"] for request in stage.reached for each in request["Entries"]]
        entries = zip(details, answer["Entries"], strict=True)
        assert sent == [detail for detail, entry in entries if "EventId" in entry]
        assert answer["FailedEntryCount"] == len(details) - len(sent) > 0


def test_a_killed_worker_is_dead(stage: Stage):
    """Killed before: the write never happens; and it is the process that made the call."""
    stage.switch.set(rules=always(Fault.PROJECTOR_KILLED_BEFORE_TILE))
    stage.call("dynamodb", "UpdateItem", TILE)
    assert stage.process.wait(timeout=30) != 0
    assert not stage.reached


def test_a_worker_is_marked_and_keeps_its_environment(stage: Stage):
    """The name is what its SDK calls itself."""
    variables = stage.worker.config["Environment"]["Variables"]
    assert variables == {"A": "b", "AWS_SDK_UA_APP_ID": "latchline-1"}


def test_a_failed_alias_has_no_data(stage: Stage):
    """HTTP 200, and an error whose path names the alias."""
    stage.switch.set(rules=always(Fault.APPSYNC_ALIAS_ERRORS))
    stage.answer = lambda _: {"data": {"b0": {"buildingId": "x"}}}
    batch = {"buildingId": "x", "tiles": [{"lockerId": "l", "doorId": "d"}], "lockers": []}
    body = {"query": "mutation { publishTiles }", "variables": {"b0": batch}}
    status, answer = stage.call("appsync", "", body)
    assert (status, answer["data"]) == (200, {"b0": None})
    assert answer["errors"][0]["path"] == ["b0"]
    stage.switch.off()
    assert stage.call("appsync", "", body)[0] == 200
    wait_for(lambda: Fault.APPSYNC_ALIAS_ERRORS in stage.switch.report().outcomes)


def test_a_service_that_is_down_refuses_every_call_of_a_function(stage: Stage):
    """Until the plan says otherwise."""
    stage.switch.set(down={Part.DYNAMODB})
    assert stage.call("dynamodb", "GetItem", TILE)[0] == 500
    stage.switch.off()
    assert stage.call("dynamodb", "GetItem", TILE)[0] == 200
    assert stage.switch.report().injected == {Fault.DYNAMODB_DOWN: 1}


def test_a_redelivered_message_stays_in_its_queue(stage: Stage):
    """Deleted by its receiver, and visible again all the same; the second delete is one."""
    stage.switch.set(rules={Fault.MESSAGE_REDELIVERED: Rule(chance=1, limit=1)})
    message = {"id": "m", "receipt_handle": "h", "visible_at": 9e12}
    stage.queue.append(message)
    stage.sqs._delete_messages_for_esm("q", {"h"})
    assert stage.queue == [message]
    assert message["visible_at"] < 9e12
    stage.sqs._delete_messages_for_esm("q", {"h"})
    assert not stage.queue
    wait_for(lambda: Fault.MESSAGE_REDELIVERED in stage.switch.report().outcomes)


def test_the_installed_ministack_has_what_is_used():
    """A new version that lacks something fails here by name, not in the middle of a soak."""
    from ministack import app
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sqs

    assert {"dynamodb", "events", "sqs", "appsync"} <= app.SERVICE_HANDLERS.keys()
    assert callable(lambda_runtime.Worker._spawn)
    assert callable(lambda_runtime.Worker.invoke)
    assert callable(sqs._receive_messages_for_esm)
    assert callable(sqs._delete_messages_for_esm)
    assert lambda_svc._esm_wake is not None


class Gateway:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def start(self) -> None:
        self.told.append("start")

    async def stop(self) -> None:
        self.told.append("stop")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


async def test_the_follower_pauses_and_restarts(tmp_path: Path):
    """AppSync goes down and comes back; a restart is of the gateway and the stream mapping."""
    gateway, started = Gateway(), []

    async def mapping() -> None:
        started.append(1)
        await asyncio.Event().wait()

    follower = FaultFollower(tmp_path, gateway, mapping)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follower.run()), group.create_task(follower.run_mapping())]
        for generation, changes in enumerate(
            ({"down": {Part.APPSYNC}}, {"down": set()}, {"restarts": 1}), start=1
        ):
            write(tmp_path / PLAN, Plan.model_validate({"generation": generation, **changes}))
            await eventually(lambda: follower._plan.generation == generation)  # noqa: B023
        await eventually(lambda: len(started) == 2)
        await eventually(lambda: gateway.told == ["pause", "resume", "stop", "start"])
        for task in tasks:
            task.cancel()


async def test_a_mapping_that_fails_is_heard_of(tmp_path: Path):
    """The stack ends with it, as without faults."""

    async def mapping() -> None:
        raise LocalStackError("the stream was closed")

    with pytest.raises(LocalStackError, match="closed"):
        await FaultFollower(tmp_path, Gateway(), mapping).run_mapping()
