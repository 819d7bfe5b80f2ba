"""A redrive on real queues: every letter goes where it belongs, and none is lost on the way."""

import random
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operations.letters import Queue
from operations.plan import Fate
from operations.redrive import Orders, Redrive
from operations.selection import Selection
from operations.sources import QueueSource
from tests.support.aws import Aws, always, in_process_aws, refusal
from tests.support.dead_letters import BUS_ATTRIBUTES, bus_event, iot_error, stream_failure
from tests.support.dlq_bench import DlqBench
from tests.support.lambda_events import door_envelope, payload, presence_envelope
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration

FAST = Orders(rate=None, canary_s=20, check_s=20, native=False)
"""moto has no move task: tests/unit/test_dlq_native.py."""


@pytest.fixture
def bench(aws: Aws) -> DlqBench:
    return DlqBench(aws)


def run(bench: DlqBench, orders: Orders, *queues: Queue) -> Redrive:
    work = bench.redrive(orders)
    work.run_queues(queues)
    return work


def fates(work: Redrive) -> Counter[Fate]:
    return Counter(step.fate for step in work.ledger.steps)


@pytest.mark.parametrize("queue", [Queue.PROJECTOR_DLQ, Queue.INGEST_DLQ, Queue.QUARANTINE])
def test_envelopes_go_back_and_are_seen_to_arrive(bench: DlqBench, queue: Queue):
    """All letters are in history and tile, and none is left."""
    bench.put(queue, *(bench.event(seq) for seq in range(1, 14)))
    with bench.working():
        work = run(bench, FAST, queue)
    assert work.ledger.good
    assert fates(work) == {Fate.ARRIVED: 13}
    assert bench.history() == set(range(1, 14))
    assert bench.look(queue) == []


def test_a_target_s_letter_goes_to_the_target(bench: DlqBench):
    """The detail of the event, and not the event."""
    bench.put("bus_dlq", bus_event(bench.event(1)), attributes=BUS_ATTRIBUTES)
    with bench.working():
        assert run(bench, FAST, Queue.BUS_DLQ).ledger.good
    assert bench.history() == {1}


def test_a_rule_s_letter_takes_the_whole_way(bench: DlqBench):
    """The envelope that the rule would have made goes to ingest, door and presence alike."""
    bench.put(
        "iot_errors",
        iot_error(payload(boot=bench.boot, seq=1)),
        iot_error(
            b'{"clientId":"maple-court:l03","timestamp":%d,"eventType":"connected",'
            b'"sessionIdentifier":"s1","versionNumber":1}' % bench.now,
            topic="$aws/events/presence/connected/maple-court:l03",
        ),
    )
    with bench.working():
        assert run(bench, FAST, Queue.IOT_ERRORS).ledger.good
    assert bench.history() == {1}
    locker = bench.aws.locker()
    assert locker is not None
    assert locker["connected"]["BOOL"]


def test_presence_is_checked_in_its_locker(bench: DlqBench):
    """It leaves no history: it has arrived when it is part of what is known of the locker."""
    bench.put("projector_dlq", presence_envelope(connected=True, at=bench.now))
    with bench.working():
        work = run(bench, FAST, Queue.PROJECTOR_DLQ)
    assert [(step.fate, step.detail) for step in work.ledger.steps] == [(Fate.ARRIVED, "locker")]


def test_only_what_is_selected_goes(bench: DlqBench):
    """The rest stays, visible at once."""
    other = door_envelope(payload(boot=bench.boot, seq=9), thing="birch-house:l01")
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 13)), other)
    orders = replace(FAST, selection=Selection(buildings={"birch-house"}))
    with bench.working():
        assert fates(run(bench, orders, Queue.PROJECTOR_DLQ)) == {Fate.ARRIVED: 1}
    assert bench.history() == {9}
    assert len(bench.look("projector_dlq")) == 12


def test_a_pointer_that_tells_no_building_is_meant_by_whoever_names_one(bench: DlqBench):
    """Any of its items may be of it; one that tells another building is not meant."""
    own = {
        **stream_failure(size=1),
        "keys": {"pk": {"S": "BUILDING#birch-house"}, "sk": {"S": "TILE#l01#d01"}},
    }
    bench.put("fanout_dlq", stream_failure(), own)
    orders = replace(FAST, selection=Selection(buildings={"maple-court"}))
    (step,) = bench.redrive(orders).plan([Queue.FANOUT_DLQ])
    assert step.letter.building is None
    assert step.goes


def test_a_limit_is_kept(bench: DlqBench):
    """So many and no more, canary included; what was not meant to go is not left either."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 31)))
    with bench.working():
        work = run(bench, replace(FAST, limit=7), Queue.PROJECTOR_DLQ)
    assert fates(work) == {Fate.ARRIVED: 7}
    assert len(bench.look("projector_dlq")) == 23


def test_a_plan_touches_nothing(bench: DlqBench):
    """All letters are there after it, for anybody to receive."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 31)))
    bench.put("quarantine", "garbage")
    planned = bench.redrive(FAST).plan(list(Queue))
    assert Counter(step.fate for step in planned) == {Fate.PLANNED: 30, Fate.REFUSED: 1}
    assert len(bench.look("projector_dlq")) == 30
    assert len(bench.look("quarantine")) == 1


