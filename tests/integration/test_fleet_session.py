"""A whole run: provisioned, connected, driven, watched, recorded and judged.

The pipeline between broker and viewer is played by the test: every message behind the rule is
parsed, kept and pushed.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import DoorEvent, Kind, Thing, format_version, parse_envelope
from pipeline.errors import Poison
from scripts.live_view import LiveView
from simulators.errors import FleetError
from simulators.faults import AT_LOCKERS, Fault, Faults
from simulators.fleet import FleetPlan
from simulators.ground_truth import GroundTruth, read_ground_truth
from simulators.observation import read_observation
from simulators.provisioning import Provisioner
from simulators.scenario import load_scenario
from simulators.script import read_script
from simulators.session import Files, Session, only_fleet_on
from simulators.target import GraphqlEndpoint, Target
from simulators.verdict import Parked, Stored, View, judge
from simulators.verification import shown
from tests.support.fake_appsync import FakeAppSync
from tests.support.fleet_broker import Broker, start_broker
from tests.support.wait import eventually

pytestmark = pytest.mark.integration

OFTEN = Faults(
    duplicate=0.1,
    reorder=0.1,
    delay=0.1,
    outage_s=150,
    dark_s=150,
    **dict.fromkeys((fault.value for fault in AT_LOCKERS), 2.0),
)
PLAN = FleetPlan(lockers=6, buildings=2, doors=3, rate=25, duration_s=2.0, seed=5)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


class Pipeline:
    """Broker to viewer, in the test's process: history, and what was parked."""

    def __init__(self, broker: Broker, appsync: FakeAppSync) -> None:
        self.events: list[DoorEvent] = []
        self.parked: list[Parked] = []
        self._broker = broker
        self._appsync = appsync

    async def work(self) -> None:
        while True:
            for body in await asyncio.to_thread(self._broker.bodies):
                try:
                    event = parse_envelope(body)
                except Poison as poison:
                    self.parked.append(parked(body, poison))
                    continue
                assert isinstance(event, DoorEvent)
                self.events.append(event)
                fields = graphql(event)
                building = event.thing.building
                self._appsync.buildings.setdefault(building, []).append(fields)
                await self._appsync.push(building, tiles=[fields])
            await asyncio.sleep(0.02)


@pytest.fixture
async def appsync() -> AsyncIterator[FakeAppSync]:
    fake = FakeAppSync()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def pipeline(broker: Broker, appsync: FakeAppSync) -> AsyncIterator[Pipeline]:
    broker.bodies()
    working = Pipeline(broker, appsync)
    task = asyncio.create_task(working.work())
    yield working
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def session_of(
    broker: Broker, appsync: FakeAppSync, folder: Path, plan: FleetPlan = PLAN
) -> Session:
    host = f"127.0.0.1:{appsync.port}"
    endpoint = GraphqlEndpoint(
        http=f"http://{host}/graphql", realtime=f"ws://{host}/graphql/realtime"
    )
    target: Target = broker.target.model_copy(update={"graphql": endpoint})
    return Session(target, plan, Files.beside(folder / "truth.jsonl", folder / "keys"))


async def test_a_run_is_recorded_so_that_it_can_be_judged(
    broker: Broker, appsync: FakeAppSync, pipeline: Pipeline, tmp_path: Path
) -> None:
    """Truth and subscription agree, door to tile was measured, and the summary says as much."""
    session = session_of(broker, appsync, tmp_path)
    await session.run(asyncio.Event())

    truth = read_ground_truth(session.files.truth)
    verdict = judge(
        truth,
        history=[stored(event) for event in pipeline.events],
        tiles=newest(pipeline.events),
        seen=shown(read_observation(session.files.seen)),
    )
    assert verdict.ok, verdict.differences
    assert verdict.checked[View.SUBSCRIPTION] == len(PLAN.places)
    summary = session.summary()
    assert summary["acknowledged"] == summary["events"] == len(truth.events)
    assert summary["door_to_tile_ms"]["count"] > 0
    assert "events from 6 lockers" in session.summary_line()


async def test_nothing_is_lost_on_a_bad_night(
    broker: Broker, appsync: FakeAppSync, pipeline: Pipeline, tmp_path: Path
) -> None:
    """Every fault at a locker and on the wire, and all four views agree with the truth."""
    plan = load_scenario("bad-night").plan(
        lockers=8, buildings=2, duration_s=1_800.0, speed=150.0, rate=0.5, faults=OFTEN
    )
    session = session_of(broker, appsync, tmp_path, plan)
    await session.run(asyncio.Event())

    truth = read_ground_truth(session.files.truth)
    await eventually(
        lambda: (
            judge(
                truth,
                history=[stored(event) for event in pipeline.events],
                tiles=newest(pipeline.events),
                seen=shown(read_observation(session.files.seen)),
                parked=pipeline.parked,
            ).differences
            == ()
        )
    )
    assert len(truth.malformed) > 5
    assert set(session.summary()["faults"]) == {fault.value for fault in Fault}
    assert "faults injected" in session.summary_line()


