"""The bill: every line a quantity times a list price, for our design and for the textbook's.

Three parts, so that nobody has to guess what a total means:

    events     what each event pays on its way, once
    keeping    what its history costs until it expires
    standing   what lockers, viewers and idle pollers cost whether a door opens or not
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from models import design
from models.choices import Deployed
from models.figures import Price, prices
from models.sizes import sizes
from models.workload import DAY_S, FULL, SINGLE, Workload, fills
from pipeline.outcomes import METRIC

GB = 1e9
DAYS_A_MONTH = 30.0
LOG_BYTES_BATCH = 950
"""Measured on the laptop stack, 26 bytes a line that CloudWatch adds included: START, END, REPORT,
a line of ours and one of metrics, the projector 0.85 KB and the fan-out 1.05 KB."""
LOG_BYTES_VALUE = 8
"""A latency in the line of metrics."""
TRACED = 0.05
"""Share of the invocations that AWS X-Ray records; AWS lets nobody choose it for a function."""
METRICS = len(METRIC) + 8
"""Outcomes; of `pipeline.report` two latencies, four counts of the fan-out, two reasons in use."""
PAGE_BYTES = 500_000
PAGE_REQUESTS = 12
"""Assumed: a visit to the dashboard's page."""


class Part(StrEnum):
    EVENTS = "events"
    KEEPING = "keeping"
    STANDING = "standing"


@dataclass(frozen=True, slots=True)
class Line:
    part: Part
    what: str
    quantity: float
    price: Price

    @property
    def usd(self) -> float:
        return self.quantity * self.price.each


@dataclass(frozen=True, slots=True)
class Bill:
    design: str
    workload: Workload
    lines: tuple[Line, ...]

    def total(self, *parts: Part) -> float:
        """US dollars of the given parts, or of all."""
        return sum(line.usd for line in self.lines if not parts or line.part in parts)

    def per_million(self, *parts: Part) -> float:
        """US dollars for 1 M events."""
        return self.total(*parts) * 1e6 / self.workload.events


def _line(part: Part, what: str, quantity: float, price: str) -> Line:
    return Line(part, what, quantity, prices()[price])


def ours(workload: Workload) -> Bill:
    """A day of the deployed design."""
    lines = [
        *_road(workload, Part.EVENTS, workload.messages),
        *_door_writes(workload),
        *_fanout(workload, Part.EVENTS, workload.tile_changes, workload.fills.coalescing),
        *_logs(workload),
        *_traces(
            workload.messages / workload.fills.projector,
            workload.tile_changes / workload.fills.stream,
        ),
        *_keeping(workload),
        *_presence(workload),
        *_standing(workload),
    ]
    return Bill("latchline", workload, tuple(lines))


def _road(day: Workload, part: Part, messages: float, who: str = "") -> Iterable[Line]:
    """From the broker to the projector, which `messages` take."""
    found = day.fills
    actions = 2 if day.route is Deployed.DIRECT else 1
    archived = messages * sizes().envelope / GB
    batches = messages / found.projector
    compute = _gb_seconds(batches, found.projector_ms)
    for what, quantity, price in (
        ("IoT rule", messages, "iot_rule"),
        ("IoT rule: actions", messages * actions, "iot_action"),
        ("queue ingest: send", messages, "sqs_request"),
        ("queue ingest: receive, delete", 2 * messages / found.pipe, "sqs_request"),
        ("Pipe", messages / found.pipe, "pipe_request"),
        ("bus", messages, "bus_event"),
        ("archive: taken in", archived, "archive_processed"),
        ("queue projector: send", messages, "sqs_request"),
        ("queue projector: receive, delete", 2 * batches, "sqs_request"),
        ("projector: invocations", batches, "lambda_request"),
        ("projector: compute", compute, "lambda_arm"),
    ):
        yield _line(part, who + what, quantity, price)


def _door_writes(day: Workload) -> Iterable[Line]:
    part, size = Part.EVENTS, sizes()
    # AWS: a failed condition costs what the write would have.
    updates = day.messages * day.fills.writes * size.tile_units
    yield _line(part, "history: puts", day.messages * size.history_units, "table_write")
    yield _line(part, "tiles: conditional updates", updates, "table_write")
    yield _line(
        part, "index attention", day.events * day.attention * size.tile_units, "table_write"
    )
    yield _line(part, "stream: reads by Lambda", day.tile_changes / day.fills.stream, "stream_read")


def _fanout(
    day: Workload, part: Part, changes: float, coalescing: float, who: str = ""
) -> Iterable[Line]:
    """From the stream to the viewers: `changes` items, so many of them a push."""
    batches = changes / day.fills.stream
    pushes = changes / coalescing
    delivered = pushes * day.viewers
    for what, quantity, price in (
        ("fan-out: invocations", batches, "lambda_request"),
        ("fan-out: compute", _gb_seconds(batches, day.fills.fanout_ms), "lambda_arm"),
        ("AppSync: mutations", pushes, "appsync_operation"),
        ("AppSync: deliveries", delivered * sizes().push_units(coalescing), "appsync_delivery"),
        ("pushes to browsers", delivered * sizes().push(coalescing) / GB, "data_out"),
    ):
        yield _line(part, who + what, quantity, price)


