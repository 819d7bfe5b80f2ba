"""Where AWS's quotas bind as the customer grows, and what the design does there.

Growth is by buildings: ten times December is ten times as many buildings, lockers and viewers, each
as busy as now. So what is counted by account or table grows, and what is counted by connection or
partition key does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from models import design
from models.figures import Quota, quotas
from models.sizes import sizes
from models.workload import (
    DAY_S,
    DECEMBER_EVENTS,
    PIPE_MS,
    VIEWERS,
    Fills,
    at_rate,
    customer_fleet,
    december,
)
from pipeline.fanout import ITEMS_PER_PUBLICATION

FACTORS = (1, 10, 100, 10_000)
RECOVERY_S = 60.0
"""Assumed: after an outage everybody is noticed gone, and comes back, within a minute."""
HOTTEST = 50.0
"""Assumed: the busiest building and the busiest locker have fifty times the mean traffic."""
TOKEN_HOURS = 1.0
"""Cognito: an access token lasts an hour, then every dashboard asks for a new one."""


@dataclass(frozen=True)
class Load:
    """The busiest ten minutes of the customer's December, so many times over."""

    factor: float
    events: float
    """A second."""
    lockers: float
    buildings: float

    @property
    def viewers(self) -> float:
        return self.buildings * VIEWERS

    @property
    def batch(self) -> float:
        return self._fills.projector

    @property
    def projecting_s(self) -> float:
        return self._fills.projector_ms / 1000

    @property
    def pushes(self) -> float:
        """Mutations a second."""
        return self.events / self._fills.coalescing

    @property
    def shards(self) -> float:
        """DynamoDB gives a table that is written so fast so many partitions, a shard each."""
        return max(design.SHARDS, self.writes / quotas()["partition_writes"].value)

    @property
    def writes(self) -> float:
        """Write units a second: a history item and a tile."""
        return self.events * (sizes().history_units + sizes().tile_units)

    @cached_property
    def _fills(self) -> Fills:
        return at_rate(self.events, max(1, round(self.buildings)), shards=round(self.shards))


