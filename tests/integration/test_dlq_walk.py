"""Walks through a queue of any length: every letter once, hidden meanwhile, and put back."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from operations.letters import Letter, Queue
from operations.walk import Walk, look, look_into
from tests.support.aws import Aws, FaultyClient, refusal
from tests.support.dlq_bench import NoLongPolls
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration

QUEUE = Queue.QUARANTINE


@pytest.fixture
def sqs(aws: Aws) -> FaultyClient:
    return FaultyClient(NoLongPolls(aws.sqs))


@pytest.fixture
def put(aws: Aws) -> Callable[[int], None]:
    def put_letters(count: int) -> None:
        for start in range(0, count, 10):
            entries = [
                {"Id": str(n), "MessageBody": str(n)} for n in range(start, min(count, start + 10))
            ]
            aws.sqs.send_message_batch(QueueUrl=aws.queue_url, Entries=entries)

    return put_letters


def walked(walk: Walk) -> list[Letter]:
    letters = []
    while page := walk.page():
        letters += page
    return letters


def visible(aws: Aws) -> int:
    name = "ApproximateNumberOfMessages"
    answer = aws.sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def test_a_walk_that_takes_longer_than_letters_are_hidden_sees_each_once(
    aws: Aws, sqs: FaultyClient, put: Callable[[int], None]
):
    """What is held is hidden anew before its time is up, however long nobody asks for a page."""
    put(25)
    walk = Walk(sqs, QUEUE, aws.queue_url, hidden_s=2)
    first = walk.page()
    renewed = "change_message_visibility_batch"
    wait_for(lambda: sqs.calls[renewed] >= 2, what="hidden for longer, twice")
    rest = walked(walk)
    assert sorted(int(each.body) for each in (*first, *rest)) == list(range(25))
    walk.release()
    assert visible(aws) == 25


def test_a_letter_that_comes_twice_is_no_end(
    aws: Aws, sqs: FaultyClient, put: Callable[[int], None]
):
    """A whole page of letters met before (AWS: at least once) is passed over, the walk goes on."""
    put(25)
    again: list[Any] = []

    def repeat(arguments: dict[str, Any]) -> Any:
        if len(again) == 1:
            again.append(None)
            return again[0]
        answer = aws.sqs.receive_message(**{**arguments, "WaitTimeSeconds": 0})
        if not again:
            again.append(answer)
        return answer

    sqs.faults["receive_message"] = repeat
    letters = walked(Walk(sqs, QUEUE, aws.queue_url))
    assert sorted(int(each.body) for each in letters) == list(range(25))


def test_the_last_handle_is_the_one_that_counts(
    aws: Aws, sqs: FaultyClient, put: Callable[[int], None]
):
    """AWS: a message received again is deleted by the newest of its handles."""
    put(1)
    walk = Walk(sqs, QUEUE, aws.queue_url)
    (letter,) = walk.page()
    aws.sqs.change_message_visibility(
        QueueUrl=aws.queue_url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=0
    )
    assert walk.page() == []
    current = walk.current(letter)
    assert current.message_id == letter.message_id
    assert current.receipt_handle != letter.receipt_handle


def test_a_renewal_that_fails_ends_nothing(aws: Aws, sqs: FaultyClient, put: Callable[[int], None]):
    """It is tried again; at worst a letter shows early, which is harmless."""
    put(3)
    fails = iter([refusal("ThrottlingException", "ChangeMessageVisibilityBatch", 503)])

    def throttle(_: dict[str, Any]) -> None:
        if (error := next(fails, None)) is not None:
            raise error

    sqs.faults["change_message_visibility_batch"] = throttle
    walk = Walk(sqs, QUEUE, aws.queue_url, hidden_s=3)
    assert len(walk.page()) == 3
    wait_for(lambda: sqs.calls["change_message_visibility_batch"] >= 2, what="tried again")
    walk.release()
    assert visible(aws) == 3


def test_many_readers_see_each_letter_once(aws: Aws, sqs: FaultyClient, put: Callable[[int], None]):
    """A long queue is read by several threads, and shows whole afterwards."""
    put(60)
    letters = look(sqs, QUEUE, aws.queue_url)
    assert sorted(int(each.body) for each in letters) == list(range(60))
    assert visible(aws) == 60


def test_an_error_puts_back_what_was_seen(aws: Aws, sqs: FaultyClient, put: Callable[[int], None]):
    """Whatever ends a look, Ctrl-C as well, no letter stays hidden; the error is told."""
    put(60)
    calls = iter(range(3))

    def refuse(_: dict[str, Any]) -> None:
        if next(calls, None) is None:
            raise refusal("AccessDenied", "ReceiveMessage")

    sqs.faults["receive_message"] = refuse
    with pytest.raises(Exception, match="AccessDenied"):
        look_into(sqs, {QUEUE: aws.queue_url}, [QUEUE])
    assert visible(aws) == 60


def test_a_look_that_is_stopped_returns_what_it_has(
    aws: Aws, sqs: FaultyClient, put: Callable[[int], None]
):
    """And puts it back."""
    put(20)
    stop = threading.Event()
    stop.set()
    assert len(look(sqs, QUEUE, aws.queue_url, stop=stop)) == 10
    assert visible(aws) == 20