def _presence(day: Workload) -> Iterable[Line]:
    """A locker that comes or goes takes the same road; it is read, then written with its index."""
    part, who = Part.STANDING, "presence: "
    yield from _road(day, part, day.presences, who)
    yield _line(part, f"{who}reads", day.presences, "table_read")
    yield _line(part, f"{who}writes, index", 2 * day.presences, "table_write")
    yield from _fanout(day, part, day.presences, 1.0, who)


def _logs(day: Workload) -> Iterable[Line]:
    batches = day.messages / day.fills.projector + day.tile_changes / day.fills.stream
    values = 2 * day.events
    taken_in = (batches * LOG_BYTES_BATCH + values * LOG_BYTES_VALUE) / GB
    yield _line(Part.EVENTS, "logs and metrics: taken in", taken_in, "log_ingested")
    months = design.LOG_DAYS / DAYS_A_MONTH
    yield _line(Part.KEEPING, "logs: stored", taken_in * months, "log_storage")


def _traces(*invocations: float) -> Iterable[Line]:
    """AWS: a share of each function's invocations, and besides the first of every second.

    How many seconds of a day have an invocation depends on how it is spread: all that can.
    """
    yield _line(Part.EVENTS, "traces: a share", sum(invocations) * TRACED, "trace")
    yield from _first_traces(*invocations)


def _first_traces(*invocations: float) -> Iterable[Line]:
    firsts = sum(min(each, DAY_S) for each in invocations)
    yield _line(Part.STANDING, "traces: the first of a second", firsts, "trace")


def _keeping(day: Workload) -> Iterable[Line]:
    part = Part.KEEPING
    # A duplicate has the same key: one row an event.
    gb_months = day.events * sizes().history / GB * design.HISTORY_DAYS / DAYS_A_MONTH
    yield _line(part, f"history: {design.HISTORY_DAYS} days", gb_months, "table_storage")
    yield _line(part, "history: point-in-time recovery", gb_months, "table_recovery")
    archived = day.messages * sizes().envelope / GB * design.HISTORY_DAYS / DAYS_A_MONTH
    yield _line(part, f"archive: {design.HISTORY_DAYS} days", archived, "archive_storage")


def _standing(day: Workload) -> Iterable[Line]:
    part = Part.STANDING
    yield _line(part, "lockers connected", day.lockers * DAY_S / 60, "iot_connection")
    idle = 2 * design.POLLERS * DAY_S / design.LONG_POLL_S
    yield _line(part, "empty long polls of two queues", idle, "sqs_request")
    yield _line(
        part, "viewers connected", day.watching * day.viewer_hours * 60, "appsync_connection"
    )
    loads = day.watching * (
        design.SNAPSHOTS_A_VISIT + day.viewer_hours * 3600 / design.SNAPSHOT_EVERY_S
    )
    tiles = day.lockers * day.doors / day.buildings
    yield _line(part, "snapshots", loads, "appsync_operation")
    yield _line(part, "snapshots: reads", loads * sizes().snapshot_units(tiles), "table_read")
    yield _line(part, "snapshots to browsers", loads * sizes().push(tiles) / GB, "data_out")
    yield _line(part, "viewers signed in", day.watching / DAYS_A_MONTH, "cognito_user")
    yield _line(part, "dashboard: requests", day.watching * PAGE_REQUESTS, "cdn_request")
    yield _line(part, "dashboard: bytes", day.watching * PAGE_BYTES / GB, "cdn_transfer")
    yield _line(part, "metrics", METRICS / DAYS_A_MONTH, "metric")
    yield _line(part, "alarms", design.ALARMS / DAYS_A_MONTH, "alarm")
    yield _line(part, "the alarm that pages", 1 / DAYS_A_MONTH, "composite_alarm")
    yield _line(part, "dashboard of the metrics", 1 / DAYS_A_MONTH, "dashboard")


def _gb_seconds(invocations: float, ms: float, memory_mb: int = design.MEMORY_MB) -> float:
    return invocations * ms / 1000 * memory_mb / 1024


TEXTBOOK_BRIDGE = (60.0, 256)
TEXTBOOK_PROJECTOR = (80.0, 512)
TEXTBOOK_FANOUT = (120.0, 512)
"""Assumed: billed ms and MB, one event an invocation."""
TEXTBOOK_LOG_BYTES = 3_000


