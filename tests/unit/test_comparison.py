"""The comparison with the textbook designs: its events, its figures, what it writes down."""

import base64
import json
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.comparison.artifact import zipped
from benchmarks.comparison.errors import ComparisonError
from benchmarks.comparison.events import ALL_DOORS, Traffic, doors, sqs_events
from benchmarks.comparison.figures import Compared, Quantity, Spread, compared
from benchmarks.comparison.report import (
    PAGE,
    PICTURE,
    as_json,
    chart,
    check_page,
    markdown,
)
from benchmarks.comparison.wire import Usage
from benchmarks.existing_tiles import items
from benchmarks.table_size import Turn, order, ratios
from latency.measurement import Measurement, measure
from pipeline.contract import DoorEvent, parse_envelope
from pipeline.items import graphql_tile
from simulators.percentiles import summarize

pytestmark = pytest.mark.unit

FOUND = [
    Compared(Quantity.REQUESTS_10_DOORS, ((1.1, 5.0), (1.1, 5.0))),
    Compared(Quantity.READS_MIXED, ((0.0, 1.0), (0.0, 1.0))),
    Compared(Quantity.RATE, ((200.0, 40.0), (240.0, 60.0))),
    Compared(Quantity.COLD_FANOUT, ((500.0, 250.0), (480.0, 300.0))),
]


def test_doors_are_spread_over_the_buildings():
    """Ten doors are in ten buildings, and no door comes twice before all have."""
    assert len({thing.building for thing, _ in doors(10)}) == 10
    assert len(set(doors(ALL_DOORS))) == ALL_DOORS


def test_the_same_seed_gives_the_same_traffic():
    """Both designs get the same events, also in another run."""
    first, again = (Traffic(seed=7).mixed(50, duplicates=0.1) for _ in range(2))
    assert first == again


def test_a_share_of_mixed_traffic_comes_twice():
    """With the same body, an id of its own, and soon."""
    messages = Traffic(seed=1).mixed(2_000, duplicates=0.02)
    assert len(messages) == 2_000
    assert len({message.message_id for message in messages}) == 2_000
    counts = Counter(message.body for message in messages)
    assert set(counts.values()) == {1, 2}
    twice = [body for body, count in counts.items() if count == 2]
    assert 0.01 < len(twice) / len(messages) < 0.03
    places = [n for n, message in enumerate(messages) if message.body == twice[0]]
    assert places[1] - places[0] <= 11


def test_events_keep_the_contract():
    """Each is one that the pipeline takes, newer than the one before of its locker."""
    versions: dict[str, int] = {}
    for message in Traffic(seed=1).over(doors(ALL_DOORS), 400):
        event = parse_envelope(message.body)
        assert isinstance(event, DoorEvent)
        assert event.version > versions.get(str(event.thing), 0)
        versions[str(event.thing)] = event.version


def test_batches_are_full():
    """As an SQS mapping makes them of a backlog."""
    batches = list(sqs_events(Traffic(seed=1).over(doors(3), 25)))
    assert [len(batch["Records"]) for batch in batches] == [10, 10, 5]
    envelope = json.loads(batches[0]["Records"][0]["body"])
    assert json.loads(base64.b64decode(envelope["payload"]))["schema"] == 1


def test_times_better_is_pair_by_pair():
    """More events or fewer requests: above one is good, whichever way the quantity counts."""
    requests, reads, rate, cold = FOUND
    assert requests.times_better == Spread.of([5.0 / 1.1] * 2)
    assert rate.times_better == Spread(4.5, 4.0, 5.0)
    assert cold.times_better is not None
    assert cold.times_better.greatest < 1
    assert reads.times_better is None, "nothing is no number of times less than something"


def test_a_bar_is_for_the_median_of_ours():
    """Kept up to its very value; without a bar there is no verdict."""
    assert FOUND[0].kept is True
    assert FOUND[3].kept is False
    assert FOUND[2].kept is None


