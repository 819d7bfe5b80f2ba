"""The poison corpus on the whole laptop stack: each message ends where its file says."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from awscrt import mqtt5

from simulators.device import Device
from simulators.target import Target
from tests.support.alarms import alarm
from tests.support.lockers import Lockers
from tests.support.poison_corpus import Destination, Entry, entries
from tests.support.wait import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

RECEIVED_BEFORE_LETTING_GO_S = 90.0


def peek(target: Target, queue: str) -> list[dict[str, Any]]:
    """What a receive shows of a queue; nothing is consumed, and it is back in a second."""
    found: list[dict[str, Any]] = (
        target.client("sqs")
        .receive_message(
            QueueUrl=target.queues[queue],
            MaxNumberOfMessages=10,
            VisibilityTimeout=1,
            MessageAttributeNames=["All"],
        )
        .get("Messages", [])
    )
    return found


async def collect(
    target: Target, queue: str, wanted: set[Any], key: Callable[[dict[str, Any]], Any]
) -> None:
    """Wait until each wanted message has been in the queue; it is taken out of there."""
    left = set(wanted)

    def look() -> bool:
        for message in peek(target, queue):
            if (found := key(message)) in wanted:
                left.discard(found)
                target.client("sqs").delete_message(
                    QueueUrl=target.queues[queue], ReceiptHandle=message["ReceiptHandle"]
                )
        return not left

    await eventually(
        lambda: asyncio.to_thread(look),
        timeout_s=RECEIVED_BEFORE_LETTING_GO_S,
        what=f"{queue} lacks {left}",
    )


def parked(message: dict[str, Any]) -> tuple[str, str]:
    """What a message in quarantine says, and why it is there. The bus spaces JSON anew."""
    return same(message["Body"]), message["MessageAttributes"]["reason"]["StringValue"]


def same(body: str) -> str:
    """JSON in one spelling; anything else as it is."""
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except (ValueError, RecursionError):
        return body


def visible(target: Target, queue: str) -> int:
    """What the alarm's metric counts."""
    name = "ApproximateNumberOfMessages"
    url = target.queues[queue]
    answer = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def of(hop: str, destination: Destination) -> list[Entry]:
    return [entry for entry in entries(hop) if entry.destination is destination]


def reason(entry: Entry) -> str:
    assert entry.reason is not None
    return entry.reason.value


async def publish(device: Device, entry: Entry) -> int:
    """Return MQTT's reason code; what the broker answers by hanging up counts as refused."""
    topic = entry.content["topic"].replace("{thing}", str(device.thing))
    packet = mqtt5.PublishPacket(topic=topic, payload=entry.payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
    try:
        done = await asyncio.wrap_future(device._client.publish(packet))
    except Exception:  # noqa: BLE001  (awscrt raises whatever ended the operation)
        return 0x87
    return int(done.puback.reason_code)


async def test_what_a_locker_publishes_is_refused_or_parked(target: Target, lockers: Lockers):
    """Over MQTT and mTLS, through the rule, the pipe, the bus and the projector."""
    device = await lockers.connect("l01")
    wanted = set()
    for entry in of("broker", Destination.QUARANTINE):
        assert await publish(device, entry) == 0, entry
        wanted.add((*entry.content["topic"].split("/")[-2:], entry.payload, reason(entry)))

    def key(message: dict[str, Any]) -> Any:
        envelope = json.loads(message["Body"]) if message["Body"].startswith("{") else {}
        if envelope.get("thing") != str(device.thing):
            return None
        content = base64.b64decode(envelope["payload"])
        return envelope["door"], envelope["kind"], content, parked(message)[1]

    await collect(target, "quarantine", wanted, key)
    for number, entry in enumerate(of("broker", Destination.REFUSED)):
        stranger = await lockers.connect(f"l{number + 10}")
        assert await publish(stranger, entry) >= 0x80, f"{entry} was let through"


async def test_what_waits_for_the_pipe_is_parked_or_dead(target: Target):
    """What is no JSON object can never be on the bus; whatever else moves on and is parked."""
    dead, moved = of("pipe", Destination.INGEST_DLQ), of("pipe", Destination.QUARANTINE)
    with visible_after(target, "ingest", seconds=1):
        for entry in [*dead, *moved]:
            send(target, "ingest", entry.content)
        wanted = {(same(entry.content), reason(entry)) for entry in moved}
        await collect(target, "quarantine", wanted, parked)
        raising = alarm("ingest-dlq-not-empty")
        assert not raising.raised([[0]])
        await eventually(
            lambda: raising.raised([[visible(target, "ingest_dlq")]]),
            timeout_s=RECEIVED_BEFORE_LETTING_GO_S,
        )
        await collect(
            target, "ingest_dlq", {entry.content for entry in dead}, lambda each: each["Body"]
        )


@contextmanager
def visible_after(target: Target, queue: str, *, seconds: int) -> Iterator[None]:
    """Five receives shall not take a quarter of an hour."""
    sqs, url = target.client("sqs"), target.queues[queue]
    name = "VisibilityTimeout"
    held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={name: held})


