"""Replays as they are asked of EventBridge (moto); what they do is shown end to end."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import typer
from rich.console import Console

from operations.errors import OperationsError
from operations.moments import parse_moment, show_moment
from operations.replay import ARCHIVE_DELAY, Archive, Progress
from scripts.replay import attend
from tests.support.aws import REGION, refusal
from tests.support.operations import Deployment, deployment

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


@pytest.fixture
def deployed() -> Iterator[Deployment]:
    """A bus with an archive, the projector's rule and the rule of another consumer."""
    with deployment() as running:
        sqs, events = running.aws.sqs, boto3.client("events", region_name=REGION)
        bus = events.create_event_bus(Name="lockers")["EventBusArn"]
        for name, queue in (("projector", "projector"), ("billing", "ingest")):
            arn = sqs.get_queue_attributes(
                QueueUrl=running.target.queues[queue], AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"]
            events.put_rule(
                Name=name, EventBusName="lockers", EventPattern=json.dumps({"source": ["iot"]})
            )
            events.put_targets(Rule=name, EventBusName="lockers", Targets=[{"Id": "1", "Arn": arn}])
        events.create_archive(ArchiveName="lockers", EventSourceArn=bus, RetentionDays=90)
        described = {"bus": "lockers", "archive": "lockers"}
        running.target = running.target.model_copy(update=described)
        yield running


def soon() -> datetime:
    """A moment at which the archive, made just now, is an hour old."""
    return datetime.now(UTC) + HOUR


def test_a_plan_names_the_projector_s_rule_and_no_other(deployed: Deployment):
    """Nothing is started by looking."""
    archive, now = Archive(deployed.target), soon()
    plan = archive.plan(now - 2 * HOUR, now - ARCHIVE_DELAY, now=now)
    assert plan.rules == ("projector",)
    (rule,) = plan.rule_arns
    assert rule.endswith("rule/lockers/projector")
    assert plan.as_json()["archive"] == "lockers"
    assert list(archive.active()) == []
    with pytest.raises(OperationsError, match="no replay 'nothing'"):
        archive.progress("nothing")


def test_a_replay_is_started_as_planned(deployed: Deployment):
    """AWS is told the range, the bus and the one rule."""
    archive, now = Archive(deployed.target), soon()
    plan = archive.plan(now - 2 * HOUR, now - HOUR, now=now, delay=timedelta())
    archive.start(plan)
    described = boto3.client("events", region_name=REGION).describe_replay(ReplayName=plan.name)
    assert described["Destination"] == {"Arn": plan.bus_arn, "FilterArns": list(plan.rule_arns)}
    assert abs(described["EventStartTime"] - plan.start) < timedelta(seconds=1)
    assert archive.progress(plan.name).completed


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (-HOUR, -2 * HOUR, "nothing lies between"),
        (-HOUR, timedelta(0), "minutes late: wait until .*, or replay --to "),
        (-3 * HOUR, -2 * HOUR, "holds nothing before"),
    ],
)
def test_a_range_that_cannot_be_is_refused(
    deployed: Deployment, start: timedelta, end: timedelta, words: str
):
    """Empty, too fresh for the archive, or older than it: with the values and a way out."""
    now = soon()
    with pytest.raises(OperationsError, match=words):
        Archive(deployed.target).plan(now + start, now + end, now=now)


def test_without_a_rule_to_the_projector_nothing_is_replayed(deployed: Deployment):
    """FilterArns left empty would mean every consumer of the bus."""
    events = boto3.client("events", region_name=REGION)
    events.remove_targets(Rule="projector", EventBusName="lockers", Ids=["1"])
    now = soon()
    with pytest.raises(OperationsError, match="no rule of bus lockers"):
        Archive(deployed.target).plan(now - HOUR, now - HOUR / 2, now=now)


def test_a_deployment_without_bus_is_named(deployed: Deployment):
    """The description of an older deployment lacks both."""
    with pytest.raises(OperationsError, match="deploy it again"):
        Archive(deployed.target.model_copy(update={"bus": None}))


