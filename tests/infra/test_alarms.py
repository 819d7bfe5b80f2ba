"""Each fault of ours raises its alarm: the functions run, and their metrics pass the threshold."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import pytest

from pipeline.contract import Kind
from pipeline.merge import REGRESSED_AFTER_MS
from pipeline.metrics import NAMESPACE, Metric
from tests.support.aws import Aws, always, in_process_aws, refusal
from tests.support.fanouts import FanoutBench, fanout_bench, locker, tile
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload
from tests.support.projectors import TestBench
from tests.support.templates import Assembly, Resource

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

BATCH = 10


@pytest.fixture
def aws() -> Iterator[Aws]:
    with in_process_aws() as running:
        yield running


@pytest.fixture
def projector(aws: Aws) -> TestBench:
    return TestBench(aws)


@pytest.fixture
def fanout(aws: Aws) -> Iterator[FanoutBench]:
    with fanout_bench(aws) as bench:
        yield bench


Values = Mapping[tuple[str, str], list[float]]
"""By (function, metric)."""


def emitted(capsys: pytest.CaptureFixture[str]) -> Values:
    """What the functions have written in CloudWatch's embedded format since the last look."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for text in capsys.readouterr().out.splitlines():
        line = json.loads(text)
        for metrics in line["_aws"]["CloudWatchMetrics"]:
            assert metrics["Namespace"] == NAMESPACE
            for metric in metrics["Metrics"]:
                found[line.get("service", ""), metric["Name"]] += line[metric["Name"]]
    return found


def raised(alarm: Resource, values: Values) -> bool:
    """Whether the values, all of one period, are above the threshold."""
    properties = alarm.properties
    (service,) = [each["Value"] for each in properties["Dimensions"]]
    seen = sorted(values.get((service.rpartition("-")[2], properties["MetricName"]), []))
    if not seen:
        return False
    statistic = properties.get("Statistic") or properties["ExtendedStatistic"]
    if statistic.startswith("p"):
        figure = seen[math.ceil(float(statistic[1:]) / 100 * len(seen)) - 1]
    else:
        figure = {"Sum": math.fsum, "Maximum": max}[statistic](seen)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    return figure > properties["Threshold"]


def own_alarms(assembly: Assembly) -> dict[str, Resource]:
    """By name without stage."""
    return {
        each.properties["AlarmName"].removeprefix(f"latchline-{assembly.stage}-"): each
        for each in assembly.resources("AWS::CloudWatch::Alarm")
        if each.properties["Namespace"] == NAMESPACE
    }


def opened(seq: int, *, boot: int = BOOT, received_at: int = RECEIVED_AT) -> dict:
    body = payload(boot=boot, seq=seq, open=True)
    return door_envelope(body, door=f"d{seq % 8:02}", kind=Kind.OPENED, received_at=received_at)


def slow_tiles(_: TestBench, fanout: FanoutBench) -> None:
    """They were on their way for five seconds."""
    late = tile()
    late["received_at"] = {"N": str(int(late["received_at"]["N"]) - 5_000)}
    fanout.publish(late)


def poisonous_firmware(projector: TestBench, _: FanoutBench) -> None:
    for _batch in range(6):
        projector.project(*["not json"] * BATCH)


def lost_boot_counter(projector: TestBench, _: FanoutBench) -> None:
    projector.project(opened(1))
    late = RECEIVED_AT + REGRESSED_AFTER_MS + 1
    projector.project(opened(1, boot=12, received_at=late))


def throttled_table(projector: TestBench, _: FanoutBench) -> None:
    throttled = refusal("ThrottlingException", "UpdateItem")
    projector.dynamodb.faults["update_item"] = always(throttled)
    for first in range(0, 12 * BATCH, BATCH):
        projector.project(*(opened(first + n) for n in range(BATCH)))


