"""Replays the bus's archive into the projector's rule, and nowhere else.

What AWS says of it (EventBridge user guide, "Archiving and replaying events"; API, StartReplay):

- an event may reach the archive late: wait 10 minutes before replaying what has just happened;
- a replay goes through its time range minute by minute and keeps no order within one;
- to the bus that the events came from, there to all rules or to those named in FilterArns;
- events carry `replay-name`, and what is replayed is not archived again;
- ten replays at a time an account and region; the record of one is kept for 90 days.

Order and repetition are worth nothing to the projector (decision 2), so a replay may overlap with
traffic, with redrives and with another replay. One at a time of our archive is enough, though: all
of them wait in the one projector queue, and live events behind them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from operations.errors import OperationsError
from operations.moments import show_moment
from pipeline.aws_errors import error_code

if TYPE_CHECKING:
    from simulators.target import Target

ARCHIVE_DELAY = timedelta(minutes=10)
ACTIVE = frozenset({"STARTING", "RUNNING", "CANCELLING"})


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay as it would be started. `held_since`: the archive has nothing older."""

    name: str
    archive: str
    archive_arn: str
    bus_arn: str
    rules: tuple[str, ...]
    rule_arns: tuple[str, ...]
    start: datetime
    end: datetime
    held_since: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "archive": self.archive,
            "rules": list(self.rules),
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "archive_held_since": self.held_since.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is. `last` is AWS's EventLastReplayedTime, None until there is one."""

    name: str
    state: str
    reason: str
    start: datetime
    end: datetime
    last: datetime | None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def completed(self) -> bool:
        return self.state == "COMPLETED"

    @property
    def fraction(self) -> float:
        """Of the time range, by AWS's minutes; 0 to 1."""
        if self.completed:
            return 1.0
        if self.last is None:
            return 0.0
        return min(1.0, max(0.0, (self.last - self.start) / (self.end - self.start)))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "last_replayed": None if self.last is None else self.last.isoformat(),
        }


class Archive:
    """The archive of one deployment, and its replays."""

    def __init__(self, target: "Target") -> None:
        """Raise OperationsError if the deployment's description names no bus and archive."""
        if target.bus is None or target.archive is None:
            raise OperationsError("the deployment names no bus and archive: deploy it again")
        self._client = target.client("events")
        self._bus, self._archive = target.bus, target.archive
        self._target = target

    def plan(
        self, start: datetime, end: datetime, *, now: datetime, delay: timedelta = ARCHIVE_DELAY
    ) -> Plan:
        """Check the time range and find what is to be named to AWS; starts nothing.

        Raises
        ------
        OperationsError
            The range is empty, too fresh, or wholly older than the archive; a replay is running; no
            rule of the bus leads to the projector's queue.
        """
        if start >= end:
            raise OperationsError(
                f"nothing lies between {show_moment(start)} and {show_moment(end)}"
            )
        if end > now - delay:
            ready = end + delay
            raise OperationsError(
                f"events reach the archive up to {delay.total_seconds() / 60:g} minutes late: wait "
                f"until {show_moment(ready)}, or replay --to {(now - delay):%Y-%m-%dT%H:%M:%SZ}"
            )
        described = self._client.describe_archive(ArchiveName=self._archive)
        held_since = described["CreationTime"]
        if days := described.get("RetentionDays"):
            held_since = max(held_since, now - timedelta(days=days))
        if end <= held_since:
            raise OperationsError(
                f"archive {self._archive} holds nothing before {show_moment(held_since)}"
            )
        for running in self.active():
            raise OperationsError(
                f"replay {running} of this archive has not ended: latchline replay --follow "
                f"{running}, or --cancel {running}"
            )
        rules = self._projector_rules()
        bus_arn = self._client.describe_event_bus(Name=self._bus)["Arn"]
        return Plan(
            name=f"latchline-{start:%Y%m%dT%H%M%S}-{end:%Y%m%dT%H%M%S}-{now:%H%M%S%f}",
            archive=self._archive,
            archive_arn=described["ArchiveArn"],
            bus_arn=bus_arn,
            rules=rules,
            rule_arns=tuple(self._rule_arn(rule) for rule in rules),
            start=start,
            end=end,
            held_since=held_since,
        )

    def start(self, plan: Plan) -> None:
        """Raise ClientError as boto3 does."""
        self._client.start_replay(
            ReplayName=plan.name,
            EventSourceArn=plan.archive_arn,
            EventStartTime=plan.start,
            EventEndTime=plan.end,
            Destination={"Arn": plan.bus_arn, "FilterArns": list(plan.rule_arns)},
        )

    def progress(self, name: str) -> Progress:
        """Raise OperationsError if there is no such replay (AWS: any more, after 90 days)."""
        try:
            found = self._client.describe_replay(ReplayName=name)
        except ClientError as error:
            raise _unknown(name, error) from error
        return Progress(
            name=name,
            state=found["State"],
            reason=found.get("StateReason", ""),
            start=found["EventStartTime"],
            end=found["EventEndTime"],
            last=found.get("EventLastReplayedTime"),
        )

    def cancel(self, name: str) -> None:
        """What is replayed by then stays so. Raises as `progress` does."""
        try:
            self._client.cancel_replay(ReplayName=name)
        except ClientError as error:
            raise _unknown(name, error) from error

    def active(self) -> Iterator[str]:
        """Names of the replays of this archive that have not ended."""
        request: dict[str, Any] = {
            "EventSourceArn": self._client.describe_archive(ArchiveName=self._archive)["ArchiveArn"]
        }
        while True:
            page = self._client.list_replays(**request)
            yield from (each["ReplayName"] for each in page["Replays"] if each["State"] in ACTIVE)
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _projector_rules(self) -> tuple[str, ...]:
        """Rules of the bus that send to the projector's queue: of the route `direct` too."""
        queue = self._target.client("sqs").get_queue_attributes(
            QueueUrl=self._target.queues["projector"], AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        names = self._client.list_rule_names_by_target(TargetArn=queue, EventBusName=self._bus)
        if not names["RuleNames"]:
            raise OperationsError(f"no rule of bus {self._bus} sends to the projector's queue")
        return tuple(names["RuleNames"])

    def _rule_arn(self, rule: str) -> str:
        return str(self._client.describe_rule(Name=rule, EventBusName=self._bus)["Arn"])


def _unknown(name: str, error: ClientError) -> Exception:
    if error_code(error) == "ResourceNotFoundException":
        return OperationsError(f"there is no replay {name!r} here")
    return error
