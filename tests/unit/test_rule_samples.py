"""What the rules emit is what the pipeline reads: their samples, through the contract."""

import base64
import json

import pytest

from iot_rules import DOOR_EVENTS, PRESENCE, device_policy, rule_sql
from pipeline.contract import DoorEvent, PresenceEvent, parse_envelope
from pipeline.errors import Poison
from tests.support.rule_samples import Sample, samples

pytestmark = pytest.mark.unit

DOORS = samples(DOOR_EVENTS)
PRESENCES = [sample for sample in samples(PRESENCE) if sample.envelope is not None]


def sample_id(sample: Sample) -> str:
    return sample.name


@pytest.mark.parametrize("sample", DOORS, ids=sample_id)
def test_the_contract_reads_a_door_envelope_or_says_why_not(sample: Sample) -> None:
    """Each sample is an event with the topic's identity, or poison for the reason it names."""
    body = json.dumps(sample.envelope)
    if sample.poison is not None:
        with pytest.raises(Poison) as caught:
            parse_envelope(body)
        assert caught.value.reason == sample.poison
        return
    event = parse_envelope(body)
    assert isinstance(event, DoorEvent)
    _, _, thing, _, door, kind = sample.topic.split("/")
    assert (str(event.thing), event.door, event.kind) == (thing, door, kind)
    assert event.payload.encode() == sample.payload


@pytest.mark.parametrize("sample", PRESENCES, ids=sample_id)
def test_the_contract_reads_a_presence_envelope(sample: Sample) -> None:
    """A lifecycle event as AWS documents it is a presence event of that locker."""
    event = parse_envelope(json.dumps(sample.envelope))
    assert isinstance(event, PresenceEvent)
    assert str(event.thing) == sample.client
    assert event.connected == ("/connected/" in sample.topic)


@pytest.mark.parametrize("sample", [*DOORS, *PRESENCES], ids=sample_id)
def test_an_expected_envelope_holds_the_bytes_as_published(sample: Sample) -> None:
    """The samples themselves are consistent: base64 in the envelope is the message's payload."""
    assert sample.envelope is not None
    assert base64.b64decode(sample.envelope["payload"]) == sample.payload


@pytest.mark.parametrize("rule", [DOOR_EVENTS, PRESENCE])
def test_sql_is_one_statement_without_comments(rule: str) -> None:
    """AWS IoT SQL knows no comments, so none may be left, and nothing may be lost with them."""
    sql = rule_sql(rule)
    assert sql.startswith("SELECT encode(*, 'base64') AS payload,")
    assert "--" not in sql
    assert "\n" not in sql
    assert " FROM '" in sql


def test_the_device_policy_is_filled_and_grants_two_things_only() -> None:
    """Connect as oneself and publish one's own doors' events, by variables the broker fills."""
    policy = device_policy(
        partition="aws", region="eu-central-1", account="123456789012", door_rule="door_events"
    )
    thing = "${iot:Connection.Thing.ThingName}"
    arn = "arn:aws:iot:eu-central-1:123456789012"
    assert [(each["Action"], each["Resource"]) for each in policy["Statement"]] == [
        ("iot:Connect", f"{arn}:client/{thing}"),
        ("iot:Publish", f"{arn}:topic/$aws/rules/door_events/lockers/v1/{thing}/*"),
    ]
    assert "<" not in json.dumps(policy)
