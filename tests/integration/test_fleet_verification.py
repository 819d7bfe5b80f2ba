"""verify's way to the table: what the pipeline writes is what the verdict reads (moto)."""

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operations.errors import OperationsError
from operations.letters import Queue
from operations.parked import QuarantineReader, parked_of
from operations.parking import Decision, FileParking
from operations.parking import park as set_aside
from operations.selection import Selection
from operations.sources import QueueSource
from pipeline.contract import DoorEvent, Thing
from pipeline.errors import Poison, PoisonReason
from pipeline.items import history_item, tile_update
from pipeline.quarantine import Parked, attributes
from simulators.controller import Controller, DoorState, Emission
from simulators.ground_truth import GroundTruth, Outcome, Run, TrueEvent, TrueMalformed
from simulators.queues import queue_depths
from simulators.table import read_history, read_tiles
from simulators.target import Target
from simulators.verdict import Finding, Verdict, View
from simulators.verification import verify

pytestmark = pytest.mark.integration

TABLE = "latchline"
BOOT_S = 1_790_000_000
RUN = Run(started_at_ms=BOOT_S * 1000, parameters={})
THING = Thing("maple-court", "l01")


KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws: None) -> Any:
    client = boto3.client("dynamodb", region_name="us-east-1", **KEYS)
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


@pytest.fixture
def target(aws: None) -> Target:
    sqs = boto3.client("sqs", region_name="us-east-1", **KEYS)
    queues = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("ingest", "projector")
    }
    return Target.from_info(
        {
            "region": "us-east-1",
            "access_key_id": "testing",
            "secret_access_key": "testing",
            "iot": {"endpoint": "localhost", "port": 1},
            "graphql": {"http": "http://x/graphql", "realtime": "ws://x/graphql/realtime"},
            "table": TABLE,
            "device_policy": "p",
            "queues": queues,
        }
    )


def a_day() -> list[Emission]:
    """Two doors: one is used, one is jammed."""
    locker = Controller(
        THING, {"d01": DoorState(), "d02": DoorState(occupied=True)}, last_boot=0, now_s=BOOT_S
    )
    happened = [*locker.report(1), locker.open("d01", 2)]
    locker.place("d01")
    happened += [locker.close("d01", 3), locker.force("d02", 4), locker.fail("d02", "jammed", 5)]
    return [each for each in happened if each is not None]


def truth_of(emissions: list[Emission]) -> GroundTruth:
    events = [
        TrueEvent(
            each.thing,
            each.door,
            each.kind,
            each.version,
            each.at,
            each.state.open,
            each.state.occupied,
            each.state.fault,
            each.status,
            Outcome.ACKNOWLEDGED,
            1,
        )
        for each in emissions
    ]
    return GroundTruth(RUN, {(each.thing, each.version): each for each in events})


def project(client: Any, emission: Emission) -> None:
    """Write it the way the projector does."""
    state = emission.state
    event = DoorEvent(
        thing=emission.thing,
        door=emission.door,
        kind=emission.kind,
        boot=emission.boot,
        seq=emission.seq,
        at=emission.at,
        open=state.open,
        occupied=state.occupied,
        fault=state.fault,
        received_at=1,
        trace=None,
        client=None,
        payload=emission.payload().decode(),
    )
    client.put_item(TableName=TABLE, Item=history_item(event, days=90))
    client.update_item(TableName=TABLE, **tile_update(event, queued_at=1, projected_at=2))


def test_what_the_projector_writes_is_judged_right(dynamodb: Any, target: Target) -> None:
    """Tiles, history and statuses agree field by field with what the devices sent."""
    emissions = a_day()
    for emission in emissions:
        project(dynamodb, emission)
    verdict = verify(target, truth_of(emissions), None, timeout_s=0)
    assert verdict.ok, verdict.differences
    assert verdict.checked == {View.HISTORY: 6, View.TABLE: 2}


def test_an_event_that_never_came_is_lost(dynamodb: Any, target: Target) -> None:
    """With empty queues and the time up, a missing event is a verdict, not a wait."""
    emissions = a_day()
    for emission in emissions[:-1]:
        project(dynamodb, emission)
    verdict = verify(target, truth_of(emissions), None, timeout_s=0)
    assert verdict.count(Finding.LOST, View.HISTORY) == 1
    assert verdict.count(Finding.LOST, View.TABLE) == 1


def test_reading_follows_the_pages(dynamodb: Any, target: Target) -> None:
    """More than 1 MB of history comes back whole."""
    locker = Controller(THING, {"d01": DoorState()}, last_boot=0, now_s=BOOT_S)
    made: list[Emission] = []
    for _ in range(70):
        made += [each for each in (locker.open("d01", 1), locker.close("d01", 2)) if each]
    for emission in made:
        project(dynamodb, emission)
        dynamodb.update_item(
            TableName=TABLE,
            Key={
                "pk": {"S": f"LOCKER#{THING}"},
                "sk": {"S": f"EVENT#{emission.version:020d}"},
            },
            UpdateExpression="SET padding = :x",
            ExpressionAttributeValues={":x": {"S": "x" * 10_000}},
        )
    table = target.session.resource("dynamodb").Table(TABLE)
    assert len(list(read_history(table, [THING]))) == len(made)
    assert [tile.version for tile in read_tiles(table, ["maple-court"])] == [made[-1].version]


