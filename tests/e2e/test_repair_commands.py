"""Audit, replay and rebuild through the command line, on what a real locker sent."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.contract import Kind, Thing, TileStatus
from scripts.cli import app
from simulators.target import Target
from tests.support.cli_stack import CliStack
from tests.support.lambda_events import payload
from tests.support.lockers import Lockers, now_ms, publish_raw
from tests.support.wait import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

EVENTS = 5
"""Two reports after the connect, then three changes of the first door."""


class Kept:
    """A locker's items in the table, and ways to damage them."""

    def __init__(self, target: Target, thing: Thing) -> None:
        resource = target.session.resource("dynamodb", endpoint_url=target.endpoint_url)
        self._table = resource.Table(target.table)
        self._thing = thing

    def history(self) -> list[dict[str, Any]]:
        return self._partition(f"LOCKER#{self._thing}", "EVENT#")

    def tiles(self) -> dict[str, dict[str, Any]]:
        prefix = f"TILE#{self._thing.locker}#"
        found = self._partition(f"BUILDING#{self._thing.building}", prefix)
        return {item["door"]: item for item in found}

    def delete(self, items: Sequence[dict[str, Any]]) -> None:
        for item in items:
            self._table.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})

    def age(self, by_ms: int) -> None:
        """Make all that is kept so much older."""
        for item in [*self.history(), *self.tiles().values()]:
            self._table.put_item(Item={**item, "received_at": item["received_at"] - by_ms})

    def _partition(self, pk: str, prefix: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._table.query(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={":pk": pk, ":sk": prefix},
            ConsistentRead=True,
        )["Items"]
        return found


async def test_a_damaged_table_is_seen_and_mended(
    stack: CliStack, target: Target, lockers: Lockers
):
    """The audit names what is missing, a replay brings it back, and rebuild has nothing to add."""
    device = await lockers.connect()
    for verb in (device.controller.open, device.controller.close, device.controller.open):
        device.send(verb("d01", now_ms()))
    kept = Kept(target, device.thing)
    await eventually(lambda: len(kept.history()) == EVENTS)
    await eventually(lambda: kept.tiles()["d01"]["status"] == TileStatus.OPEN)
    thing = str(device.thing)

    first, second, *_, last = kept.history()
    park(target, "projector_dlq", second)
    kept.delete([first, second])
    kept.delete([kept.tiles()["d01"], kept.tiles()["d02"]])
    found = json.loads(await run(stack, 1, "audit", "--building", lockers.building, "--json"))
    assert [(each["first"], each["last"], each["fate"]) for each in found["missing"]] == [
        (1, 1, "on its way"),
        (2, 2, "parked"),
    ]
    dry = await run(stack, 1, "rebuild", "--thing", thing)
    assert "1 missing; dry run, nothing written" in dry
    assert not kept.tiles()
    await run(stack, 0, "rebuild", "--building", lockers.building, "--yes")
    assert kept.tiles()["d01"]["version"] == last["version"]
    assert kept.tiles().keys() == {"d01"}

    planned = await run(stack, 0, "replay", "--from", "15m")
    assert "dry run: nothing was started" in planned
    assert len(kept.history()) == EVENTS - 2
    replayed = await run(stack, 0, "replay", "--from", "15m", "--yes")
    name = re.search(r"started (\S+)", replayed)
    assert name is not None
    assert f"{name[1]}: completed" in replayed
    await eventually(lambda: len(kept.history()) == EVENTS)
    await eventually(lambda: kept.tiles().keys() == {"d01", "d02"})
    whole = await run(stack, 0, "audit", "--thing", thing)
    assert "complete: 1 controllers, 1 boots, 5 events on record, 0 missing" in whole
    empty(target, "projector_dlq", thing)


async def test_a_controller_that_lost_its_counter_is_cured(
    stack: CliStack, target: Target, lockers: Lockers
):
    """Its tile is stuck and reported so; on demand it shows what the controller sends now."""
    device = await lockers.connect(doors=("d01",))
    kept = Kept(target, device.thing)
    await eventually(lambda: "d01" in kept.tiles())
    kept.age(3_600_000)
    past = device.controller.boot
    lost = json.dumps(payload(boot=12, seq=1, open=True)).encode()
    assert await publish_raw(device, "d01", Kind.OPENED, lost) == 0
    await eventually(lambda: len(kept.history()) == 2)
    thing = str(device.thing)

    stuck = await run(stack, 1, "rebuild", "--thing", thing)
    assert "regressed" in stuck
    assert f"give {thing} a boot number above {past}" in stuck
    assert kept.tiles()["d01"]["status"] == TileStatus.VACANT
    cured = await run(stack, 0, "rebuild", "--thing", thing, "--yes", "--after-boot-reset")
    assert "after a reload" in cured
    assert kept.tiles()["d01"]["status"] == TileStatus.OPEN
    after = json.dumps(payload(boot=12, seq=2)).encode()
    assert await publish_raw(device, "d01", Kind.CLOSED, after) == 0
    await eventually(lambda: kept.tiles()["d01"]["status"] == TileStatus.VACANT)


async def run(stack: CliStack, status: int, *arguments: str) -> str:
    done = await asyncio.to_thread(stack.run, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def park(target: Target, queue: str, event: dict[str, Any]) -> None:
    """Put an event's envelope where SQS would have moved it."""
    import base64

    envelope = {
        "payload": base64.b64encode(event["payload"].encode()).decode(),
        "thing": f"{event['building']}:{event['locker']}",
        "door": event["door"],
        "kind": event["kind"],
        "received_at": int(event["received_at"]),
        "type": "door",
    }
    target.client("sqs").send_message(
        QueueUrl=target.queues[queue], MessageBody=json.dumps(envelope)
    )


def empty(target: Target, queue: str, thing: str) -> None:
    """Take out what this test has parked: the stack is shared."""
    sqs, url = target.client("sqs"), target.queues[queue]
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        if thing in message["Body"]:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("audit", "--thing", "Nonsense"), "Nonsense"),
        (("audit", "--since", "yesterday"), "yesterday"),
        (("rebuild",), "--building b01"),
        (("rebuild", "--building", "B 1"), "B 1"),
        (("rebuild", "--building", "b1", "--force"), "--force"),
        (("rebuild", "--building", "b1", "--after-boot-reset"), "--after-boot-reset"),
        (("replay",), "--from 2h"),
        (("replay", "--from", "2h", "--cancel", "x"), "--from 2h"),
        (("audit", "--name", "nobody"), "nobody"),
        (("rebuild", "--building", "b1", "--name", "nobody"), "nobody"),
        (("replay", "--from", "2h", "--name", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_said_clearly(arguments: tuple[str, ...], words: str, tmp_path: Path):
    """One message that names the value, exit status 2, no traceback."""
    environment = {"LATCHLINE_HOME": str(tmp_path), "COLUMNS": "200"}
    refused = CliRunner().invoke(app, [*arguments], env=environment)
    message = refused.output
    assert refused.exit_code == 2, message
    assert words in message
    assert "Traceback" not in message