def appsync_that_refuses(_: TestBench, fanout: FanoutBench) -> None:
    fanout.server.refused = {"maple-court"}
    fanout.publish(tile())


FAULTS: dict[str, Callable[[TestBench, FanoutBench], None]] = {
    "door-to-tile-slow": slow_tiles,
    "quarantine-rate": poisonous_firmware,
    "boot-regressed": lost_boot_counter,
    "retries": throttled_table,
    "not-published": appsync_that_refuses,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_its_alarm(
    name: str,
    assemblies: dict[str, Assembly],
    projector: TestBench,
    fanout: FanoutBench,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The threshold of the template, the metric of the function; no other symptom with it."""
    FAULTS[name](projector, fanout)
    values = emitted(capsys)
    found = {
        each for each, alarm in own_alarms(assemblies["prod-bus"]).items() if raised(alarm, values)
    }
    assert found == {name}


def test_there_is_a_fault_for_every_alarm_of_ours(assemblies: dict[str, Assembly]) -> None:
    """An alarm whose metric nothing emits could never be raised here."""
    for assembly in assemblies.values():
        assert set(own_alarms(assembly)) == set(FAULTS)


def test_good_events_raise_nothing_and_feed_the_dashboard(
    assemblies: dict[str, Assembly],
    projector: TestBench,
    fanout: FanoutBench,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A duplicate and a stale one are no fault; with the faults every metric there is was seen."""
    projector.project(opened(3), opened(11))
    projector.project(opened(11))
    fanout.publish(tile(), locker())
    values = emitted(capsys)
    alarms = own_alarms(assemblies["prod-bus"]).values()
    assert not [alarm.id for alarm in alarms if raised(alarm, values)]
    seen = set(values)
    for fault in FAULTS.values():
        fault(projector, fanout)
        seen |= set(emitted(capsys))
    assert {metric for _, metric in seen} == set(Metric)


def test_what_fails_five_times_is_a_dead_letter(
    assemblies: dict[str, Assembly], projector: TestBench, aws: Aws
) -> None:
    """The template's redrive policy on a queue whose events the table never takes."""
    queues = assemblies["prod-bus"].resources("AWS::SQS::Queue")
    (queue,) = [q for q in queues if q.properties["QueueName"] == "latchline-prod-projector"]
    receives = queue.properties["RedrivePolicy"]["maxReceiveCount"]
    dead = aws.sqs.create_queue(QueueName="dead")["QueueUrl"]
    wanted = ["QueueArn"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=wanted)["Attributes"]
    redrive = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": receives}
    attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "0"}
    url = aws.sqs.create_queue(QueueName="events", Attributes=attributes)["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(opened(1)))
    projector.dynamodb.faults["update_item"] = always(refusal("AccessDenied", "UpdateItem"))
    deliveries = 0
    while received := aws.sqs.receive_message(QueueUrl=url).get("Messages"):
        assert projector.project(received[0]["Body"]) == ["m0"]
        deliveries += 1
    assert deliveries == receives
    assert len(aws.sqs.receive_message(QueueUrl=dead)["Messages"]) == 1


def test_reasons_are_found_by_the_dashboard(
    assemblies: dict[str, Assembly],
    projector: TestBench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search names exactly the dimensions that the metric has in Lambda."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "latchline-prod-projector")
    projector.project("not json")
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (line,) = [each for each in lines if Metric.QUARANTINED_BY_REASON in each]
    ((dimensions,),) = [each["Dimensions"] for each in line["_aws"]["CloudWatchMetrics"]]
    body = assemblies["prod-bus"].only("AWS::CloudWatch::Dashboard").properties["DashboardBody"]
    search = (
        f"{{{NAMESPACE},{','.join(sorted(dimensions))}}} "
        f'MetricName=\\"{Metric.QUARANTINED_BY_REASON}\\" service=\\"{line["service"]}\\"'
    )
    assert any(search in part for part in body["Fn::Join"][1] if isinstance(part, str))
