"""The bill: what its lines add up to, and what moves them."""

from dataclasses import replace

import pytest

from models import design
from models.choices import Deployed, Preset
from models.cost import Part, ours, sensitivity, textbook
from models.errors import ModelError
from models.figures import prices
from models.sizes import item_bytes, sizes
from models.workload import (
    FULL,
    SINGLE,
    Workload,
    at_rate,
    customer_fleet,
    expected,
    fills,
    preset,
)

pytestmark = pytest.mark.unit

MILLION = Workload(
    events=1_000_000, lockers=100, buildings=10, doors=4, viewers=5, fills=FULL, duplicates=0.0
)


def amount(workload: Workload, what: str) -> float:
    """Quantity of the one line of that name."""
    (line,) = (line for line in ours(workload).lines if line.what == what)
    return line.quantity


def test_a_bill_is_the_sum_of_quantity_times_price():
    """No line has a price of its own: each is one of the data file's."""
    for bill in (ours(MILLION), textbook(MILLION)):
        assert all(line.price in prices().values() for line in bill.lines)
        by_hand = sum(line.quantity * line.price.usd / line.price.per for line in bill.lines)
        assert bill.total() == pytest.approx(by_hand)
        assert bill.total() == pytest.approx(sum(bill.total(part) for part in Part))


@pytest.mark.parametrize(
    ("what", "quantity"),
    [
        ("IoT rule", 1e6),
        ("IoT rule: actions", 1e6),
        ("queue ingest: send", 1e6),
        ("queue ingest: receive, delete", 2e5),
        ("Pipe", 1e5),
        ("bus", 1e6),
        ("queue projector: receive, delete", 2e5),
        ("projector: invocations", 1e5),
        ("history: puts", 1e6),
        ("tiles: conditional updates", 1e6),
        ("fan-out: invocations", 2e4),
        ("AppSync: mutations", 1e5),
        ("AppSync: deliveries", 5e5),
        ("traces: a share", 6e3),
        ("traces: the first of a second", 106_400),
    ],
)
def test_a_million_events_in_full_batches(what: str, quantity: float):
    """Batches of ten, ten tiles a push, five viewers: the quantities one gets by hand."""
    assert amount(MILLION, what) == pytest.approx(quantity)


def test_the_textbook_by_hand():
    """24.01 for 1 M events and five viewers, worked out by hand, and the bytes to the browsers."""
    bytes_out = 5e6 * sizes().push(1) / 1e9 * 0.09
    assert textbook(MILLION).total(Part.EVENTS) == pytest.approx(24.01 + bytes_out, abs=0.01)


def test_a_failed_condition_and_a_duplicate_cost_like_a_write():
    """AWS charges a failed conditional write; a duplicate pays the whole road."""
    twice = replace(MILLION, duplicates=1.0)
    for what in ("bus", "history: puts", "tiles: conditional updates"):
        assert amount(twice, what) == pytest.approx(2 * amount(MILLION, what))
    assert amount(twice, "AppSync: deliveries") == amount(MILLION, "AppSync: deliveries")
    assert amount(twice, "history: 90 days") == amount(MILLION, "history: 90 days")


def test_viewers_cost_deliveries_and_nothing_before_them():
    """Nobody watching: no delivery, no connection, and the table is written all the same."""
    alone = replace(MILLION, viewers=0)
    assert amount(alone, "AppSync: deliveries") == 0
    assert amount(alone, "viewers connected") == 0
    assert amount(alone, "history: puts") == amount(MILLION, "history: puts")


def test_a_push_of_more_than_5_kb_is_metered_twice():
    """AppSync meters by 5 KB, so coalescing has a limit to what it saves."""
    assert sizes().push_units(1) == 1
    assert sizes().push_units(10) == 1
    assert sizes().push_units(20) == 2


