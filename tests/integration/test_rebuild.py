"""Tiles rebuilt from history on a table (moto)."""

from collections.abc import Iterator
from typing import Any

import pytest

from operations.rebuild import Rebuild, look, mend
from operations.rebuild_doors import Finding
from pipeline.contract import Thing, format_version, version_of
from pipeline.items import tile_key
from tests.support.aws import TABLE, always, refusal
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload, presence_envelope
from tests.support.operations import Deployment, deployment

pytestmark = pytest.mark.integration

THING = Thing("maple-court", "l03")
NOW = RECEIVED_AT + 600_000
HOUR = 3_600_000


@pytest.fixture
def deployed() -> Iterator[Deployment]:
    with deployment() as running:
        yield running


def event(seq: int, *, boot: int = BOOT, after: int = 0, door: str = "d02", **more: Any) -> dict:
    body = payload(seq=seq, boot=boot, **more)
    return door_envelope(body, door=door, received_at=RECEIVED_AT + after)


def examine(deployed: Deployment) -> Rebuild:
    return look(deployed.target, [THING], now_ms=NOW, read_units_per_s=1_000_000)


def repair(deployed: Deployment, **options: bool) -> Rebuild:
    found = examine(deployed)
    mend(deployed.target, found, now_ms=lambda: NOW, **options)
    return found


def overwrite(deployed: Deployment, **attributes: Any) -> None:
    """Change a tile behind the pipeline's back."""
    deployed.aws.dynamodb.update_item(
        TableName=TABLE,
        Key=tile_key(THING, "d02"),
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
        ExpressionAttributeNames={f"#{name}": name for name in attributes},
        ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()},
    )


def test_missing_and_old_tiles_are_written(deployed: Deployment):
    """The very tiles that the projector would have made; then there is nothing left to do."""
    deployed.project(presence_envelope(connected=True))
    deployed.project(event(1), event(2, door="d03", open=True), event(3, open=True))
    before = deployed.aws.tile(), deployed.aws.tile(door="d03")
    deployed.delete(before[1])
    overwrite(deployed, version={"S": format_version(version_of(BOOT, 1))}, status={"S": "vacant"})
    found = examine(deployed)
    assert [door.finding for door in found.doors] == [Finding.BEHIND, Finding.MISSING]
    assert len(found.left) == 2
    assert found.without_presence == []
    done = repair(deployed)
    assert (len(done.mended), done.left) == (2, [])
    after = deployed.aws.tile(), deployed.aws.tile(door="d03")
    for old, new in zip(before, after, strict=True):
        assert old is not None
        assert new is not None
        ours = {"projected_at", "queued_at"}
        assert {name: new[name] for name in new.keys() - ours} == {
            name: old[name] for name in old.keys() - ours
        }
    assert examine(deployed).left == []


def test_a_tile_that_moved_on_meanwhile_is_left_alone(deployed: Deployment):
    """The condition is the projector's own: rebuilding never takes a tile back."""
    deployed.project(event(1), event(2))
    overwrite(deployed, version={"S": format_version(version_of(BOOT, 1))})
    found = examine(deployed)
    deployed.project(event(5, open=True))
    mend(deployed.target, found, now_ms=lambda: NOW)
    assert (found.mended, len(found.changed), found.left) == ([], 1, [])
    tile = deployed.aws.tile()
    assert tile is not None
    assert tile["status"] == {"S": "open"}


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"version": {"S": format_version(version_of(BOOT, 9))}}, Finding.AHEAD),
        ({"status": {"S": "fault"}}, Finding.DIFFERENT),
    ],
)
def test_what_history_does_not_explain_needs_force(
    deployed: Deployment, change: dict, finding: Finding
):
    """It is reported, not written; with force it is overwritten."""
    deployed.project(event(1))
    overwrite(deployed, **change)
    found = repair(deployed)
    assert ([door.finding for door in found.left], found.mended) == ([finding], [])
    assert repair(deployed, force=True).left == []
    assert examine(deployed).left == []