async def test_being_told_to_stop_ends_in_order(
    broker: Broker, appsync: FakeAppSync, pipeline: Pipeline, tmp_path: Path
) -> None:
    """Ctrl-C in an endless run: within seconds all is settled, closed, and complete on disk."""
    endless = FleetPlan(lockers=6, buildings=2, doors=3, rate=25)
    session = session_of(broker, appsync, tmp_path, endless)
    stop = asyncio.Event()
    running = asyncio.create_task(session.run(stop))
    async with asyncio.timeout(20):
        while session.phase != "running at 25 events/s":  # noqa: ASYNC110  (a plain attribute)
            await asyncio.sleep(0.02)
    view = LiveView(session)
    assert re.search(
        r"6/6 connected, \d+ events/s of 25, .* \d+ buffered, door to tile", view.line()
    )
    stopped = time.monotonic()
    stop.set()
    async with asyncio.timeout(20):
        await running
    assert time.monotonic() - stopped < 5
    truth: GroundTruth = read_ground_truth(session.files.truth)
    assert truth.complete
    assert all(event.outcome is not None for event in truth.events.values())


async def test_a_recorded_run_is_replayed_step_for_step(
    broker: Broker, appsync: FakeAppSync, pipeline: Pipeline, tmp_path: Path
) -> None:
    """What was played is written down, and a replay makes the same events at the same doors."""
    told: list[list[tuple[str, str, str, bool, bool]]] = []
    first = tmp_path / "script.jsonl"
    for recording in (first, tmp_path / "again.jsonl"):
        session = session_of(broker, appsync, tmp_path)
        session.files = Files.beside(tmp_path / "truth.jsonl", tmp_path / "keys", recording)
        if recording != first:
            parameters, script = read_script(first)
            assert FleetPlan.from_parameters(parameters) == PLAN
            session = Session(session.target, PLAN, session.files, script=script)
        await session.run(asyncio.Event())
        truth = read_ground_truth(session.files.truth)
        told.append(
            [
                (str(each.thing), each.door, each.kind, each.open, each.occupied)
                for each in truth.events.values()
                if each.kind is not Kind.REPORTED
            ]
        )
    assert told[0] == told[1]
    assert (tmp_path / "again.jsonl").read_bytes() == first.read_bytes()


async def test_being_told_to_stop_ends_provisioning_as_well(
    broker: Broker, appsync: FakeAppSync, tmp_path: Path
) -> None:
    """Thousands of certificates are not waited for; those that are there stay."""
    many = FleetPlan(lockers=400, buildings=4)
    session = session_of(broker, appsync, tmp_path, many)
    stop = asyncio.Event()
    running = asyncio.create_task(session.run(stop))
    await eventually(lambda: session.phase.startswith("provisioned "))
    stop.set()
    await asyncio.wait_for(running, 30)
    kept = Provisioner(session.target, session.files.keys).kept()
    assert 0 < len(kept) < 400
    assert session.fleet is None


async def test_a_second_fleet_with_the_same_lockers_is_refused(
    broker: Broker, appsync: FakeAppSync, tmp_path: Path
) -> None:
    """Two connections under one client id would throw each other out for ever."""
    session = session_of(broker, appsync, tmp_path)
    with only_fleet_on(tmp_path / "keys"), pytest.raises(FleetError, match=r"another fleet"):
        await session.run(asyncio.Event())


def parked(body: str, poison: Poison) -> Parked:
    envelope = json.loads(body)
    return Parked(
        thing=Thing.parse(envelope["thing"]),
        door=envelope["door"],
        reason=poison.reason,
        payload=base64.b64decode(envelope["payload"]),
        received_at=envelope["received_at"],
    )


def graphql(event: DoorEvent) -> dict[str, Any]:
    return {
        "buildingId": event.thing.building,
        "lockerId": event.thing.locker,
        "doorId": event.door,
        "version": format_version(event.version),
        "kind": event.kind,
        "status": event.status,
        "open": event.open,
        "occupied": event.occupied,
        "fault": event.fault,
        "at": event.at,
        "receivedAt": event.received_at,
        "queuedAt": None,
        "projectedAt": event.received_at,
        "trace": None,
    }


def stored(event: DoorEvent) -> Stored:
    return Stored(
        thing=event.thing,
        door=event.door,
        version=event.version,
        kind=event.kind,
        status=event.status,
        open=event.open,
        occupied=event.occupied,
        fault=event.fault,
        at=event.at,
    )


def newest(events: list[DoorEvent]) -> list[Stored]:
    tiles = {(each.thing, each.door): stored(each) for each in sorted(events, key=version)}
    return list(tiles.values())


def version(event: DoorEvent) -> int:
    return event.version
