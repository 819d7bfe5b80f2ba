"""Presence in the projector: a locker's connection, joined and written under a revision."""

import json

import pytest

from pipeline.contract import PresenceEvent, parse_envelope
from pipeline.deadline import Deadline
from pipeline.errors import Retryable
from tests.support.aws import Aws, Fault, always, first, refusal
from tests.support.lambda_events import RECEIVED_AT, presence_envelope
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(aws: Aws) -> TestBench:
    return TestBench(aws)


def test_presence_greys_and_revives_a_locker(bench: TestBench):
    """A disconnect of the session shows; so does the next connect; revisions count up."""
    bench.project(presence_envelope(connected=True, at=RECEIVED_AT, session="s1", counter=1))
    bench.project(presence_envelope(connected=False, at=RECEIVED_AT + 9, session="s1", counter=1))
    locker = bench.aws.locker()
    assert locker is not None
    assert locker["connected"] == {"BOOL": False}
    assert locker["attention"] == {"S": "offline"}
    assert locker["reason"] == {"S": "CONNECTION_LOST"}
    assert locker["since"]["N"] == str(RECEIVED_AT + 9)
    bench.project(presence_envelope(connected=True, at=RECEIVED_AT + 50, session="s2", counter=2))
    locker = bench.aws.locker()
    assert locker is not None
    assert locker["connected"] == {"BOOL": True}
    assert "attention" not in locker
    assert locker["revision"] == {"N": "3"}


def test_a_new_locker_puts_its_building_on_the_list(bench: TestBench):
    """Before its own item, and only then: what connects again writes one item, as ever."""
    writes = []

    def note(arguments):
        writes.append(arguments["Item"]["sk"]["S"])

    bench.dynamodb.faults["put_item"] = note
    bench.project(presence_envelope(connected=True, session="s1", counter=1))
    assert writes == ["BUILDING#maple-court", "LOCKER#l03"]
    bench.project(presence_envelope(connected=True, at=RECEIVED_AT + 9, session="s2", counter=2))
    assert writes[2:] == ["LOCKER#l03"]
    (building,) = bench.aws.items("BUILDING#")
    assert building == {
        "pk": {"S": "BUILDINGS"},
        "sk": {"S": "BUILDING#maple-court"},
        "entity": {"S": "BUILDING"},
        "building": {"S": "maple-court"},
    }


def test_presence_told_twice_or_late_changes_nothing(bench: TestBench):
    """A duplicate, and the end of a session that was taken over, leave the locker connected."""
    bench.project(presence_envelope(connected=True, at=RECEIVED_AT + 50, session="s2", counter=2))
    assert (
        bench.project(
            presence_envelope(connected=True, at=RECEIVED_AT + 50, session="s2", counter=2),
            presence_envelope(connected=False, at=RECEIVED_AT + 51, session="s1", counter=1),
        )
        == []
    )
    locker = bench.aws.locker()
    assert locker is not None
    assert locker["connected"] == {"BOOL": True}


def of_the_locker(fault: Fault) -> Fault:
    """The fault for its conditional write alone, not for its building's in the list."""
    return lambda arguments: fault(arguments) if "ConditionExpression" in arguments else None


def test_a_lost_race_for_the_locker_is_run_again(bench: TestBench):
    """A revision that moved between read and write is read again, not overwritten."""
    lost = refusal("ConditionalCheckFailedException", "PutItem")
    bench.dynamodb.faults["put_item"] = of_the_locker(first(2, lost))
    assert bench.project(presence_envelope(connected=True)) == []
    assert bench.dynamodb.calls["get_item"] == 3


def test_a_race_lost_until_the_deadline_is_retried(bench: TestBench):
    """Presence that never gets its turn comes again, and says why."""
    lost = refusal("ConditionalCheckFailedException", "PutItem")
    bench.dynamodb.faults["put_item"] = of_the_locker(always(lost))
    assert bench.project(presence_envelope(connected=True), seconds=0.2) == ["m0"]
    event = parse_envelope(json.dumps(presence_envelope(connected=True)))
    assert isinstance(event, PresenceEvent)
    with pytest.raises(Retryable, match=r"presence of maple-court:l03: lost the race \d+ times"):
        bench.store.merge_presence(event.thing, [event], Deadline(0.2))


@pytest.mark.parametrize("which", ["the locker", "its building"])
def test_a_throttled_locker_is_retried(bench: TestBench, which: str):
    """A refusal that is not about the revision is not taken for a lost race."""
    throttled = always(refusal("ThrottlingException", "PutItem"))
    fault = of_the_locker(throttled) if which == "the locker" else throttled
    bench.dynamodb.faults["put_item"] = fault
    assert bench.project(presence_envelope(connected=True)) == ["m0"]
    assert bench.dynamodb.calls["get_item"] == 1