def test_depths_count_what_waits_and_what_is_in_flight(target: Target) -> None:
    """A message being worked on is still on its way."""
    sqs = target.client("sqs")
    url = target.queues["ingest"]
    for n in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(n))
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    assert queue_depths(sqs, target.queues) == {"ingest": 3, "projector": 0}


def park(target: Target, url: str, payload: bytes, reason: PoisonReason) -> None:
    """Park a locker's publish the way the projector does."""
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "thing": str(THING),
        "door": "d01",
        "kind": "opened",
        "received_at": BOOT_S * 1000 + 10,
    }
    parked = Parked("m1", json.dumps(envelope), Poison(reason, "no good"))
    target.client("sqs").send_message(
        QueueUrl=url, MessageBody=parked.body, MessageAttributes=attributes(parked)
    )


@pytest.fixture
def quarantine(target: Target) -> tuple[Target, str]:
    """The target with a quarantine queue, and its URL."""
    url: str = target.client("sqs").create_queue(QueueName="quarantine")["QueueUrl"]
    return target.model_copy(update={"queues": {**target.queues, "quarantine": url}}), url


def verdict_on(target: Target, truth: GroundTruth, *files: Path) -> Verdict:
    """Judge with the quarantine, and with what was taken out of it into files."""
    with parked_of(target, files) as parked:
        return verify(target, truth, None, parked=parked, timeout_s=0)


def test_the_quarantine_is_judged_and_left_as_it_was(
    dynamodb: Any, quarantine: tuple[Target, str]
) -> None:
    """Expected messages are found however many pages they take, and all can be received again."""
    target, url = quarantine
    emissions = a_day()
    for emission in emissions:
        project(dynamodb, emission)
    truth = truth_of(emissions)
    for n in range(25):
        payload = b"spoiled %d" % n
        park(target, url, payload, PoisonReason.FIELD_TYPE)
        truth.malformed.append(
            TrueMalformed(THING, "d01", PoisonReason.FIELD_TYPE, payload, acknowledged=True)
        )
    for _ in range(2):
        verdict = verdict_on(target, truth)
        assert verdict.ok, verdict.differences
        assert verdict.checked[View.QUARANTINE] == 25


def test_a_spoiled_publish_parked_for_another_reason_is_wrong(
    dynamodb: Any, quarantine: tuple[Target, str]
) -> None:
    """And one that is not parked at all is lost."""
    target, url = quarantine
    truth = truth_of([])
    park(target, url, b"one", PoisonReason.TOPIC_INVALID)
    truth.malformed += [
        TrueMalformed(THING, "d01", PoisonReason.FIELD_TYPE, payload, acknowledged=True)
        for payload in (b"one", b"two")
    ]
    verdict = verdict_on(target, truth)
    assert verdict.count(Finding.WRONG, View.QUARANTINE) == 1
    assert verdict.count(Finding.LOST, View.QUARANTINE) == 1


def export(target: Target, url: str, file: Path) -> None:
    """Take all of quarantine out into a file, as `dlq park --export` does."""
    why = Decision("ada", "the lab's", BOOT_S * 1000)
    source = QueueSource(target.client("sqs"), Queue.QUARANTINE, url)
    assert set_aside(source, FileParking(file), why, Selection(), threading.Event()).good


def test_what_was_taken_out_of_quarantine_counts_as_parked(
    dynamodb: Any, quarantine: tuple[Target, str], tmp_path: Path
) -> None:
    """In one file or in several; without them it is lost, and a wrong reason is still wrong."""
    target, url = quarantine
    truth = truth_of([])
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file, reason in zip(
        files, (PoisonReason.FIELD_TYPE, PoisonReason.TOPIC_INVALID), strict=True
    ):
        payload = file.stem.encode()
        park(target, url, payload, reason)
        truth.malformed.append(
            TrueMalformed(THING, "d01", PoisonReason.FIELD_TYPE, payload, acknowledged=True)
        )
        export(target, url, file)
    assert verdict_on(target, truth).count(Finding.LOST, View.QUARANTINE) == 2
    found = verdict_on(target, truth, *files)
    assert found.count(Finding.LOST) == 0
    assert found.count(Finding.WRONG, View.QUARANTINE) == 1
    assert verdict_on(target, truth, files[0]).count(Finding.LOST, View.QUARANTINE) == 1


def test_a_file_that_holds_no_letters_is_named(
    quarantine: tuple[Target, str], tmp_path: Path
) -> None:
    """With its line: a verdict on half of what was parked would be none."""
    file = tmp_path / "notes.txt"
    file.write_text("garbage\n")
    with (
        pytest.raises(OperationsError, match=r"notes\.txt, line 1"),
        parked_of(quarantine[0], [file]),
    ):
        pass


def test_what_no_locker_published_is_passed_over(quarantine: tuple[Target, str]) -> None:
    """Presence, or bytes that are no envelope, may be parked as well."""
    target, url = quarantine
    sqs = target.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="no envelope")
    reader = QuarantineReader(sqs, url)
    assert reader.look() == []
    reader.release()
    assert queue_depths(sqs, {"quarantine": url}) == {"quarantine": 1}
