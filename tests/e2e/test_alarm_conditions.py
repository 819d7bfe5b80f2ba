"""What raises the alarms on AWS's own metrics: the fault, and what the metric counts of it.

Nothing on a laptop publishes these metrics, so each test counts what AWS would: messages in a
queue, refused calls, acknowledged publishes that no rule took. Thresholds are the template's.
"""

import asyncio
import copy
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pipeline.contract import Thing
from pipeline.items import history_key
from simulators.controller import Emission
from simulators.provisioning import Provisioner
from simulators.target import Target
from tests.support.alarms import alarm
from tests.support.lockers import Lockers, now_ms
from tests.support.wait import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

ARRIVES_S = 90.0
TOO_MANY_REQUESTS = 429
RULE_FIELDS = ("sql", "description", "actions", "errorAction", "ruleDisabled", "awsIotSqlVersion")


def waiting(target: Target, queue: str) -> int:
    """AWS/SQS ApproximateNumberOfMessagesVisible, as SQS itself says it."""
    name = "ApproximateNumberOfMessages"
    url = target.queues[queue]
    answer = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def on_record(target: Target, emission: Emission) -> bool:
    """Whether history holds the event."""
    key = history_key(emission.thing, emission.version)
    return "Item" in target.client("dynamodb").get_item(TableName=target.table, Key=key)


def rule_payload(target: Target) -> dict[str, Any]:
    rule = target.client("iot").get_topic_rule(ruleName=target.door_rule)["rule"]
    return {name: rule[name] for name in RULE_FIELDS if name in rule}


async def test_an_action_that_fails_fills_iot_errors(target: Target, lockers: Lockers) -> None:
    """The rule's queue is gone: its errorAction keeps the publish, and the alarm is raised."""
    iot, sqs, name = target.client("iot"), target.client("sqs"), target.door_rule
    raising = alarm("iot-errors-not-empty")
    device = await lockers.connect()
    assert not raising.raised([[0]])
    good = rule_payload(target)
    broken = copy.deepcopy(good)
    broken["actions"][0]["sqs"]["queueUrl"] += "-gone"
    iot.replace_topic_rule(ruleName=name, topicRulePayload=broken)
    try:
        device.send(device.controller.open("d01", now_ms()))
        await eventually(lambda: waiting(target, "iot_errors"), timeout_s=ARRIVES_S)
    finally:
        iot.replace_topic_rule(ruleName=name, topicRulePayload=good)
    assert raising.raised([[waiting(target, "iot_errors")]])
    url = target.queues["iot_errors"]
    for letter in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]:
        assert str(device.thing) in letter["Body"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])


async def test_a_rule_that_is_gone_loses_what_the_broker_takes(
    target: Target, lockers: Lockers
) -> None:
    """The publish is acknowledged and nowhere: one count of RuleNotFound is one event lost."""
    iot, name = target.client("iot"), target.door_rule
    raising = alarm("rule-not-found")
    assert raising.properties["Dimensions"] == [{"Name": "RuleName", "Value": name}]
    device = await lockers.connect()
    acknowledged = lockers.listener.acknowledged
    await eventually(lambda: len(acknowledged) == 2, what="the report of both doors")
    good = rule_payload(target)
    iot.delete_topic_rule(ruleName=name)
    try:
        lost = device.controller.open("d01", now_ms())
        device.send(lost)
        await eventually(lambda: lost in acknowledged, what="the broker's acknowledgement")
    finally:
        iot.create_topic_rule(ruleName=name, topicRulePayload=good)
    after = device.controller.open("d02", now_ms())
    device.send(after)
    await eventually(lambda: on_record(target, after), timeout_s=ARRIVES_S)
    assert not lockers.listener.refused
    not_found = [each for each in (lost, after) if not on_record(target, each)]
    assert not_found == [lost]
    assert raising.raised([[1.0] * len(not_found)])
    assert not raising.raised([[]])


