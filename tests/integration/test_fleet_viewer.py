"""The viewer: subscribe, then snapshot; merge; come back after a cut; say why it cannot."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from io import StringIO
from typing import Any

import pytest

from pipeline.contract import Thing
from simulators.errors import ViewerError
from simulators.observation import ObservationWriter, ViewerRun
from simulators.target import Target
from simulators.viewer import Viewer
from tests.support.fake_appsync import FakeAppSync

pytestmark = pytest.mark.integration

NOW_MS = 1_790_000_000_500
BUILDINGS = ("maple-court", "birch-house")
PLACE = (Thing("maple-court", "l01"), "d01")


@pytest.fixture
async def appsync() -> AsyncIterator[FakeAppSync]:
    fake = FakeAppSync()
    await fake.start()
    yield fake
    await fake.stop()


def target_of(appsync: FakeAppSync) -> Target:
    host = f"127.0.0.1:{appsync.port}"
    return Target.from_info(
        {
            "region": "us-east-1",
            "access_key_id": "k",
            "secret_access_key": "s",
            "iot": {"endpoint": "localhost", "port": 1},
            "graphql": {
                "http": f"http://{host}/graphql",
                "realtime": f"ws://{host}/graphql/realtime",
            },
            "table": "t",
            "device_policy": "p",
        }
    )


def viewer_of(appsync: FakeAppSync, **options: Any) -> Viewer:
    return Viewer(target_of(appsync), BUILDINGS, now_ms=lambda: NOW_MS, **options)


def tile(version: int, door: str = "d01", kind: str = "opened") -> dict[str, Any]:
    return {
        "buildingId": "maple-court",
        "lockerId": "l01",
        "doorId": door,
        "version": f"{version:020d}",
        "kind": kind,
        "status": "open",
        "open": True,
        "occupied": False,
        "fault": None,
        "at": "2026-09-21T14:13:20.400Z",
        "receivedAt": 1_790_000_000_410,
        "queuedAt": None,
        "projectedAt": 1_790_000_000_450,
        "trace": None,
    }


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  (the state looked at sets no event)
            await asyncio.sleep(0.01)


async def test_the_snapshot_is_loaded_after_every_subscription_has_started(
    appsync: FakeAppSync,
) -> None:
    """The other order has a hole between snapshot and subscription."""
    async with viewer_of(appsync):
        assert appsync.calls[:4] == ["start", "start", "query", "query"]


async def test_a_snapshot_of_several_pages_is_loaded_whole(appsync: FakeAppSync) -> None:
    """nextToken is followed to the end."""
    appsync.buildings["maple-court"] = [tile(1, door=f"d0{n}") for n in range(1, 6)]
    async with viewer_of(appsync) as viewer:
        assert len(viewer.picture.tiles) == 5


async def test_a_push_flips_the_tile_and_is_timed(appsync: FakeAppSync) -> None:
    """Door to tile is the time from the device's clock in the event to the arrival here."""
    async with viewer_of(appsync) as viewer:
        await appsync.push("maple-court", tiles=[tile(2)])
        assert await viewer.wait_for({PLACE: 2}, timeout_s=5) == set()
        assert list(viewer.counters.door_to_tile_ms) == [100.0]


async def test_old_and_repeated_pushes_change_nothing(appsync: FakeAppSync) -> None:
    """The highest version stays, and a repeat is not timed again; nor is a report."""
    async with viewer_of(appsync) as viewer:
        for version in (2, 1, 2):
            await appsync.push("maple-court", tiles=[tile(version)])
        await appsync.push("maple-court", tiles=[tile(3, door="d02", kind="reported")])
        await until(lambda: viewer.counters.pushes == 4)
        assert viewer.picture.tiles[PLACE].order == 2
        assert len(viewer.counters.door_to_tile_ms) == 1


async def test_after_a_cut_it_subscribes_and_loads_again(appsync: FakeAppSync) -> None:
    """What was pushed while the line was down comes with the snapshot."""
    async with viewer_of(appsync) as viewer:
        loaded = appsync.snapshots
        appsync.buildings["maple-court"] = [tile(7)]
        await appsync.cut()
        assert await viewer.wait_for({PLACE: 7}, timeout_s=10) == set()
        assert appsync.connections == 2
        assert appsync.snapshots >= loaded + 2
        assert viewer.counters.reconnects == 1


async def test_a_push_that_was_lost_comes_with_the_second_snapshot(appsync: FakeAppSync) -> None:
    """AppSync may lose a push right after start_ack, so the snapshot is loaded once more."""
    async with viewer_of(appsync) as viewer:
        appsync.buildings["maple-court"] = [tile(4)]
        assert await viewer.wait_for({PLACE: 4}, timeout_s=10) == set()
        assert viewer.counters.reconnects == 0


async def test_waiting_tells_the_doors_that_stay_behind(appsync: FakeAppSync) -> None:
    """When time is up the caller learns which doors were not seen."""
    async with viewer_of(appsync) as viewer:
        assert await viewer.wait_for({PLACE: 9}, timeout_s=0.1) == {PLACE}


async def test_a_refused_subscription_is_told_with_the_reason(appsync: FakeAppSync) -> None:
    """The server's word is in the error, and the address that refused."""
    appsync.refuse = True
    with pytest.raises(ViewerError, match=r"127\.0\.0\.1.*not yours"):
        async with viewer_of(appsync, ready_within_s=1.5):
            pass


async def test_nobody_listening_is_told(appsync: FakeAppSync) -> None:
    """A gateway that is down ends in one line, not in a stack."""
    await appsync.stop()
    with pytest.raises(ViewerError, match=r"no subscription at ws://127\.0\.0\.1.*Connect call"):
        async with viewer_of(appsync, ready_within_s=1.0):
            pass
    await appsync.start()


async def test_leaving_is_quick_and_leaves_no_task(appsync: FakeAppSync) -> None:
    """A viewer that is closed is closed."""
    before = len(asyncio.all_tasks())
    async with asyncio.timeout(8):
        async with viewer_of(appsync):
            pass
    await until(lambda: len(asyncio.all_tasks()) <= before + 1)


async def test_arrivals_are_recorded(appsync: FakeAppSync) -> None:
    """A header, the connection, and each tile with how and when it came."""
    file = StringIO()
    record = ObservationWriter(file, ViewerRun(NOW_MS, BUILDINGS))
    async with viewer_of(appsync, record=record) as viewer:
        await appsync.push("maple-court", tiles=[tile(2)])
        await viewer.wait_for({PLACE: 2}, timeout_s=5)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["record"] for line in lines] == ["viewer", "connection", "tile"]
    assert (lines[2]["via"], lines[2]["arrived_at_ms"]) == ("push", NOW_MS)