def test_force_overwrites_only_what_was_seen(deployed: Deployment):
    """A tile that moved since the report keeps what it has."""
    deployed.project(event(1))
    overwrite(deployed, version={"S": format_version(version_of(BOOT, 9))})
    found = examine(deployed)
    deployed.project(event(10, open=True))
    mend(deployed.target, found, now_ms=lambda: NOW, force=True)
    assert (found.mended, len(found.changed)) == ([], 1)
    tile = deployed.aws.tile()
    assert tile is not None
    assert tile["version"]["S"] == format_version(version_of(BOOT, 10))


def test_a_tile_whose_history_has_expired_is_fine(deployed: Deployment):
    """A door at rest for a quarter of a year has a tile and no event on record."""
    deployed.project(event(1))
    (kept,) = deployed.aws.items("EVENT#")
    deployed.delete(kept)
    quarter = 91 * 24 * HOUR
    found = look(deployed.target, [THING], now_ms=RECEIVED_AT + quarter, read_units_per_s=1e6)
    assert ([door.finding for door in found.doors], found.left) == ([Finding.EXPIRED], [])
    assert [door.finding for door in examine(deployed).left] == [Finding.AHEAD]
    assert repair(deployed, force=True).left != []


def test_a_lost_boot_counter_is_cured_on_demand(deployed: Deployment):
    """Only when asked to; afterwards the controller's next events are shown as they come."""
    deployed.project(event(5), event(6, door="d03"))
    deployed.project(event(1, boot=12, after=HOUR, open=True))
    found = repair(deployed, force=True)
    assert [door.finding for door in found.left] == [Finding.REGRESSED]
    assert repair(deployed, after_boot_reset=True).left == []
    tile = deployed.aws.tile()
    assert tile is not None
    assert (tile["status"], tile["version"]) == (
        {"S": "open"},
        {"S": format_version(version_of(12, 1))},
    )
    deployed.project(event(2, boot=12, after=2 * HOUR))
    tile = deployed.aws.tile()
    assert tile is not None
    assert tile["version"]["S"] == format_version(version_of(12, 2))
    assert [door.finding for door in examine(deployed).doors] == [Finding.SAME, Finding.SAME]


def test_a_tile_written_while_history_was_read_is_not_ahead(deployed: Deployment):
    """The event of the tile is asked for by its key before anything is said."""
    deployed.project(event(1))
    client = deployed.aws.dynamodb

    class Racing:
        """A client that projects an event after history was read."""

        def __init__(self) -> None:
            self.raced = False

        def query(self, **call: Any) -> Any:
            answer = client.query(**call)
            if not self.raced:
                self.raced = True
                deployed.project(event(2, open=True))
            return answer

        def get_item(self, **call: Any) -> Any:
            return client.get_item(**call)

    racing = Racing()

    class Target:
        table = deployed.target.table

        def client(self, _: str) -> Any:
            return racing

    found = look(Target(), [THING], now_ms=NOW, read_units_per_s=1e6)  # type: ignore[arg-type]
    assert [door.finding for door in found.doors] == [Finding.SAME]


def test_an_event_in_the_projector_s_hands_gets_a_second_look(deployed: Deployment):
    """A tile that lacks an event of this minute is looked at again before it is reported."""
    deployed.project(event(1), event(2, open=True))
    overwrite(deployed, version={"S": format_version(version_of(BOOT, 1))})
    found = look(deployed.target, [THING], now_ms=RECEIVED_AT + 9, read_units_per_s=1e6)
    assert [door.finding for door in found.left] == [Finding.BEHIND]


def test_a_refusal_of_the_table_is_raised(deployed: Deployment):
    """What was written stays; the caller tells the person why it ended."""
    from operations.rebuild import overwrite as put
    from tests.support.aws import FaultyClient

    deployed.project(event(1))
    overwrite(deployed, status={"S": "fault"})
    (door,) = examine(deployed).doors
    client = FaultyClient(deployed.aws.dynamodb)
    client.faults["update_item"] = always(refusal("AccessDeniedException", "UpdateItem"))
    with pytest.raises(Exception, match="AccessDenied"):
        put(client, TABLE, door, NOW)


def test_lockers_without_presence_are_named(deployed: Deployment):
    """Presence is not in history: the next connect brings it."""
    deployed.project(event(1))
    found = examine(deployed)
    assert found.without_presence == [THING]
    assert found.as_json()["findings"]["same"] == 1