def load(factor: float) -> Load:
    fleet = customer_fleet()
    peak = december().plan().curve.peak
    return Load(
        factor=factor,
        events=factor * DECEMBER_EVENTS / DAY_S * peak,
        lockers=factor * fleet.lockers,
        buildings=factor * fleet.buildings,
    )


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a quota at a load, and what happens when it is not enough."""

    quota: str
    what: str
    asked: Callable[[Load], float]
    then: str

    @property
    def row(self) -> Quota:
        return quotas()[self.quota]

    def use(self, factor: float) -> float:
        """Share of the quota that is used; above 1 it binds."""
        return self.asked(load(factor)) / self.row.value

    @property
    def binds_at(self) -> float | None:
        """The growth at which the quota is used up, or None if growth does not touch it."""
        low, high = 1e-3, 1e9
        if self.use(high) < 1:
            return None
        while high / low > 1.01:  # noqa: PLR2004  (two digits are printed)
            middle = (low * high) ** 0.5
            low, high = (low, middle) if self.use(middle) >= 1 else (middle, high)
        return high


def _busiest_building(at: Load) -> float:
    return HOTTEST * at.events / at.buildings * sizes().tile_units


def _busiest_locker(at: Load) -> float:
    return HOTTEST * at.events / at.lockers


DEMANDS: Sequence[Demand] = (
    Demand(
        "projector_concurrency",
        "batches in work at once",
        lambda at: at.events / design.SQS_BATCH * 0.1,
        "the queue holds what is too much, for four days; raise the setting, it is ours",
    ),
    Demand(
        "appsync_inbound",
        "pushes, one mutation a building",
        lambda at: at.pushes,
        "the fan-out retries; bursts coalesce by themselves, since a waiting shard fills its"
        " batches; then more APIs, buildings spread over them",
    ),
    Demand(
        "appsync_tokens",
        "a token for each push and each snapshot",
        lambda at: at.pushes + at.viewers / design.SNAPSHOT_EVERY_S,
        "the fan-out retries; raise the quota, or several APIs",
    ),
    Demand(
        "appsync_outbound",
        f"deliveries to {VIEWERS} viewers a building",
        lambda at: at.pushes * VIEWERS,
        "far behind the inbound quota",
    ),
    Demand(
        "appsync_connects",
        f"all viewers come back within {RECOVERY_S:.0f} s",
        lambda at: at.viewers / RECOVERY_S,
        "viewers reconnect with backoff and jitter, then load a snapshot",
    ),
    Demand(
        "appsync_message",
        f"a push of {ITEMS_PER_PUBLICATION} tiles, KB",
        lambda _: sizes().push(ITEMS_PER_PUBLICATION) / 1024,
        "a publication is cut at that many items",
    ),
    Demand(
        "cognito_tokens",
        "tokens renewed every hour",
        lambda at: at.viewers / (TOKEN_HOURS * 3600),
        "a refused dashboard keeps its picture and tries again; raise the quota",
    ),
    Demand(
        "iot_connections",
        "lockers connected",
        lambda at: at.lockers,
        "raise the quota; beyond, an account for each part of the fleet",
    ),
    Demand(
        "iot_connects",
        f"all lockers come back within {RECOVERY_S:.0f} s",
        lambda at: at.lockers / RECOVERY_S,
        "lockers reconnect with backoff and jitter; their events wait on the device",
    ),
    Demand(
        "iot_publishes",
        "events",
        lambda at: at.events,
        "the device is not acknowledged and sends again",
    ),
    Demand(
        "iot_rules",
        "one rule an event",
        lambda at: at.events,
        "raise the quota with the publishes",
    ),
    Demand(
        "iot_publishes_connection",
        "the busiest locker",
        _busiest_locker,
        "a broken locker throttles itself alone",
    ),
    Demand(
        "sqs_in_flight",
        "messages received and not yet deleted",
        lambda at: at.events * at.projecting_s,
        "never near: batches are deleted within a second",
    ),
    Demand(
        "pipe_concurrency",
        "Pipe batches in work at once",
        lambda at: at.events / design.SQS_BATCH * PIPE_MS / 1000,
        "the queue ingest holds the rest; or route=direct, which has no Pipe in the way",
    ),
    Demand(
        "bus_puts",
        "events put on the bus",
        lambda at: at.events,
        "the Pipe retries, ingest holds them; raise the quota, or route=direct",
    ),
    Demand(
        "bus_invocations",
        "one target, and the archive",
        lambda at: 2 * at.events,
        "AWS delays and delivers later; raise the quota, or route=direct",
    ),
    Demand(
        "table_writes_new",
        "history and tile, on a table that was never busier",
        lambda at: at.writes,
        "throttled writes are retried by the queue while the table doubles; pre-warm it",
    ),
    Demand(
        "table_writes",
        "history and tile",
        lambda at: at.writes,
        "raise the quota; a table takes as much as one asks for",
    ),
    Demand(
        "partition_writes",
        "the busiest building's tiles",
        _busiest_building,
        "growth is more buildings, not busier ones; of a door's events in a batch one is written",
    ),
    Demand(
        "partition_writes",
        "the busiest locker's history",
        _busiest_locker,
        "a locker may publish 100 a second, a tenth of it",
    ),
    Demand(
        "partition_writes",
        f"index attention: every locker offline within {RECOVERY_S:.0f} s",
        lambda at: at.lockers / RECOVERY_S,
        "all have the one key `offline`, and a throttled index throttles the table: presence is"
        " retried, tiles of other lockers wait with it; give the key a suffix before that",
    ),
    Demand(
        "stream_records",
        "changes of one shard",
        lambda at: at.writes / at.shards,
        "a shard splits with its partition, so its share stays",
    ),
    Demand(
        "lambda_concurrency",
        "projector and fan-out at once",
        lambda at: at.events / design.SQS_BATCH * 0.1 + at.shards * design.PARALLELIZATION,
        "raise the quota; at most ten invocations a shard",
    ),
)
