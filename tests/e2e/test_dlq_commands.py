"""`latchline dlq` on the whole stack, as the person on call uses it."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.contract import Kind
from scripts.cli import app
from simulators.target import Target
from tests.support.cli_stack import CliStack
from tests.support.dead_letters import (
    BUS_ATTRIBUTES,
    bus_event,
    iot_error,
    stream_failure,
    string_attributes,
)
from tests.support.lambda_events import door_envelope, payload
from tests.support.wait import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


class Desk:
    """Puts letters into the queues, of a building of its own."""

    def __init__(self, stack: CliStack, target: Target) -> None:
        self.stack = stack
        self.building = f"b-{uuid.uuid4().hex[:10]}"
        self.thing = f"{self.building}:l01"
        self._target = target
        self._sqs = target.client("sqs")
        self._now = time.time_ns() // 1_000_000
        self.boot = self._now // 1000

    def put(self, queue: str, body: Any, attributes: dict[str, str] | None = None) -> None:
        self._sqs.send_message(
            QueueUrl=self._target.queues[queue],
            MessageBody=json.dumps(body),
            MessageAttributes=string_attributes(attributes or {}),
        )

    def event(self, seq: int, **fields: Any) -> dict[str, Any]:
        return door_envelope(
            payload(boot=self.boot, seq=seq, **fields),
            thing=self.thing,
            door=f"d{seq:02}",
            kind=Kind.OPENED,
            received_at=self._now,
        )

    def dlq(self, *arguments: str, status: int = 0) -> Any:
        """Run a command with --json and read its answer."""
        ran = self.stack.run("dlq", *arguments, "--json")
        assert ran.returncode == status, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def mine(self, *queues: str) -> list[dict[str, Any]]:
        return list(self.dlq("peek", *queues, "--building", self.building))


@pytest.fixture
def desk(stack: CliStack, target: Target) -> Desk:
    return Desk(stack, target)


def test_from_alarm_to_all_back(desk: Desk):
    """Letters of four queues are listed, shown, planned, redriven by their own routes, checked."""
    desk.put("projector_dlq", desk.event(1))
    desk.put("ingest_dlq", desk.event(2))
    desk.put("bus_dlq", bus_event(desk.event(3)), BUS_ATTRIBUTES)
    topic = f"lockers/v1/{desk.thing}/doors/d04/opened"
    desk.put("iot_errors", iot_error(payload(boot=desk.boot, seq=4), topic=topic))
    depths = {each["queue"]: each["depth"] for each in desk.dlq("ls", status=1)}
    assert all(depths[queue] for queue in ("projector_dlq", "ingest_dlq", "bus_dlq", "iot_errors"))

    shown = desk.mine()
    assert {each["event_id"] for each in shown} == {
        f"{desk.thing}/d{seq:02}@{desk.boot}.{seq}" for seq in range(1, 5)
    }
    planned = desk.dlq("redrive", "--building", desk.building, status=1)
    assert planned["dry_run"]
    assert len(desk.mine()) == 4

    done = desk.dlq("redrive", "--building", desk.building, "--yes")
    assert done["ok"]
    assert {(each["queue"], *each["destinations"], each["fate"]) for each in done["letters"]} == {
        ("projector_dlq", "projector", "arrived"),
        ("ingest_dlq", "ingest", "arrived"),
        ("bus_dlq", "projector", "arrived"),
        ("iot_errors", "ingest", "arrived"),
    }
    assert desk.mine() == []


def test_poison_is_left_and_set_aside_and_brought_back(desk: Desk, tmp_path: Path):
    """Quarantine: the projector parks it, a redrive leaves it, a person exports it, for a while."""
    desk.put("projector", desk.event(1, schema=7))
    (letter,) = wait_for(lambda: desk.mine("quarantine"), timeout_s=60, what="parked")
    assert (letter["reason"], letter["door"]) == ("schema_unknown", "d01")
    mine = ("--building", desk.building)

    left = desk.dlq("redrive", "quarantine", *mine, "--yes", status=1)
    assert [each["fate"] for each in left["letters"]] == ["refused"]
    tried = desk.dlq("redrive", "quarantine", *mine, "--yes", "--even-refused", status=1)
    assert [each["fate"] for each in tried["letters"]] == ["came_back"]
    assert "no other letter was sent" in tried["problems"][0]

    file = tmp_path / "parked.jsonl"
    parked = ("park", "quarantine", *mine, "--why", "the lab's", "--export", str(file))
    assert desk.dlq(*parked, status=1)["dry_run"]
    assert desk.dlq(*parked, "--yes")["ok"]
    assert desk.mine("quarantine") == []
    back = desk.dlq("redrive", "--from-file", str(file), "--yes", "--even-refused", status=1)
    assert [each["fate"] for each in back["letters"]] == ["came_back"]
    assert len(desk.mine("quarantine")) == 1
    assert desk.dlq(*parked, "--yes")["ok"]


def test_a_pointer_publishes_current_tiles(desk: Desk, target: Target):
    """From the shard, by the stream's own records."""
    desk.put("projector", desk.event(1))
    streams = target.client("dynamodbstreams")
    (stream,) = (
        each["StreamArn"] for each in streams.list_streams(TableName=target.table)["Streams"]
    )
    shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]

    def record() -> str | None:
        request = {"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(**request).get("ShardIterator")
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for each in page["Records"]:
                if each["dynamodb"]["Keys"]["pk"]["S"] == f"BUILDING#{desk.building}":
                    return str(each["dynamodb"]["SequenceNumber"])
            iterator = page.get("NextShardIterator") if page["Records"] else None
        return None

    number = wait_for(record, timeout_s=60, what="the tile in the stream")
    failure = stream_failure(first=number, last=number, shard=shard, stream=stream, size=1)
    desk.put("fanout_dlq", failure)
    done = desk.dlq("redrive", "fanout_dlq", "--yes")
    (letter,) = done["letters"]
    assert letter["fate"] == "published"
    assert letter["detail"] == "1 items of 1 buildings, from the shard"


def test_a_pointer_whose_shard_is_gone_publishes_the_building_that_a_person_names(desk: Desk):
    """--building names whose tiles to push; a building that there is not consumes no letter."""
    desk.put("projector", desk.event(1))
    wait_for(
        lambda: desk.stack.run("trace", f"{desk.thing}/d01").returncode == 0,
        timeout_s=60,
        what="the tile",
    )
    desk.put("fanout_dlq", stream_failure())
    wrong = desk.dlq("redrive", "fanout_dlq", "--building", "nowhere", "--yes", status=1)
    assert "no tile of building nowhere" in wrong["problems"][0]
    plan = desk.stack.run("dlq", "redrive", "fanout_dlq", "--building", desk.building)
    assert f"else the tiles of {desk.building}" in plan.stdout
    done = desk.dlq("redrive", "fanout_dlq", "--building", desk.building, "--yes")
    (letter,) = done["letters"]
    assert letter["fate"] == "published"
    assert letter["detail"].startswith("1 items of 1 buildings, from the snapshots of those named")


def test_screens_are_for_people(desk: Desk):
    """Text names building, locker, door, kind, reason and place; the plan says what to do next."""
    desk.put("projector_dlq", desk.event(5))
    listed = desk.stack.run("dlq", "ls")
    assert listed.returncode == 1
    assert "projector_dlq" in listed.stdout
    peeked = desk.stack.run("dlq", "peek", "projector_dlq", "--building", desk.building, "--raw")
    assert f"{desk.building} l01 door d05 opened" in peeked.stdout
    assert '"seq": 5' in peeked.stdout
    planned = desk.stack.run("dlq", "redrive", "projector-dlq", "--building", desk.building)
    assert "a dry run" in planned.stdout
    acted = desk.stack.run("dlq", "redrive", "projector-dlq", "--thing", desk.thing, "--yes")
    assert acted.returncode == 0, acted.stdout + acted.stderr
    assert acted.stdout.strip().splitlines()[-1].startswith("ok: 1 of 1 letters")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("peek", "dlq"), "'dlq' is no dead-letter queue"),
        (("peek", "--thing", "l03"), "l03"),
        (("redrive", "--older-than", "soon"), "'soon' is not an age"),
        (("redrive", "--rate", "0"), "0"),
        (("redrive", "--from-file", "/nowhere.jsonl"), "nowhere.jsonl"),
        (("park", "quarantine", "--why", ""), "--why ''"),
        (("ls", "--name", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_said_clearly(arguments: tuple[str, ...], words: str, tmp_path: Path):
    """One message that names the value, exit status 2, no traceback."""
    environment = {"LATCHLINE_HOME": str(tmp_path), "COLUMNS": "200"}
    refused = CliRunner().invoke(app, ["dlq", *arguments], env=environment)
    message = " ".join((refused.output).split())
    assert refused.exit_code == 2, message
    assert words in message
    assert "Traceback" not in message