def test_route_direct_pays_a_second_rule_action():
    """The bus stays as a side tap, so nothing else gets cheaper."""
    direct = replace(MILLION, route=Deployed.DIRECT)
    assert amount(direct, "IoT rule: actions") == 2 * amount(MILLION, "IoT rule: actions")
    assert ours(direct).total() > ours(MILLION).total()


def test_items_take_one_write_unit():
    """History and tile are below 1 KB; above it each event would cost twice."""
    assert sizes().history_units == sizes().tile_units == 1
    assert 0 < sizes().tile < sizes().history < design.WRITE_UNIT_BYTES


def test_the_size_of_an_item_is_dynamodbs():
    """Names and values count; a number half its significant digits, and one."""
    assert item_bytes({"pk": {"S": "abc"}}) == 5
    assert item_bytes({"n": {"N": "1234"}}) == 1 + 3
    assert item_bytes({"n": {"N": "12000"}}) == 1 + 2
    assert item_bytes({"b": {"BOOL": True}}) == 2


def test_ours_is_never_dearer_for_an_event_than_the_textbook():
    """Even with every event on its own, for the customer's days and up to a hundred viewers."""
    for workload in (preset(Preset.JULY), replace(preset(Preset.DECEMBER), fills=SINGLE)):
        for change in sensitivity(workload):
            assert change.ours < change.textbook, change.assumption


def test_fuller_batches_are_cheaper():
    """At any number of viewers."""
    for viewers in (0, 5, 50):
        full, single = (
            ours(replace(MILLION, viewers=viewers, fills=each)).total(Part.EVENTS)
            for each in (FULL, SINGLE)
        )
        assert full < single


def test_december_is_eight_times_july():
    """The customer's days, with the same lockers; a locker is as busy as in the scenario."""
    july, december = preset(Preset.JULY), preset(Preset.DECEMBER)
    assert december.events == 8 * july.events == 2_800_000
    assert (july.lockers, july.buildings) == (december.lockers, december.buildings)
    assert customer_fleet().lockers / customer_fleet().buildings == pytest.approx(20, rel=0.01)


def test_batches_fill_with_the_rate():
    """Alone when it is quiet, full when it is not, and never beyond what the mapping takes."""
    quiet, busy = at_rate(1, 10), at_rate(100_000, 10)
    assert quiet.pipe == quiet.projector == 1
    assert quiet.coalescing < 1.01
    assert busy.projector == busy.pipe == design.SQS_BATCH
    assert busy.stream == busy.coalescing == design.STREAM_BATCH
    fuller = [at_rate(rate, 10).stream for rate in (1, 10, 100, 1_000, 10_000)]
    assert fuller == sorted(fuller)


def test_a_building_of_its_own_coalesces_nothing():
    """The same traffic over more buildings gives emptier pushes."""
    few, many = expected(2_800_000, 5), expected(2_800_000, 5_000)
    assert few.coalescing > many.coalescing >= 1
    assert few.projector == many.projector


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"events": 0}, "events must be greater than 0"),
        ({"viewers": -1}, "viewers must not be negative, not -1"),
        ({"buildings": 101}, "101 buildings cannot share 100 lockers"),
    ],
)
def test_an_impossible_day_is_refused(changed: dict[str, float], words: str):
    """By the name of what is wrong, and its value."""
    with pytest.raises(ModelError, match=words):
        replace(MILLION, **changed)


@pytest.mark.parametrize(
    ("batch", "coalescing", "words"),
    [
        (11, 1, "pipe must be between 1 and 10, not 11"),
        (10, 101, "coalescing must be between 1 and 100, not 101"),
    ],
)
def test_impossible_batches_are_refused(batch: float, coalescing: float, words: str):
    """A queue's batch has ten messages, a stream's a hundred records."""
    with pytest.raises(ModelError, match=words):
        fills(batch=batch, coalescing=coalescing)


def test_a_push_cannot_carry_more_than_its_batch():
    """Tiles of a push are changes of one invocation."""
    with pytest.raises(ModelError, match="cannot carry more tiles"):
        replace(FULL, stream=5.0, coalescing=10.0)