def textbook(workload: Workload, *, batch: float = 1.0) -> Bill:
    """The same day, built from the documentation's examples, one service after the other.

    A plain topic; a rule that invokes a function, which puts the event on the bus; a queue and a
    function, one event an invocation, with Powertools' idempotency (two writes), a read, a state
    write and a history write; one mutation a stream record. It has no archive and no presence.

    `batch` events an invocation save requests; the compute for each event stays.
    """
    part, n = Part.EVENTS, workload.events
    rows = [
        ("messages", n, "iot_message"),
        ("rule", n, "iot_rule"),
        ("rule action to Lambda", n, "iot_action"),
        ("bridge: invocations", n, "lambda_request"),
        ("bridge: compute", _gb_seconds(n, *TEXTBOOK_BRIDGE), "lambda_arm"),
        ("bus", n, "bus_event"),
        ("queue: send, receive, delete", n + 2 * n / batch, "sqs_request"),
        ("projector: invocations", n / batch, "lambda_request"),
        ("projector: compute", _gb_seconds(n, *TEXTBOOK_PROJECTOR), "lambda_arm"),
        ("idempotency: writes", 2 * n, "table_write"),
        ("state: reads", n, "table_read"),
        ("state: writes", n * sizes().tile_units, "table_write"),
        ("history: writes", n * sizes().history_units, "table_write"),
        ("fan-out: invocations", n / batch, "lambda_request"),
        ("fan-out: compute", _gb_seconds(n, *TEXTBOOK_FANOUT), "lambda_arm"),
        ("AppSync: mutations", n, "appsync_operation"),
        ("AppSync: deliveries", n * workload.viewers, "appsync_delivery"),
        ("pushes to browsers", n * workload.viewers * sizes().push(1) / GB, "data_out"),
        ("logs: taken in", n * TEXTBOOK_LOG_BYTES / GB, "log_ingested"),
        # Its libraries hand the trace on from the bridge to the projector.
        ("traces", n * TRACED, "trace"),
    ]
    lines = [_line(part, *row) for row in rows]
    lines += _first_traces(n, n / batch)
    lines += [line for line in _keeping(workload) if line.price.service == "DynamoDB"]
    lines.extend(_standing(workload))
    return Bill("textbook", workload, tuple(lines))


@dataclass(frozen=True, slots=True)
class Change:
    """What one assumption does to the cost of 1 M events, keeping and standing left out."""

    assumption: str
    ours: float
    textbook: float


def sensitivity(workload: Workload) -> list[Change]:
    """The same day with one thing changed at a time."""
    found = workload.fills
    cases = [
        ("as given", workload),
        *((f"viewers a building: {n}", replace(workload, viewers=n)) for n in (0, 1, 20, 100)),
        ("every event on its own", replace(workload, fills=SINGLE)),
        ("batches of 10, one tile a push", replace(workload, fills=fills(batch=10, coalescing=1))),
        ("batches of 10, 10 tiles a push", replace(workload, fills=FULL)),
        ("no duplicates", replace(workload, duplicates=0.0)),
        (
            "both functions twice as slow",
            replace(
                workload,
                fills=replace(
                    found, projector_ms=2 * found.projector_ms, fanout_ms=2 * found.fanout_ms
                ),
            ),
        ),
        ("route=direct, the bus as a tap", replace(workload, route=Deployed.DIRECT)),
    ]
    changes = [
        Change(name, ours(each).per_million(Part.EVENTS), textbook(each).per_million(Part.EVENTS))
        for name, each in cases
    ]
    fair = textbook(workload, batch=design.SQS_BATCH).per_million(Part.EVENTS)
    return [
        *changes,
        Change("the textbook in batches of 10 as well", changes[0].ours, fair),
        _by_appsync_events(workload),
        _one_operation_a_document(workload),
    ]


def _by_appsync_events(workload: Workload) -> Change:
    """Pushes through AppSync Events channels: a publish and each delivery at its one price."""
    bill = ours(workload)
    pushes = workload.tile_changes / workload.fills.coalescing
    units = sizes().push_units(workload.fills.coalescing)
    instead = pushes * units * (1 + workload.viewers) * prices()["appsync_event"].each
    return Change(
        "pushed by AppSync Events instead",
        _without_graphql(bill, "appsync_operation", "appsync_delivery")
        + instead * 1e6 / workload.events,
        textbook(workload).per_million(Part.EVENTS),
    )


def _one_operation_a_document(workload: Workload) -> Change:
    """If AppSync should bill a document with many aliases as one operation."""
    bill = ours(workload)
    documents = workload.tile_changes / workload.fills.stream
    instead = documents * prices()["appsync_operation"].each
    return Change(
        "a document is one operation, not each alias",
        _without_graphql(bill, "appsync_operation") + instead * 1e6 / workload.events,
        textbook(workload).per_million(Part.EVENTS),
    )


def _without_graphql(bill: Bill, *names: str) -> float:
    left_out = [prices()[name] for name in names]
    return bill.per_million(Part.EVENTS) - sum(
        line.usd * 1e6 / bill.workload.events
        for line in bill.lines
        if line.part is Part.EVENTS and line.price in left_out
    )