def test_a_canary_that_is_parked_again_stops_it(bench: DlqBench):
    """Nothing else is sent, the reason is told, and the letter lies in quarantine once."""
    bench.put("quarantine", *(bench.event(seq, schema=7) for seq in range(1, 6)))
    orders = replace(FAST, even_refused=True)
    with bench.working():
        work = run(bench, orders, Queue.QUARANTINE)
    (problem,) = work.ledger.problems
    assert "schema_unknown" in problem
    assert "no other letter was sent" in problem
    assert fates(work) == {Fate.CAME_BACK: 1}
    assert len(bench.look("quarantine")) == 5


def test_a_canary_that_does_not_arrive_stops_it_and_keeps_its_letter(bench: DlqBench):
    """The projector is down: one was sent, every letter is still there."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 6)))
    work = run(bench, replace(FAST, canary_s=0.3, check_s=0.1), Queue.PROJECTOR_DLQ)
    assert "not in the table after 0.3 s" in work.ledger.problems[0]
    assert fates(work) == {Fate.SENT: 1}
    assert len(bench.look("projector_dlq")) == 5


def test_what_fails_again_is_not_sent_in_a_loop(bench: DlqBench):
    """A letter that is younger than the run is left where it landed, and told."""
    bench.put("quarantine", *(bench.event(seq, schema=7) for seq in range(1, 4)))
    orders = replace(FAST, even_refused=True, canary_s=0)
    with bench.working():
        work = run(bench, orders, Queue.QUARANTINE)
    assert fates(work) == {Fate.CAME_BACK: 3}
    assert not work.ledger.good
    assert len(bench.look("quarantine")) == 3


def test_a_newcomer_is_left_for_a_person_to_look_at(bench: DlqBench):
    """What was not there when the run began is nobody's decision yet."""
    work = bench.redrive(FAST)
    bench.put("projector_dlq", bench.event(1))
    with bench.working():
        work.run_queues([Queue.PROJECTOR_DLQ])
    assert fates(work) == {Fate.YOUNGER: 1}
    assert len(bench.look("projector_dlq")) == 1


def test_an_entry_that_sqs_refuses_stays_and_its_neighbours_go(bench: DlqBench):
    """HTTP 200 with a failed entry is that entry's failure."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 11)))

    def refuse_one(arguments: dict[str, Any]) -> Any:
        good = [each for each in arguments["Entries"] if '"d03"' not in each["MessageBody"]]
        bad = [each for each in arguments["Entries"] if '"d03"' in each["MessageBody"]]
        if good:
            bench.aws.sqs.send_message_batch(QueueUrl=arguments["QueueUrl"], Entries=good)
        failed = [
            {"Id": each["Id"], "SenderFault": True, "Code": "InvalidMessageContents"}
            for each in bad
        ]
        return {"Successful": [{"Id": each["Id"]} for each in good], "Failed": failed}

    bench.sqs.faults["send_message_batch"] = refuse_one
    orders = replace(FAST, canary_s=0)
    with bench.working():
        work = run(bench, orders, Queue.PROJECTOR_DLQ)
    assert fates(work) == {Fate.ARRIVED: 9, Fate.FAILED: 1}
    (left,) = bench.look("projector_dlq")
    assert left.door == "d03"


def test_what_sqs_could_not_take_for_a_moment_is_sent_again(bench: DlqBench):
    """A failed entry that is not the sender's fault gets another try."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 4)))
    tries = iter([True])

    def busy(arguments: dict[str, Any]) -> Any:
        if not next(tries, False):
            return None
        entries = [{"Id": each["Id"], "Code": "InternalError"} for each in arguments["Entries"]]
        return {"Failed": entries}

    bench.sqs.faults["send_message_batch"] = busy
    with bench.working():
        assert run(bench, FAST, Queue.PROJECTOR_DLQ).ledger.good


