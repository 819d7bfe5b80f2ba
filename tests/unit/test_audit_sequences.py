"""What the audit judges, and what it leaves alone."""

import json

import pytest

from operations.audit import Backlog, by_controller, settling_of
from operations.audit_sequences import (
    DAY_MS,
    HISTORY_DAYS,
    SETTLE_MS,
    Fate,
    Gap,
    Kept,
    Letters,
    Settling,
    Window,
    find_gaps,
    tell_fates,
)
from operations.formats import Queue
from operations.letters import decode
from operations.pacing import ReadBudget
from pipeline.contract import Thing
from tests.support.lambda_events import BOOT, door_envelope, payload, presence_envelope

pytestmark = pytest.mark.unit

NOW = BOOT * 1000 + 3_600_000
THING = Thing("maple-court", "l03")


def test_a_boot_whose_head_has_expired_has_no_gap():
    """History lives 90 days: what a boot older than that began with is not missing."""
    old = (NOW - HISTORY_DAYS * DAY_MS) // 1000 - 5
    found = find_gaps([Kept(old, 7, NOW - 5), Kept(old, 6, NOW - 9)], Window.ending(NOW))
    assert (found.gaps, found.heads_expired) == ([], 1)


def test_the_begin_of_a_boot_of_1970_is_not_judged():
    """Its number says nothing about its age."""
    found = find_gaps([Kept(12, 7, NOW - 5)], Window.ending(NOW))
    assert (found.gaps, found.heads_expired) == ([], 1)


def test_a_gap_at_the_old_end_of_history_is_not_judged():
    """Events expire nearly, not exactly, in the order of their numbers."""
    edge = NOW - HISTORY_DAYS * DAY_MS + DAY_MS // 2
    found = find_gaps(
        [Kept(BOOT, 9, NOW), Kept(BOOT, 7, edge), Kept(BOOT, 5, edge - 1)], Window.ending(NOW)
    )
    assert found.gaps == [Gap(BOOT, 8, 8, NOW)]


def test_a_gap_inside_a_boot_of_any_number_is_found():
    """A controller in 1970 still counts without holes."""
    found = find_gaps([Kept(12, 9, NOW), Kept(12, 7, NOW - 1)], Window.ending(NOW))
    assert found.gaps == [Gap(12, 8, 8, NOW)]


def test_a_letter_in_the_time_not_looked_at_is_not_missing():
    """With --since, what is older than the last event read is nobody's question."""
    events = [Kept(BOOT, 9, NOW), Kept(BOOT, 8, NOW - 100), Kept(BOOT, 3, NOW - 9000)]
    parked = {(BOOT, 2): Queue.QUARANTINE, (BOOT, 10): Queue.QUARANTINE}
    found = find_gaps(events, Window.ending(NOW, since=NOW - 1000), parked)
    assert found.gaps == [Gap(BOOT, 4, 7, NOW - 100), Gap(BOOT, 10, 10, None)]


def test_no_history_at_all_is_no_gap():
    """A controller that never spoke has nothing to miss."""
    found = find_gaps([], Window.ending(NOW))
    assert (found.events, found.boots, found.gaps, found.newest) == (0, 0, [], None)


def test_a_young_gap_is_on_its_way():
    """Until the pipeline's own retries are over nothing is called lost."""
    gaps = [Gap(BOOT, 5, 6, NOW - 1000), Gap(BOOT, 2, 2, NOW - SETTLE_MS - 1)]
    fates = [each.fate for each in tell_fates(THING, gaps, Letters(), settling_of([], now_ms=NOW))]
    assert fates == [Fate.ON_THE_WAY, Fate.NEVER_ARRIVED]


@pytest.mark.parametrize(
    ("backlog", "since"),
    [
        (Backlog("ingest", 0, None), NOW - SETTLE_MS),
        (Backlog("ingest", 4, 60.0), NOW - SETTLE_MS - 60_000),
        (Backlog("ingest", 4, None), 0),
    ],
)
def test_a_backlog_keeps_gaps_open(backlog: Backlog, since: int):
    """As long as its oldest message is old; for ever where nobody knows how old that is."""
    assert settling_of([Backlog("projector", 1, 0.0), backlog], NOW) == Settling(since)


def test_letters_without_numbers_may_explain_as_many_events():
    """And no more than that."""
    gaps = [Gap(BOOT, 2, 4, NOW), Gap(BOOT, 7, 7, NOW), Gap(BOOT, 9, 9, NOW)]
    letters = Letters(unnumbered={Queue.QUARANTINE: 2})
    found = list(tell_fates(THING, gaps, letters, Settling(NOW + 1)))
    assert [(each.fate, each.queue) for each in found] == [
        (Fate.NEVER_ARRIVED, None),
        (Fate.PERHAPS_PARKED, Queue.QUARANTINE),
        (Fate.PERHAPS_PARKED, Queue.QUARANTINE),
    ]


def test_letters_are_sorted_by_controller():
    """Numbered, unnumbered, and none for presence or for what names no controller."""
    bodies = [
        door_envelope(payload(seq=4)),
        door_envelope(payload(seq=5, open="yes")),
        door_envelope(b"open!"),
        presence_envelope(connected=True),
        presence_envelope(connected=True, clientId="x"),
        {"nobody": 1},
    ]
    letters = [
        decode(Queue.QUARANTINE, {"MessageId": "m", "Body": json.dumps(body)}) for body in bodies
    ]
    assert by_controller(letters) == {
        THING: Letters(
            {(BOOT, 4): Queue.QUARANTINE, (BOOT, 5): Queue.QUARANTINE}, {Queue.QUARANTINE: 1}
        )
    }


def test_reads_wait_for_what_was_spent():
    """128 units at 64 a second are two seconds, of which the clock's own are not waited twice."""
    now, waited = [100.0], []
    budget = ReadBudget(64, clock=lambda: now[0], pause=waited.append)
    budget.wait()
    budget.spend({"ConsumedCapacity": {"CapacityUnits": 128.0}})
    budget.wait()
    now[0] += 1.5
    budget.wait()
    now[0] += 1.0
    budget.wait()
    budget.spend({})
    assert waited == [2.0, 0.5]
    assert budget.spent == 128.0
