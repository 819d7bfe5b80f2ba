"""The pipe's stand-in follows the pipe's own API."""

import asyncio

import pytest

from pipeline.contract import TileStatus
from simulators.target import Target
from simulators.viewer import Viewer
from tests.support.lockers import Lockers, now_ms
from tests.support.wait import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


async def test_a_stopped_pipe_keeps_every_message(target: Target, lockers: Lockers):
    """Events wait in the ingest queue while the pipe is stopped, and flip tiles once it runs."""
    pipes, functions = target.client("pipes"), target.client("lambda")
    (pipe,) = [each["Name"] for each in pipes.list_pipes()["Pipes"]]

    def mapping_state() -> str:
        (mapping,) = functions.list_event_source_mappings(FunctionName=f"local-pipe-{pipe}")[
            "EventSourceMappings"
        ]
        return str(mapping["State"])

    def waiting() -> int:
        found = target.client("sqs").get_queue_attributes(
            QueueUrl=target.queues["ingest"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    device = await lockers.connect()
    async with Viewer(target, [lockers.building]) as viewer:

        def status(door: str) -> TileStatus | None:
            tile = viewer.picture.tiles.get((device.thing, door))
            return tile and tile.status

        await eventually(lambda: status("d02") is TileStatus.VACANT)
        pipes.stop_pipe(Name=pipe)
        try:
            await eventually(lambda: mapping_state() == "Disabled", what="the mapping's rest")
            for door in ("d01", "d02"):
                device.send(device.controller.open(door, now_ms()))
            await eventually(lambda: waiting() == 2, what="two messages in the ingest queue")
            assert {status("d01"), status("d02")} == {TileStatus.VACANT}
        finally:
            await asyncio.to_thread(pipes.start_pipe, Name=pipe)
        await eventually(lambda: {status("d01"), status("d02")} == {TileStatus.OPEN})
