"""How a tile compares with the history of its door."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.rebuild_doors import Finding, compare, record_of
from pipeline import items
from pipeline.contract import DoorEvent, Thing, parse_envelope
from pipeline.merge import REGRESSED_AFTER_MS, newest
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload
from tests.support.strategies import door_events

pytestmark = pytest.mark.unit

THING = Thing("maple-court", "l03")
HOUR = 3_600_000


def event(seq: int = 1, *, boot: int = BOOT, received_at: int = RECEIVED_AT, **more: Any) -> Any:
    body = door_envelope(payload(seq=seq, boot=boot, **more), received_at=received_at)
    return parse_envelope(json.dumps(body))


def tile_of(one: DoorEvent) -> dict[str, Any]:
    """The item that the projector's update makes of the event."""
    update = items.tile_update(one, queued_at=1, projected_at=2)
    names, values = update["ExpressionAttributeNames"], update["ExpressionAttributeValues"]
    return {
        **update["Key"],
        **{names[f"#{name[1:]}"]: value for name, value in values.items()},
    }


def finding(held: DoorEvent | None, *history: DoorEvent, oldest_ms: int = 0) -> Finding:
    tiles = {} if held is None else {"d02": tile_of(held)}
    (door,) = compare(THING, tiles, record_of(history), oldest_ms=oldest_ms)
    return door.finding


def test_findings_of_an_ordinary_door():
    """Same, missing, behind, and another content under the same version."""
    assert finding(event(2), event(1), event(2)) is Finding.SAME
    assert finding(None, event(1)) is Finding.MISSING
    assert finding(event(1), event(1), event(2)) is Finding.BEHIND
    assert finding(event(2, open=True), event(2)) is Finding.DIFFERENT


def test_a_tile_ahead_is_an_expired_one_or_a_riddle():
    """Without its event on record it is fine if that may have expired, and reported if not."""
    late = RECEIVED_AT + 1
    assert finding(event(5), event(1), oldest_ms=late) is Finding.EXPIRED
    assert finding(event(5), oldest_ms=late) is Finding.EXPIRED
    assert finding(event(5), event(1)) is Finding.AHEAD
    assert finding(event(5)) is Finding.AHEAD


def test_a_redelivery_s_later_stamp_is_no_difference():
    """History is rewritten with the later stamp; the tile keeps the earlier one, rightly."""
    assert finding(event(2), event(2, received_at=RECEIVED_AT + 9)) is Finding.SAME
    assert finding(event(2, received_at=RECEIVED_AT + 9), event(2)) is Finding.BEHIND


def test_a_controller_that_lost_its_counter_is_regressed():
    """Its tile is held by the boot of its past; what it should be is what came after."""
    past, present = event(40), event(2, boot=12, received_at=RECEIVED_AT + HOUR, open=True)
    (door,) = compare(THING, {"d02": tile_of(past)}, record_of([past, present]), oldest_ms=0)
    assert (door.finding, door.wanted) == (Finding.REGRESSED, present)
    cured = {"d02": tile_of(present)}
    (door,) = compare(THING, cured, record_of([past, present]), oldest_ms=0)
    assert door.finding is Finding.SAME


def test_a_door_that_has_not_spoken_since_keeps_its_tile():
    """What is known of it is from before the reset."""
    past = event(40)
    other = replace(event(2, boot=12, received_at=RECEIVED_AT + HOUR), door="d03")
    doors = compare(THING, {"d02": tile_of(past)}, record_of([past, other]), oldest_ms=0)
    assert [(door.door, door.finding) for door in doors] == [
        ("d02", Finding.SAME),
        ("d03", Finding.MISSING),
    ]


def test_a_backlog_of_an_older_boot_is_no_reset():
    """Stored and forwarded: it comes late, but not after the newer boot has long been heard."""
    backlog = [event(n, boot=BOOT - 9, received_at=RECEIVED_AT + n) for n in range(1, 9)]
    live = event(1, received_at=RECEIVED_AT)
    assert finding(live, *backlog, live) is Finding.SAME
    edge = event(9, boot=BOOT - 9, received_at=RECEIVED_AT + REGRESSED_AFTER_MS)
    assert finding(live, *backlog, edge, live) is Finding.SAME


@settings(deadline=None)
@given(st.lists(door_events(), min_size=1, max_size=20))
def test_what_is_wanted_is_the_merge(events: list[DoorEvent]):
    """Any history in any order: the tile wanted is the pipeline's own merge of it."""
    (door,) = compare(THING, {}, record_of(events), oldest_ms=0)
    assert door.wanted == newest(events)


@settings(deadline=None)
@given(door_events())
def test_a_history_item_reads_back_as_its_event(one: DoorEvent):
    """Nothing of the event is lost in the table."""
    assert items.read_event(items.history_item(one, days=90)) == one
