"""The rules' SQL and the device policy, run by a broker: samples in, envelopes out."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from iot_rules import DOOR_EVENTS, PRESENCE
from pipeline.contract import PresenceEvent, parse_envelope
from tests.support.rule_broker import Connection, RuleBroker, rule_broker
from tests.support.rule_samples import Sample, samples

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("rules")]

BASIC_INGEST = f"$aws/rules/{DOOR_EVENTS}"
LOCKER = "maple-court:l03"
SENTINEL = "birch-house:l99"
"""A locker whose message marks the end: whatever was sent before it has been through the rules."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuleBroker]:
    with rule_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def locker(broker: RuleBroker) -> Iterator[Connection]:
    with broker.connected(LOCKER) as connection:
        yield connection
    broker.take(PRESENCE, 2)


def sample_id(sample: Sample) -> str:
    return sample.name


def same_but_for_time_and_trace(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert type(actual["received_at"]) is int
    assert actual["received_at"] > 1_600_000_000_000, "milliseconds since 1970"
    assert isinstance(actual["trace"], str)
    assert actual["trace"]
    varying = {"received_at": 0, "trace": ""}
    assert {**actual, **varying} == {**expected, **varying}


@pytest.mark.parametrize("sample", samples(DOOR_EVENTS), ids=sample_id)
def test_a_door_message_becomes_its_envelope(
    broker: RuleBroker, locker: Connection, sample: Sample
) -> None:
    """Published by a locker over mTLS (MQTT 5, QoS 1, Basic Ingest): the envelope as documented."""
    assert sample.client == LOCKER
    assert locker.publish(f"{BASIC_INGEST}/{sample.topic}", sample.payload) == 0
    (actual,) = broker.take(DOOR_EVENTS)
    assert sample.envelope is not None
    same_but_for_time_and_trace(actual, sample.envelope)


@pytest.mark.parametrize("sample", samples(DOOR_EVENTS), ids=sample_id)
def test_a_message_by_https_is_the_same_but_for_the_client(
    broker: RuleBroker, sample: Sample
) -> None:
    """Published with IAM through iot-data, a tool's way: AWS knows no client id there."""
    topic = f"{BASIC_INGEST}/{sample.topic}"
    broker.client("iot-data").publish(topic=topic, qos=1, payload=sample.payload)
    (actual,) = broker.take(DOOR_EVENTS)
    assert sample.envelope is not None
    same_but_for_time_and_trace(actual, {**sample.envelope, "client": "n/a"})


def lifecycle(broker: RuleBroker, sample: Sample) -> None:
    """Do what makes the broker emit the sample's message."""
    if sample.action == "fail to connect":
        # A certificate of another thing: the policy's variable is not this client's id.
        credentials = broker.credentials(LOCKER)
        refused = Connection(broker, client_id=sample.client, credentials=credentials)
        assert not refused.succeeded()
        refused.close()
        return
    with broker.connected(sample.client):
        pass


@pytest.mark.parametrize("sample", samples(PRESENCE), ids=sample_id)
def test_a_lifecycle_event_becomes_its_envelope_or_is_nobodys_business(
    broker: RuleBroker, sample: Sample
) -> None:
    """Real connects and disconnects: of lockers they are passed on, all others are not."""
    lifecycle(broker, sample)
    with broker.connected(SENTINEL):
        pass
    expected = 2 if sample.envelope is None else 4
    envelopes = broker.take(PRESENCE, expected)
    of_client = {each["event"]: each for each in envelopes if each["client"] == sample.client}
    if sample.envelope is None:
        assert of_client == {}
        assert {each["client"] for each in envelopes} == {SENTINEL}
        return
    event = sample.envelope["event"]
    actual = of_client[event]
    documented = json.loads(sample.payload)
    emitted = json.loads(base64.b64decode(actual["payload"]))
    assert {name: type(emitted[name]) for name in documented} == {
        name: type(value) for name, value in documented.items()
    }
    same_but_for_time_and_trace(actual, {**sample.envelope, "payload": actual["payload"]})
    assert isinstance(parse_envelope(json.dumps(actual)), PresenceEvent)


@pytest.mark.parametrize(
    "topic",
    [
        f"{BASIC_INGEST}/lockers/v1/maple-court:l04/doors/d02/opened",
        f"{BASIC_INGEST}/lockers/v1/{LOCKER}x/doors/d02/opened",
        f"{BASIC_INGEST}/lockers/v2/{LOCKER}/doors/d02/opened",
        f"lockers/v1/{LOCKER}/doors/d02/opened",
        f"$aws/rules/{PRESENCE}/lockers/v1/{LOCKER}/doors/d02/opened",
    ],
)
def test_the_policy_refuses_whatever_is_not_the_lockers_own(broker: RuleBroker, topic: str) -> None:
    """Another locker's doors, another version, the plain topic, another rule: nothing arrives."""
    with broker.connected("maple-court:l05") as stranger:
        assert stranger.publish(topic.replace(LOCKER, "maple-court:l05"), b"{}") != 0
    with broker.connected(SENTINEL) as sentinel:
        mine = f"{BASIC_INGEST}/lockers/v1/{SENTINEL}/doors/d01/opened"
        assert sentinel.publish(mine, b"{}") == 0
    assert [each["thing"] for each in broker.take(DOOR_EVENTS)] == [SENTINEL]
    broker.take(PRESENCE, 4)


def test_the_policy_refuses_to_connect_as_another_locker(broker: RuleBroker) -> None:
    """A certificate is good for its own thing's client id only."""
    credentials = broker.credentials("maple-court:l05")
    impostor = Connection(broker, client_id="maple-court:l06", credentials=credentials)
    try:
        assert not impostor.succeeded()
    finally:
        impostor.close()