def test_a_letter_that_cannot_be_deleted_is_told(bench: DlqBench):
    """It was sent and arrived, yet lies there still: not good, and harmless."""
    bench.put("projector_dlq", bench.event(1))

    def refuse(arguments: dict[str, Any]) -> Any:
        return {
            "Failed": [
                {"Id": each["Id"], "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
                for each in arguments["Entries"]
            ]
        }

    bench.sqs.faults["delete_message_batch"] = refuse
    with bench.working():
        work = run(bench, FAST, Queue.PROJECTOR_DLQ)
    assert "ReceiptHandleIsInvalid" in work.ledger.problems[0]
    assert fates(work) == {Fate.ARRIVED: 1}
    assert not work.ledger.good


def test_a_refusal_of_aws_ends_it_with_the_outcome_so_far(bench: DlqBench):
    """No right to send: the error is part of the outcome, and every letter is kept."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 4)))
    bench.sqs.faults["send_message_batch"] = always(refusal("AccessDenied", "SendMessageBatch"))
    work = run(bench, FAST, Queue.PROJECTOR_DLQ)
    assert "AccessDenied" in work.ledger.problems[0]
    assert not work.ledger.steps
    assert len(bench.look("projector_dlq")) == 3


class KilledError(BaseException):
    """The process ends here: nothing of the tool catches it."""


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(st.sampled_from(["stop", "kill"]), st.integers(1, 12)), max_size=4))
def test_whatever_interrupts_it_nothing_is_lost(interruptions: list[tuple[str, int]]):
    """Stopped or killed before or after any call to SQS, again and again, then continued."""
    with in_process_aws() as aws:
        bench = DlqBench(aws)
        bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 21)))
        for how, calls in interruptions:
            interrupt(bench, how, calls)
        with bench.working():
            orders = replace(FAST, canary_s=0)
            assert run(bench, orders, Queue.PROJECTOR_DLQ).ledger.good
            # What an earlier run has sent, and not waited for, is no letter of the last one.
            wait_for(lambda: bench.history() == set(range(1, 21)), what="all in history")
        assert bench.look("projector_dlq") == []


def interrupt(bench: DlqBench, how: str, calls: int) -> None:
    """Run until so many calls were made; half of the ends come right after the call."""
    left = Countdown(calls)
    after = random.Random(calls).random() < 0.5

    def ending(operation: str) -> Any:
        def fault(arguments: dict[str, Any]) -> Any:
            if not left.over():
                return None
            answer = getattr(bench.plain_sqs, operation)(**arguments) if after else None
            if how == "kill":
                bench.show_again(answer or {})
                raise KilledError
            bench.stop.set()
            return answer

        return fault

    for operation in ("receive_message", "send_message_batch", "delete_message_batch"):
        bench.sqs.faults[operation] = ending(operation)
    try:
        run(bench, replace(FAST, canary_s=0, check_s=0), Queue.PROJECTOR_DLQ)
    except KilledError:
        pass
    finally:
        bench.sqs.faults.clear()


class Countdown:
    """Threads count it down."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._counting = threading.Lock()

    def over(self) -> bool:
        with self._counting:
            self._calls -= 1
            return self._calls <= 0


def test_an_interrupted_run_says_what_is_left(bench: DlqBench):
    """Ctrl-C ends it between two batches; what was sent is checked, the rest is still there."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 41)))
    calls = Countdown(2)

    def interrupt_second(_: dict[str, Any]) -> None:
        if calls.over():
            bench.stop.set()

    bench.sqs.faults["delete_message_batch"] = interrupt_second
    orders = replace(FAST, rate=40, canary_s=0)
    work = run(bench, orders, Queue.PROJECTOR_DLQ)
    found = fates(work)
    assert 0 < len(bench.look("projector_dlq")) == 40 - found[Fate.SENT]
    assert "interrupted" in work.ledger.problems[0]


def test_two_runs_at_once_do_no_harm(bench: DlqBench):
    """Two people redrive the same queue: every event arrives, nothing is left."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 25)))
    works = [bench.redrive(FAST, sqs=bench.plain_sqs) for _ in range(2)]
    with bench.working():
        threads = [
            threading.Thread(target=work.run_queues, args=([Queue.PROJECTOR_DLQ],))
            for work in works
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bench.history() == set(range(1, 25))
    assert bench.look("projector_dlq") == []


def test_what_a_killed_run_keeps_hidden_is_waited_for(bench: DlqBench):
    """It shows when its time is up, and goes as well."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 21)))
    url = bench.urls["projector_dlq"]
    bench.aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=2)
    with bench.working():
        work = run(bench, FAST, Queue.PROJECTOR_DLQ)
    assert work.ledger.good
    assert bench.history() == set(range(1, 21))


def test_what_stays_hidden_is_told(bench: DlqBench):
    """Nobody knows what becomes of it: a run that leaves it is not good."""
    bench.put("projector_dlq", bench.event(1))
    url = bench.urls["projector_dlq"]
    bench.aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    work = run(bench, replace(FAST, check_s=0), Queue.PROJECTOR_DLQ)
    assert "1 letters of projector_dlq are hidden" in work.ledger.problems[0]


def test_what_is_looked_at_is_hidden_until_it_is_released(bench: DlqBench):
    """Then whoever looks next sees all letters."""
    bench.put("projector_dlq", *(bench.event(seq) for seq in range(1, 25)))
    url = bench.urls["projector_dlq"]
    source = QueueSource(bench.sqs, Queue.PROJECTOR_DLQ, url)
    seen = [source.page(), source.page()]
    assert [len(page) for page in seen] == [10, 10]
    assert len(bench.look("projector_dlq")) == 4
    source.release()
    assert len(bench.look("projector_dlq")) == 24
