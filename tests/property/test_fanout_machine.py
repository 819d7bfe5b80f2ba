"""The real fan-out and dashboards against a model of the table, with faults around each request.

The table's stream in lanes, each in order; batches that Lambda bisects, retries and gives up on, by
the code that does so on a laptop (`local.adapters.stream_batches`); AppSync executing the deployed
schema; subscribers whose pushes get lost or overtake each other, with snapshots taken at one moment
and arriving at another.
"""

import asyncio
import io
import json
import uuid
import zlib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from local.adapters.stream_batches import (
    Answer,
    BatchProcessor,
    MappingConfig,
    NotInvokedError,
    Record,
    sequence_number,
)
from pipeline.appsync import AppSync
from pipeline.contract import format_version
from pipeline.deadline import Deadline
from pipeline.fanout import Fanout
from pipeline.quarantine import Quarantine
from pipeline.report import FanoutReport
from tests.support.aws import FaultyClient
from tests.support.examples import examples
from tests.support.fanout_model import (
    AFTER,
    BEFORE,
    BUILDINGS,
    PLANS,
    Dashboard,
    Fault,
    KilledError,
    Parking,
    Plan,
    Shown,
    fields_of,
    item_of,
    order_of,
    park,
)
from tests.support.fanouts import locker, tile
from tests.support.lambda_events import RECEIVED_AT, stream_event
from tests.support.memory_appsync import MemoryAppSync, deployed_schema
from tests.support.memory_aws import MemoryQueue

pytestmark = pytest.mark.property

DOORS = ("d01", "d02")
BAD = st.sampled_from(("version", "at", "revision"))
"""Which attribute cannot be shown."""
LANES = 2
SCHEMA = deployed_schema()
CONFIG = MappingConfig(
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:fanout",
    stream_arn="arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s",
    bisect=True,
    max_retries=2,
    reports_failures=True,
    destination="arn:aws:sqs:us-east-1:000000000000:fanout-dlq",
)


class FanoutMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.table: dict[str, dict[str, Any]] = {}
        self.records: dict[str, Record] = {}
        self.lanes: list[list[str]] = [[] for _ in range(LANES)]
        self.done: set[str] = set()
        self.pointers: list[dict[str, Any]] = []
        self.published: Shown = {}
        self.appsync = MemoryAppSync(SCHEMA)
        self.dlq = MemoryQueue()
        self.sqs = FaultyClient(self.dlq)
        self.parking = Quarantine(self.sqs, "https://sqs/fanout-dlq")  # type: ignore[arg-type]
        self.fanout = Fanout(
            AppSync(self.appsync, lambda: RECEIVED_AT + 50),
            self.parking,
            FanoutReport(
                Logger(service=f"f-{uuid.uuid4()}", stream=io.StringIO(), level="CRITICAL"),
                Metrics(service="f", namespace="Latchline"),
                lambda: RECEIVED_AT + 60,
            ),
        )
        self.faithful, self.lossy = Dashboard(), Dashboard()
        self.snapshots: list[list[dict[str, Any]]] = []
        self.plans: list[Plan | None] = []

    # The table.

    @rule(
        building=st.sampled_from(BUILDINGS),
        door=st.sampled_from(DOORS),
        step=st.integers(0, 2),
        earlier=st.integers(0, 3),
        attention=st.booleans(),
    )
    def a_tile_changes(
        self, building: str, door: str, step: int, earlier: int, attention: bool
    ) -> None:
        """To a higher version; or, by a redelivery that was stamped earlier, within its version."""
        held = self.table.get(f"{building}/l03/{door}")
        seq = (int(held["version"]["S"]) % 2**32 if held else 1) + step
        image = tile(building, door, seq=seq)
        if step == 0 and held is not None:
            received_at = int(held["received_at"]["N"]) - 1 - earlier
            image["received_at"] = {"N": str(received_at)}
        if attention:
            image["attention"] = {"S": "forced"}
        assert image["version"]["S"] == format_version(2**32 + seq)
        self._write(image)

    @rule(building=st.sampled_from(BUILDINGS), connected=st.booleans())
    def a_locker_changes(self, building: str, connected: bool) -> None:
        held = self.table.get(f"{building}/l03/")
        revision = int(held["revision"]["N"]) + 1 if held else 1
        self._write(locker(building, revision=revision, connected=connected))

    @rule(building=st.sampled_from(BUILDINGS), bad=BAD)
    def a_record_is_written_that_nobody_can_show(self, building: str, bad: str) -> None:
        """Not by the projector: by a person, or a restore."""
        image = {**tile(building, "d99"), bad: {"S": "?"}}
        if bad == "revision":
            image = {**locker(building), "revision": {"N": str(2**40)}}
            image["sk"] = {"S": "LOCKER#broken"}
        self._stream(image)

    def _write(self, image: dict[str, Any]) -> None:
        item = item_of(fields_of(image))
        before = self.table.get(item)
        self.table[item] = image
        self._stream(image, before)

    def _stream(self, image: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        sequence = 100 + 7 * len(self.records)  # 100, 107, …, 996, 1003: of differing length
        (record,) = stream_event([image], first=sequence)["Records"]
        if before is not None:
            record["dynamodb"]["OldImage"] = before
        self.records[str(sequence)] = record
        key = json.dumps(record["dynamodb"]["Keys"], sort_keys=True)
        self.lanes[zlib.crc32(key.encode()) % LANES].append(str(sequence))

    # Lambda.

    @precondition(lambda self: any(self.lanes))
    @rule(lane=st.integers(0, LANES - 1), size=st.integers(1, 10), plans=PLANS)
    def lambda_delivers(self, lane: int, size: int, plans: list[Plan | None]) -> None:
        batch, self.lanes[lane] = self.lanes[lane][:size], self.lanes[lane][size:]
        if batch:
            self.plans = list(plans)
            self._process(batch)

    @rule(building=st.sampled_from(BUILDINGS), bad=BAD, parking=st.sampled_from(Parking))
    def parking_fails(self, building: str, bad: str, parking: Parking) -> None:
        """As may happen in any batch; by itself, so that it happens often."""
        self.a_record_is_written_that_nobody_can_show(building, bad)
        newest = list(self.records)[-1]
        for number, lane in enumerate(self.lanes):
            if newest in lane:
                plan = Plan(None, frozenset(), parking)
                self.lambda_delivers(number, len(lane), [plan])

    def _process(self, batch: list[str]) -> None:
        processor = BatchProcessor(
            CONFIG, "shard", invoke=self._invoke, discard=self._discard, wait=_at_once
        )
        asyncio.run(processor.process([self.records[each] for each in batch]))
        self.plans = []
        self.done |= set(batch)

    async def _discard(self, body: str) -> None:
        self.pointers.append(json.loads(body))

    async def _invoke(self, records: Sequence[Record]) -> Answer:
        plan = self.plans.pop(0) if self.plans else None
        fault = plan.fault if plan else None
        if fault is Fault.NOT_INVOKED:
            raise NotInvokedError(fault.value)
        self._arm(plan)
        pushed = len(self.appsync.pushed)
        killed = False
        try:
            with redirect_stdout(io.StringIO()):
                seconds = -1.0 if fault is Fault.LATE else 60.0
                answer = self.fanout.handle({"Records": list(records)}, Deadline(seconds))
        except KilledError:
            killed = True
        self._disarm()
        concerned = self._concerned(records)
        for batch in self.appsync.pushed[pushed:]:
            assert batch["attention"] == (batch["buildingId"] in concerned)
            self._push(batch)
        if killed:
            return Answer(b'{"errorType": "Runtime.ExitError"}', error="Unhandled")
        failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
        assert failed == self._expected_checkpoint(records, plan)
        return Answer(json.dumps(answer).encode())

    def _arm(self, plan: Plan | None) -> None:
        if plan is None:
            return
        for hook, faults in (("before", BEFORE), ("after", AFTER)):
            if plan.fault is not None and plan.fault in faults:
                setattr(self.appsync, hook, faults[plan.fault])
        if plan.fault is Fault.REFUSED:
            self.appsync.refused = set(plan.buildings)
        if plan.parking is not None:
            self.sqs.faults["send_message_batch"] = partial(park, plan.parking)

    def _disarm(self) -> None:
        self.appsync.before = self.appsync.after = None
        self.appsync.refused = set()
        self.sqs.faults.clear()

    def _expected_checkpoint(self, records: Sequence[Record], plan: Plan | None) -> list[str]:
        """The lowest sequence number of what the fault has met."""
        failed = []
        for record in records:
            image = record["dynamodb"]["NewImage"]
            if not self._readable(image):
                met = plan is not None and plan.parking is not None
            elif plan is None or plan.fault is None:
                met = False
            else:
                met = plan.fault is not Fault.REFUSED or image["building"]["S"] in plan.buildings
            if met:
                failed.append(int(sequence_number(record)))
        return [str(min(failed))] if failed else []

    def _concerned(self, records: Sequence[Record]) -> set[str]:
        """Buildings of which something is on the attention list, or leaves it."""
        return {
            change["NewImage"]["building"]["S"]
            for record in records
            if self._readable((change := record["dynamodb"])["NewImage"])
            and "attention" in {**change["NewImage"], **change.get("OldImage", {})}
        }

    @staticmethod
    def _readable(image: Mapping[str, Any]) -> bool:
        return image["sk"]["S"].rsplit("#", 1)[-1] not in {"d99", "broken"}

    # Dashboards.

    def _push(self, batch: dict[str, Any]) -> None:
        for fields in [*batch["tiles"], *batch["lockers"]]:
            item, order = item_of(fields), order_of(fields)
            self.published[item] = max(order, self.published.get(item, order))
        self.faithful.take(batch)
        self.lossy.pushes.append(batch)

    @precondition(lambda self: self.lossy.pushes)
    @rule(which=st.integers(0, 50), lost=st.booleans())
    def a_push_arrives_or_is_lost(self, which: int, lost: bool) -> None:
        batch = self.lossy.pushes.pop(which % len(self.lossy.pushes))
        if not lost:
            self.lossy.take(batch)

    @rule()
    def a_snapshot_is_read(self) -> None:
        self.snapshots.append([fields_of(image) for image in self.table.values()])

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 5))
    def a_snapshot_arrives(self, which: int) -> None:
        self._load(self.lossy, self.snapshots.pop(which % len(self.snapshots)))

    @staticmethod
    def _load(dashboard: Dashboard, snapshot: Sequence[dict[str, Any]]) -> None:
        tiles = [each for each in snapshot if "doorId" in each]
        lockers = [each for each in snapshot if "doorId" not in each]
        dashboard.take({"tiles": tiles, "lockers": lockers})

    # What holds after each step.

    @invariant()
    def what_is_done_was_published_or_is_parked(self) -> None:
        parked = self._parked()
        for sequence in self.done - parked:
            image = self.records[sequence]["dynamodb"]["NewImage"]
            assert self._readable(image), f"{sequence} is neither parked nor to be shown"
            fields = fields_of(image)
            assert self.published[item_of(fields)] >= order_of(fields), f"{sequence} was dropped"

    def _parked(self) -> set[str]:
        """Sequence numbers that a dead letter points at: ours, or Lambda's own."""
        ours = [json.loads(entry["MessageBody"]) for entry in self.dlq.messages]
        assert {each["requestContext"]["condition"] for each in ours} <= {"PoisonRecord"}
        found = set()
        for pointer in [*ours, *self.pointers]:
            info = pointer["DDBStreamBatchInfo"]
            first, last = int(info["startSequenceNumber"]), int(info["endSequenceNumber"])
            found |= {each for each in self.records if first <= int(each) <= last}
        return found

    def teardown(self) -> None:
        """The faults are over: pushes alone, or the last snapshot alone, make the right picture."""
        if not hasattr(self, "records"):
            return
        try:
            for lane in self.lanes:
                if lane:
                    self._process(lane)
            self.lanes = [[] for _ in range(LANES)]
            self.what_is_done_was_published_or_is_parked()
            truth = {item: order_of(fields_of(image)) for item, image in self.table.items()}
            # AWS's dead letters are re-published from the table by a person; here by the snapshot.
            if self.pointers:
                self._load(self.faithful, [fields_of(image) for image in self.table.values()])
            assert self.faithful.shown() == truth
            for snapshot in self.snapshots:
                self._load(self.lossy, snapshot)
            self._load(self.lossy, [fields_of(image) for image in self.table.values()])
            for batch in self.lossy.pushes:
                self.lossy.take(batch)
            assert self.lossy.shown() == truth
        finally:
            self.parking._pool.shutdown()


async def _at_once(_: float) -> None:
    return


TestFanoutMachine = FanoutMachine.TestCase
TestFanoutMachine.settings = examples(30, 1_000, stateful_step_count=25)
