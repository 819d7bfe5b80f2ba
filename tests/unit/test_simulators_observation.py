"""What a dashboard saw: merged by version, recorded and read back."""

from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import Thing
from simulators.errors import GroundTruthError
from simulators.observation import (
    ObservationWriter,
    Picture,
    SeenLocker,
    SeenTile,
    Via,
    ViewerRun,
    read_observation,
)

THING = Thing("maple-court", "l01")
PLACE = (THING, "d01")


def tile(version: int, *, received_at: float = 1_000.0, is_open: bool = True) -> dict[str, Any]:
    return {
        "buildingId": "maple-court",
        "lockerId": "l01",
        "doorId": "d01",
        "version": f"{version:020d}",
        "kind": "opened" if is_open else "closed",
        "status": "open" if is_open else "vacant",
        "open": is_open,
        "occupied": False,
        "fault": None,
        "at": "2026-11-20T10:00:00.000Z",
        "receivedAt": received_at,
        "queuedAt": None,
        "projectedAt": received_at + 5,
        "trace": "t-1",
    }


def locker(revision: int, *, connected: bool, since: float) -> dict[str, Any]:
    return {
        "buildingId": "maple-court",
        "lockerId": "l01",
        "connected": connected,
        "since": since,
        "reason": None,
        "revision": revision,
        "receivedAt": since,
        "projectedAt": since,
    }


@pytest.mark.unit
def test_arrivals_in_any_order_end_in_the_same_picture() -> None:
    """Late, early or twice: the highest version is shown."""
    arrivals = [tile(1), tile(2, is_open=False), tile(2, received_at=2_000.0, is_open=False)]
    for order in permutations([*arrivals, arrivals[1]]):
        picture = Picture()
        for fields in order:
            picture.put(SeenTile.model_validate(fields))
        assert picture.tiles[PLACE] == SeenTile.model_validate(arrivals[1])


@pytest.mark.unit
def test_only_a_newer_version_flips_a_tile() -> None:
    """A redelivery changes nothing that a person could see."""
    picture = Picture()
    assert picture.put(SeenTile.model_validate(tile(1, received_at=2_000.0)))
    assert not picture.put(SeenTile.model_validate(tile(1)))
    assert not picture.put(SeenTile.model_validate(tile(0)))
    assert picture.put(SeenTile.model_validate(tile(2)))


@pytest.mark.unit
def test_a_locker_is_offline_until_a_door_speaks_again() -> None:
    """A door event received after the disconnect shows the locker alive."""
    picture = Picture()
    assert picture.is_online(THING)
    picture.put(SeenTile.model_validate(tile(1, received_at=1_000.0)))
    picture.put_locker(SeenLocker.model_validate(locker(2, connected=False, since=1_500.0)))
    assert not picture.is_online(THING)
    assert not picture.put_locker(
        SeenLocker.model_validate(locker(1, connected=True, since=1_000.0))
    )
    picture.put(SeenTile.model_validate(tile(2, received_at=1_600.0)))
    assert picture.is_online(THING)


@pytest.mark.unit
def test_a_recorded_subscription_comes_back_as_its_last_picture(tmp_path: Path) -> None:
    """Pushes and snapshots are merged on reading as they were on arrival."""
    path = tmp_path / "truth.seen.jsonl"
    with path.open("w") as file:
        writer = ObservationWriter(file, ViewerRun(1, ("maple-court",)))
        writer.connection(1, up=True)
        writer.tile(2, Via.PUSH, tile(2, is_open=False))
        writer.tile(3, Via.SNAPSHOT, tile(1))
        writer.locker(4, Via.PUSH, locker(1, connected=True, since=1.0))
    picture = read_observation(path)
    assert picture.tiles[PLACE].order == 2
    assert picture.lockers[THING].connected


@pytest.mark.unit
def test_doors_that_a_viewer_left_too_early_are_remembered(tmp_path: Path) -> None:
    """What was still on its way when a run was ended is read back as not watched."""
    file = StringIO()
    writer = ObservationWriter(file, ViewerRun(1, ("maple-court",)))
    writer.left([(THING, "d02"), PLACE])
    path = tmp_path / "seen.jsonl"
    path.write_text(file.getvalue())
    assert read_observation(path).unwatched == {PLACE, (THING, "d02")}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "seen.jsonl:1: empty file"),
        ('{"record":"connection","at_ms":1,"up":true}\n', "seen.jsonl:1: a viewer header"),
        ("HEADER" * 2, "seen.jsonl:2: a viewer header belongs on the first line"),
        ("HEADER{\n", "seen.jsonl:2: "),
    ],
)
def test_a_broken_record_is_told_by_file_and_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """The message starts with where to look."""
    header = StringIO()
    ObservationWriter(header, ViewerRun(1, ()))
    path = tmp_path / "seen.jsonl"
    path.write_text(text.replace("HEADER", header.getvalue()))
    with pytest.raises(GroundTruthError, match=complaint):
        read_observation(path)
