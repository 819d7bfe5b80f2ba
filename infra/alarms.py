"""What is watched: every alarm with its metric, threshold and runbook section, in one table.

Symptoms page somebody: events are late, parked or wrong. Causes explain a symptom and page nobody
by themselves. Metric names of ours come from `pipeline.metrics`, AWS's are theirs; who emits each
is in `emitter`, and a test holds the two together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra.deployment import Deployment
from pipeline.metrics import NAMESPACE, Metric

RUNBOOK = "docs/operations.md"
QUARANTINE = "quarantine"
"""Holds what can never become a tile: one bad controller wakes nobody, a burst does."""
DEAD_LETTER_PARTS = (
    "iot-errors",
    "ingest-dlq",
    "bus-dlq",
    "projector-dlq",
    QUARANTINE,
    "fanout-dlq",
)
LATE_S = 60
"""The courier has closed the door and gone; the oldest event should have been long done."""
SLOW_MS = 700
"""Door to tile at p95 that a building manager still takes for immediate."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One alarm: `statistic` of `metric` above `threshold` in `datapoints` of `periods` periods.

    `section` is the anchor of its runbook section. `pages`: a symptom. No data is no news.
    """

    name: str
    metric: str
    emitter: str
    section: str
    what: str
    namespace: str = NAMESPACE
    dimensions: Mapping[str, str] = field(default_factory=dict)
    statistic: str = "Sum"
    threshold: float = 0
    period_s: int = 60
    periods: int = 1
    datapoints: int = 1
    pages: bool = False

    @property
    def description(self) -> str:
        """What it means, and where the runbook says what to do."""
        return f"{self.what}. Runbook: {RUNBOOK}#{self.section}"


def watches(deployment: Deployment, api_id: str) -> list[Watch]:
    """Return all alarms of a deployment, symptoms first."""
    return [*symptoms(deployment), *causes(deployment, api_id)]


def symptoms(deployment: Deployment) -> Iterator[Watch]:
    yield Watch(
        name="door-to-tile-slow",
        metric=Metric.DOOR_TO_PUBLISHED,
        emitter="fanout",
        section="slow",
        what=f"Tiles flip later than {SLOW_MS} ms after their door (p95)",
        dimensions={"service": deployment.name("fanout")},
        statistic="p95",
        threshold=SLOW_MS,
        periods=5,
        datapoints=3,
        pages=True,
    )
    yield from (
        _not_empty(deployment, part, pages=True) for part in DEAD_LETTER_PARTS if part != QUARANTINE
    )
    for part in ("ingest", "projector"):
        yield Watch(
            name=f"{part}-late",
            metric="ApproximateAgeOfOldestMessage",
            emitter="SQS",
            section=f"{part}-queue-age",
            what=f"An event has waited in {part} for more than {LATE_S} s",
            namespace="AWS/SQS",
            dimensions={"QueueName": deployment.name(part)},
            statistic="Maximum",
            threshold=LATE_S,
            periods=3,
            datapoints=2,
            pages=True,
        )
    yield Watch(
        name="fanout-late",
        metric="IteratorAge",
        emitter="Lambda",
        section="stream-iterator-age",
        what=f"The fan-out is more than {LATE_S} s behind the table",
        namespace="AWS/Lambda",
        dimensions={"FunctionName": deployment.name("fanout")},
        statistic="Maximum",
        threshold=LATE_S * 1000,
        periods=3,
        datapoints=2,
        pages=True,
    )
    yield Watch(
        name="quarantine-rate",
        metric=Metric.QUARANTINED,
        emitter="projector",
        section=QUARANTINE,
        what="More than 50 events in five minutes can never become a tile: a firmware release?",
        dimensions={"service": deployment.name("projector")},
        threshold=50,
        period_s=300,
        pages=True,
    )
    yield Watch(
        name="boot-regressed",
        metric=Metric.BOOT_REGRESSED,
        emitter="projector",
        section="boot-regressed",
        what="A controller's boot counter went back: its doors are stuck",
        dimensions={"service": deployment.name("projector")},
        pages=True,
    )
    # The device policy allows a controller no other rule, so this one is gone or disabled.
    yield Watch(
        name="rule-not-found",
        metric="RuleNotFound",
        emitter="IoT Core",
        section="rule-not-found",
        what="Controllers publish to a rule that is not there: each of those events is lost",
        namespace="AWS/IoT",
        dimensions={"RuleName": deployment.door_rule},
        pages=True,
    )


def causes(deployment: Deployment, api_id: str) -> Iterator[Watch]:
    for part in ("projector", "fanout"):
        for metric in ("Errors", "Throttles"):
            yield Watch(
                name=f"{part}-{metric.lower()}",
                metric=metric,
                emitter="Lambda",
                section="function-failing",
                what=f"{metric} of {part}: whole batches come again",
                namespace="AWS/Lambda",
                dimensions={"FunctionName": deployment.name(part)},
                periods=5,
                datapoints=3,
            )
    yield Watch(
        name="retries",
        metric=Metric.RETRIED,
        emitter="projector",
        section="projector-queue-age",
        what="Many events need more than one try: is the table throttled?",
        dimensions={"service": deployment.name("projector")},
        threshold=100,
        period_s=300,
    )
    yield Watch(
        name="not-published",
        metric=Metric.FAILED_ALIASES,
        emitter="fanout",
        section="appsync-down",
        what="AppSync refuses tiles",
        dimensions={"service": deployment.name("fanout")},
        periods=5,
        datapoints=3,
    )
    yield Watch(
        name="appsync-errors",
        metric="5XXError",
        emitter="AppSync",
        section="appsync-down",
        what="AppSync answers with errors of its own",
        namespace="AWS/AppSync",
        dimensions={"GraphQLAPIId": api_id},
        periods=5,
        datapoints=3,
    )
    yield Watch(
        name="pipe-failed",
        metric="ExecutionFailed",
        emitter="EventBridge Pipes",
        section="pipe-stopped",
        what="The pipe cannot put events on the bus",
        namespace="AWS/EventBridge/Pipes",
        dimensions={"PipeName": deployment.name("ingest")},
        periods=5,
        datapoints=3,
    )
    yield _not_empty(deployment, QUARANTINE, pages=False)
    # AWS counts connections of the whole account: all its stages' controllers together.
    for metric, threshold in (("Connect.AuthError", 20), ("Connect.ClientError", 100)):
        yield Watch(
            name=f"{metric.replace('.', '-').lower()}",
            metric=metric,
            emitter="IoT Core",
            section="connect-failures",
            what="Controllers are turned away when they connect",
            namespace="AWS/IoT",
            dimensions={"Protocol": "MQTT"},
            threshold=threshold,
            period_s=300,
        )


def _not_empty(deployment: Deployment, part: str, *, pages: bool) -> Watch:
    return Watch(
        name=f"{part}-not-empty",
        metric="ApproximateNumberOfMessagesVisible",
        emitter="SQS",
        section=part,
        what=f"Letters in {part}",
        namespace="AWS/SQS",
        dimensions={"QueueName": deployment.name(part)},
        statistic="Maximum",
        pages=pages,
    )