async def test_a_projector_that_takes_nothing_lets_its_queue_grow_old(
    target: Target, lockers: Lockers
) -> None:
    """An event waits as long as the mapping is disabled, and is older with every minute."""
    functions = target.client("lambda")
    raising = alarm("projector-late")
    device = await lockers.connect()
    with disabled(functions, target.functions["projector"]) as is_disabled:
        await eventually(is_disabled, what="the mapping's rest")
        emission = device.controller.open("d01", now_ms())
        device.send(emission)
        await eventually(lambda: waiting(target, "projector"), timeout_s=ARRIVES_S)
        assert not on_record(target, emission)
        # Nobody takes it, so that the age of the oldest is the time that passes.
        ages = [[float(minute * raising.period_s)] for minute in (1, 2, 3)]
        assert not raising.raised(ages[:1])
        assert raising.raised(ages)
    await eventually(lambda: on_record(target, emission), timeout_s=ARRIVES_S)
    assert not waiting(target, "projector")


@contextmanager
def disabled(functions: Any, name: str) -> Iterator[Any]:
    """The function's mapping, disabled; gives the question whether it has come to rest."""
    mappings = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    (uuid,) = [each["UUID"] for each in mappings]
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        yield lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    finally:
        functions.update_event_source_mapping(UUID=uuid, Enabled=True)


@pytest.mark.parametrize("part", ["projector", "fanout"])
async def test_a_function_without_concurrency_is_throttled(part: str, target: Target) -> None:
    """Each invocation is refused with 429, which is what Throttles counts, as long as it lasts."""
    functions = target.session.client(
        "lambda", endpoint_url=target.endpoint_url, config=Config(retries={"total_max_attempts": 1})
    )
    name = target.functions[part]
    raising = alarm(f"{part}-throttles")
    periods = [await throttles(functions, name)]
    assert not raising.raised(periods)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        while not raising.raised(periods):
            periods.append(await throttles(functions, name))
            assert periods[-1], "it ran without concurrency"
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    assert len(periods) == 1 + raising.properties["DatapointsToAlarm"]
    assert not await throttles(functions, name)


async def throttles(functions: Any, name: str) -> list[float]:
    """Of one invocation, with a batch of no records."""
    try:
        await asyncio.to_thread(functions.invoke, FunctionName=name, Payload=b'{"Records": []}')
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == TOO_MANY_REQUESTS:
            return [1.0]
        raise
    return []


async def test_clients_that_do_not_speak_mqtt_are_turned_away(
    target: Target, tmp_path: Path
) -> None:
    """A certificate that is good, and a CONNECT that is none: refused each time, as AWS counts."""
    raising = alarm("connect-clienterror")
    wrong_version = b"\x10\x10\x00\x04MQTT\x09\x02\x00\x3c\x00\x04door"
    provisioner = Provisioner(target, tmp_path)
    (locker,) = await asyncio.to_thread(provisioner.provision, [Thing("b-firmware", "l01")])
    assert target.iot.ca_file is not None
    context = ssl.create_default_context(cafile=str(target.iot.ca_file))
    context.load_cert_chain(locker.certificate_file, locker.key_file)

    def turned_away() -> bool:
        address = (target.iot.endpoint, target.iot.port)
        with (
            socket.create_connection(address, timeout=ARRIVES_S) as plain,
            context.wrap_socket(plain, server_hostname=target.iot.endpoint) as broker,
        ):
            broker.sendall(wrong_version)
            answer = broker.recv(4)
            # A CONNACK that refuses, or none at all.
            return answer in {b"", b"\x20\x02\x00\x01"} and broker.recv(1) == b""

    times = int(raising.properties["Threshold"]) + 1
    refused = [await asyncio.to_thread(turned_away) for _ in range(times)]
    assert all(refused)
    assert not raising.raised([[1.0] * (times - 1)])
    assert raising.raised([[1.0] * times])