class Scripted:
    """A target whose EventBridge has one replay that is running."""

    bus = archive = "lockers"

    def client(self, _: str) -> Any:
        return self

    def describe_archive(self, **_: Any) -> dict[str, Any]:
        return {"ArchiveArn": "arn", "CreationTime": datetime(2026, 1, 1, tzinfo=UTC)}

    def list_replays(self, **call: Any) -> dict[str, Any]:
        if "NextToken" not in call:
            done = {"ReplayName": "old", "State": "COMPLETED"}
            return {"Replays": [done], "NextToken": "more"}
        return {"Replays": [{"ReplayName": "now", "State": "RUNNING"}]}

    def cancel_replay(self, *, ReplayName: str) -> None:  # noqa: N803
        raise refusal("IllegalStatusException", "CancelReplay")


def test_one_replay_of_the_archive_at_a_time():
    """A second one would only make live events wait longer; the first is named."""
    archive: Any = Archive(Scripted())  # type: ignore[arg-type]
    now = datetime(2026, 11, 21, tzinfo=UTC)
    with pytest.raises(OperationsError, match="replay now of this archive has not ended"):
        archive.plan(now - 2 * HOUR, now - HOUR, now=now)
    with pytest.raises(Exception, match="IllegalStatus"):
        archive.cancel("now")


@pytest.mark.parametrize(
    ("state", "last", "fraction", "active"),
    [
        ("STARTING", None, 0.0, True),
        ("RUNNING", HOUR / 4, 0.25, True),
        ("CANCELLED", HOUR / 4, 0.25, False),
        ("COMPLETED", None, 1.0, False),
    ],
)
def test_progress_is_the_part_of_the_range_replayed(
    state: str, last: timedelta | None, fraction: float, active: bool
):
    """By EventLastReplayedTime, which AWS gives once there is one."""
    start = datetime(2026, 11, 21, tzinfo=UTC)
    progress = Progress("r", state, "", start, start + HOUR, None if last is None else start + last)
    assert (progress.fraction, progress.active) == (fraction, active)
    assert progress.as_json()["state"] == state


NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW - 2 * HOUR),
        (" 90s ", NOW - timedelta(seconds=90)),
        ("2026-11-21T03:10:00Z", datetime(2026, 11, 21, 3, 10, tzinfo=UTC)),
        ("2026-11-21 04:10:00+01:00", datetime(2026, 11, 21, 3, 10, tzinfo=UTC)),
    ],
)
def test_moments_are_ages_or_iso(text: str, moment: datetime):
    """As a person writes them in the night."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["2026-11-21T03:10:00", "yesterday", "", "5w", "999999999d"])
def test_what_is_no_moment_is_named(text: str):
    """A local time without an offset would mean another moment on the next machine."""
    with pytest.raises(OperationsError) as refused:
        parse_moment(text, NOW)
    assert repr(text) in str(refused.value)


def test_moments_are_shown_in_utc():
    """To the second, with the Z."""
    assert show_moment(NOW) == "2026-11-21 03:00:00Z"


class Endless:
    """An archive whose replay is looked at twice, then Ctrl-C is pressed."""

    def __init__(self) -> None:
        self.looks = 0

    def progress(self, name: str) -> Progress:
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt
        return Progress(name, "RUNNING", "", NOW, NOW + HOUR, None)


def test_ctrl_c_leaves_a_replay_running_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]):
    """The replay is AWS's; the terminal was only watching."""
    archive: Any = Endless()
    with pytest.raises(typer.Exit) as ended:
        attend(
            Scripted(),  # type: ignore[arg-type]
            archive,
            "r-1",
            Console(),
            option=" --stage prod",
            wait=True,
            as_json=False,
        )
    assert ended.value.exit_code == 1
    printed = capsys.readouterr().out
    assert "r-1 goes on" in printed
    assert "latchline replay --follow r-1 --stage prod" in printed
    assert "latchline replay --cancel r-1 --stage prod" in printed


@pytest.mark.parametrize(("state", "status"), [("FAILED", 1), ("CANCELLED", 1), ("COMPLETED", 0)])
def test_how_a_replay_ended_is_the_exit_status(
    state: str, status: int, capsys: pytest.CaptureFixture[str]
):
    """With AWS's reason, for a person or a program."""

    class Ended:
        def progress(self, name: str) -> Progress:
            return Progress(name, state, "because", NOW, NOW + HOUR, NOW + HOUR / 2)

    archive: Any = Ended()
    target: Any = Scripted()
    for as_json in (False, True):
        try:
            attend(target, archive, "r-1", Console(), option="", wait=False, as_json=as_json)
            code = 0
        except typer.Exit as ended:
            code = ended.exit_code
        assert code == status
        assert "because" in capsys.readouterr().out