def test_only_what_was_measured_is_compared():
    """In the table's order, whatever the order of measuring."""
    found = compared({Quantity.RATE: [(2.0, 1.0)], Quantity.OWN_CPU: [(1.0, 2.0)]})
    assert [each.quantity for each in found] == [Quantity.OWN_CPU, Quantity.RATE]


def test_a_range_is_shown_where_it_can_be_seen():
    """Rounding may leave none."""
    assert Spread(1.0, 0.9, 1.2).told(1) == "1.0 (0.9–1.2)"
    assert Spread(1.0, 0.999, 1.001).told(1) == "1.0"
    assert Spread(12345.6, 12345.6, 12345.6).told(0) == "12,346"


def test_the_table_says_what_is_missed():
    """A reader sees it in the row."""
    text = markdown(FOUND, "about", ["a note"])
    assert "| ≤ 1.1 kept |" in text
    assert "| ≤ 400 **missed** |" in text
    assert "a note" in text


def test_the_picture_is_svg():
    """With a row for each quantity that has a ratio; the same figures give the same picture."""
    text = chart(FOUND)
    ET.fromstring(text)
    assert [each.spec.title in text for each in FOUND] == [True, False, True, True]
    assert chart(FOUND) == text


def test_figures_for_machines_are_complete():
    """Every pair, so that others can compute with them."""
    document = json.loads(json.dumps(as_json(FOUND, "about", [])))
    assert document["figures"][2]["latchline"] == [200.0, 240.0]
    assert document["figures"][1]["times_better"] is None


def test_a_page_without_markers_is_refused(tmp_path: Path):
    """Before minutes are spent on figures for it."""
    with pytest.raises(ComparisonError, match=r"page\.md has no markers"):
        check_page(tmp_path / "page.md")


def test_the_page_has_its_markers_and_its_picture():
    """What `make bench WRITE_DOCS=1` writes has its place."""
    check_page()
    assert f"]({PICTURE.relative_to(PAGE.parent)})" in PAGE.read_text(encoding="utf-8")
    assert PICTURE.is_file()


def test_usage_survives_the_way_between_processes():
    """A worker tells what it counted as JSON."""
    usage = Usage(Counter({4566: 3}), Counter({("table", "pk|sk"): 2}), 1)
    assert Usage.from_json(json.loads(json.dumps(usage.as_json()))) == usage


def test_a_zip_is_compressed(tmp_path: Path):
    """As the CDK does it before it uploads."""
    (tmp_path / "text").write_text("a" * 100_000)
    assert zipped([tmp_path / "text"]) < 1_000


def test_existing_tiles_are_genuine():
    """A viewer could show them, and their lockers and buildings are there once."""
    found = [item for number in range(8) for item in items(number)]
    entities = Counter(item["entity"]["S"] for item in found)
    assert entities == {"TILE": 8, "LOCKER": 2, "BUILDING": 1}
    shown = [graphql_tile(item) for item in found if item["entity"]["S"] == "TILE"]
    assert len({(tile["lockerId"], tile["doorId"]) for tile in shown}) == 8
    assert {tile["buildingId"] for tile in shown} == {"existing-0000"}


def test_neither_table_size_always_goes_first():
    """What drifts with time does so for both."""
    assert order(1, 9, 3) == [1, 9, 9, 1, 1, 9]


def test_large_is_compared_with_small():
    """Whichever of the pair was measured first; what has no figure is no pair."""
    turns = [Turn(tiles, _measured(took)) for tiles, took in ((1, 100), (9, 110), (9, 90), (1, 60))]
    assert ratios(turns, "p95") == [1.1, 1.5]
    assert ratios([Turn(1, _measured()), Turn(9, _measured(5))], "p50") == []


def _measured(*took_ms: float) -> Measurement:
    return replace(measure([], {}), latency=summarize(took_ms))