def send(target: Target, queue: str, body: str) -> None:
    target.client("sqs").send_message(QueueUrl=target.queues[queue], MessageBody=body)


async def test_what_comes_over_the_bus_is_parked_or_nobodys(target: Target):
    """Of the rule's source it is parked, a stranger's event goes nowhere."""
    events = target.client("events")
    (bus,) = [
        each["Name"]
        for each in events.list_event_buses()["EventBuses"]
        if each["Name"].endswith("lockers")
    ]
    for entry in [*of("bus", Destination.NOBODY), *of("bus", Destination.QUARANTINE)]:
        answer = events.put_events(Entries=[{**entry.content, "EventBusName": bus}])
        assert answer["FailedEntryCount"] == 0, entry
    wanted = {(same(e.content["Detail"]), reason(e)) for e in of("bus", Destination.QUARANTINE)}
    await collect(target, "quarantine", wanted, parked)
    table = target.session.resource("dynamodb", endpoint_url=target.endpoint_url).Table(
        target.table
    )
    for entry in of("bus", Destination.NOBODY):
        detail = json.loads(entry.content["Detail"])
        building, locker = detail["thing"].split(":")
        tile = {"pk": f"BUILDING#{building}", "sk": f"TILE#{locker}#{detail['door']}"}
        assert "Item" not in table.get_item(Key=tile)


async def test_what_waits_for_the_projector_is_parked(target: Target):
    """As it came, with its reason."""
    found = of("projector", Destination.QUARANTINE)
    for entry in found:
        send(target, "projector", entry.content)
    wanted = {(same(entry.content), reason(entry)) for entry in found}
    await collect(target, "quarantine", wanted, parked)


async def test_what_the_stream_says_and_nobody_can_show_is_parked(target: Target, lockers: Lockers):
    """A pointer with the item's key waits in the fan-out's queue; a stranger's item is no news."""
    client = target.client("dynamodb")
    written = {}
    try:
        for number, entry in enumerate(entries("stream")):
            prefix, _, rest = entry.content["sk"]["S"].partition("#")
            key = {
                "pk": {"S": f"BUILDING#{lockers.building}"},
                "sk": {"S": f"{prefix}#{number:02d}#{rest}"},
            }
            client.put_item(TableName=target.table, Item={**entry.content, **key})
            written[entry.name] = key
        found = of("stream", Destination.FANOUT_DLQ)
        await collect(
            target,
            "fanout_dlq",
            {same(json.dumps(written[entry.name])) for entry in found},
            keys_of,
        )
    finally:
        for key in written.values():
            client.delete_item(TableName=target.table, Key=key)
    strangers = {same(json.dumps(written[e.name])) for e in of("stream", Destination.NOBODY)}
    assert not strangers & {keys_of(message) for message in peek(target, "fanout_dlq")}


def keys_of(message: dict[str, Any]) -> str:
    return same(json.dumps(json.loads(message["Body"]).get("keys")))
