"""The audit against a table, dead-letter queues and a registry (moto)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from operations.audit import Audit, Backlog, audit, backlogs, read_kept, read_letters
from operations.audit_sequences import SETTLE_MS, Fate, Kept
from operations.controllers import find_controllers
from operations.formats import Queue
from operations.pacing import ReadBudget
from pipeline.contract import Thing
from tests.support.aws import REGION, FaultyClient
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload
from tests.support.operations import Deployment, deployment

pytestmark = pytest.mark.integration

THING = Thing("maple-court", "l03")
LATER = RECEIVED_AT + SETTLE_MS + 60_000


@pytest.fixture
def deployed() -> Iterator[Deployment]:
    with deployment() as running:
        yield running


def event(seq: int, *, locker: str = "l03", **more: object) -> dict:
    body = payload(seq=seq, **more)
    return door_envelope(body, thing=f"maple-court:{locker}", received_at=RECEIVED_AT + seq)


def examine(deployed: Deployment, *things: Thing, now_ms: int = LATER) -> Audit:
    return audit(
        deployed.target,
        things or (THING,),
        read_letters(deployed.target),
        now_ms=now_ms,
        read_units_per_s=1_000_000,
    )


def test_a_complete_history_is_complete(deployed: Deployment):
    """Nothing missing, and how much was read."""
    deployed.project(*(event(n) for n in range(1, 11)))
    found = examine(deployed)
    assert (found.complete, found.events, found.boots, found.controllers) == (True, 10, 1, 1)
    assert found.read_units > 0


def test_each_gap_gets_its_fate(deployed: Deployment):
    """One parked, one behind unreadable bytes, the others never arrived; as text for a program."""
    deployed.project(*(event(n) for n in (1, 4, 5, 7, 9)))
    deployed.park(Queue.PROJECTOR_DLQ, event(3))
    deployed.park(Queue.QUARANTINE, door_envelope(b"open!"))
    found = examine(deployed)
    assert [(each.gap.first, each.gap.last, each.fate, each.queue) for each in found.missing] == [
        (8, 8, Fate.PERHAPS_PARKED, Queue.QUARANTINE),
        (6, 6, Fate.NEVER_ARRIVED, None),
        (2, 2, Fate.NEVER_ARRIVED, None),
        (3, 3, Fate.PARKED, Queue.PROJECTOR_DLQ),
    ]
    assert not found.undecided
    told = found.as_json()
    assert told["missing_events"] == {
        "parked": 1, "perhaps parked": 1, "on its way": 0, "never arrived": 2,
    }  # fmt: skip
    assert told["missing"][0] == {
        "thing": "maple-court:l03", "boot": BOOT, "first": 8, "last": 8, "events": 1,
        "received_before": RECEIVED_AT + 9, "fate": "perhaps parked", "queue": "quarantine",
    }  # fmt: skip


def test_looking_leaves_the_letters(deployed: Deployment):
    """Whoever redrives next finds all of them."""
    deployed.park(Queue.PROJECTOR_DLQ, event(3))
    assert len(read_letters(deployed.target)) == 1
    assert len(read_letters(deployed.target)) == 1


def test_a_young_gap_is_undecided(deployed: Deployment):
    """It may be the next to arrive."""
    deployed.project(event(1), event(3))
    found = examine(deployed, now_ms=RECEIVED_AT + 1000)
    assert (found.complete, found.undecided) == (False, True)


def test_messages_of_unknown_age_keep_every_gap_open(deployed: Deployment):
    """What waits in a queue on the path may be what is missing."""
    deployed.project(event(1), event(3))
    deployed.aws.sqs.send_message(QueueUrl=deployed.target.queues["ingest"], MessageBody="{}")
    assert backlogs(deployed.target) == [
        Backlog("ingest", 1, None),
        Backlog("projector", 0, None),
    ]
    assert examine(deployed).undecided


def test_the_age_of_a_backlog_is_cloudwatch_s(deployed: Deployment):
    """The greatest of the last minutes."""
    deployed.aws.sqs.send_message(QueueUrl=deployed.target.queues["ingest"], MessageBody="{}")
    now = datetime.now(UTC)
    boto3.client("cloudwatch", region_name=REGION).put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": "ingest"}],
                "Timestamp": now - timedelta(minutes=minutes),
                "Value": age,
            }
            for minutes, age in ((5, 40.0), (3, 90.0), (2, 20.0))
        ],
    )
    assert backlogs(deployed.target)[0] == Backlog("ingest", 1, 90.0)


def test_long_histories_come_page_by_page(deployed: Deployment):
    """Newest first, with no more than a page in memory."""
    deployed.project(*(event(n) for n in range(1, 8)))
    client = FaultyClient(deployed.aws.dynamodb)
    client.faults["query"] = lambda call: call.update(Limit=3)
    kept = list(read_kept(client, deployed.target.table, THING, ReadBudget(1e6)))
    assert kept == [Kept(BOOT, seq, RECEIVED_AT + seq) for seq in range(7, 0, -1)]
    assert client.calls["query"] == 3


def test_controllers_are_found_in_registry_and_table(deployed: Deployment):
    """All that are registered; of a building also those that the table alone knows."""
    deployed.register("maple-court:l03", "birch-house:l01", "coffee-machine", "maple-court:l09")
    deployed.project(event(1, locker="l77"))
    assert list(map(str, find_controllers(deployed.target))) == [
        "birch-house:l01",
        "maple-court:l03",
        "maple-court:l09",
    ]
    assert list(map(str, find_controllers(deployed.target, buildings=["maple-court"]))) == [
        "maple-court:l03",
        "maple-court:l09",
        "maple-court:l77",
    ]
    assert find_controllers(deployed.target, things=[THING]) == [THING]


def test_a_controller_without_events_is_named(deployed: Deployment):
    """It may be new, switched off, or another stage's."""
    deployed.project(event(1, locker="l04"))
    found = examine(deployed, THING, Thing("maple-court", "l04"))
    assert (found.silent, found.complete) == ([THING], True)


def test_an_empty_history_proves_nothing(deployed: Deployment):
    """Without any event there is no gap; only a look at a part of the time may find that well."""
    found = examine(deployed)
    assert (found.complete, found.undecided) == (False, True)
    found.whole = False
    assert (found.complete, found.undecided) == (True, False)
