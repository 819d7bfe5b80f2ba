"""Door to tile measured: which arrival showed an event, the hops, the clocks, the figures."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from latency.charts import against_rate, distribution, over_time, waterfall
from latency.clock import clock_offset
from latency.journey import Hop, Journey, Shown, journeys
from latency.limit import Step, gave_in, rates
from latency.measurement import Measurement, measure
from latency.page import limit_note, page
from pipeline.contract import Kind, Thing, TileStatus, format_version
from simulators.ground_truth import GroundTruth, Outcome, Run, TrueEvent
from simulators.observation import SeenTile, TileArrival, Via
from simulators.percentiles import summarize

pytestmark = pytest.mark.unit

THING = Thing("maple-court", "l01")
NOON_MS = 1_795_262_400_000
TOOK = {Hop.UPLINK: 10, Hop.ROUTE: 20, Hop.PROJECT: 30, Hop.STREAM: 40, Hop.PUSH: 50}


def event(seq: int, *, kind: Kind = Kind.OPENED, latency_ms: float | None = 20.0) -> TrueEvent:
    """The door moves once a second from noon on."""
    return TrueEvent(
        thing=THING,
        door="d01",
        kind=kind,
        version=seq,
        at=f"2026-11-21T12:00:{seq:02d}.000Z",
        open=True,
        occupied=False,
        fault=None,
        status=TileStatus.OPEN,
        outcome=Outcome.ACKNOWLEDGED,
        attempts=1,
        latency_ms=latency_ms,
    )


def arrival(seq: int, *, via: Via = Via.PUSH, broker_ahead_ms: int = 0) -> TileArrival:
    at_ms = NOON_MS + 1000 * seq
    stamps = [at_ms]
    for hop in Hop:
        stamps.append(stamps[-1] + TOOK[hop])
    _, received, queued, projected, published = (stamp + broker_ahead_ms for stamp in stamps[:5])
    tile = SeenTile.model_validate(
        {
            "buildingId": "maple-court",
            "lockerId": "l01",
            "doorId": "d01",
            "version": format_version(seq),
            "kind": "opened",
            "status": "open",
            "open": True,
            "occupied": False,
            "at": event(seq).at,
            "receivedAt": received,
            "queuedAt": queued,
            "projectedAt": projected,
        }
    )
    return TileArrival(
        record="tile",
        via=via,
        arrived_at_ms=stamps[5],
        published_at_ms=published if via is Via.PUSH else None,
        tile=tile,
    )


def found(
    events: list[TrueEvent], arrivals: list[TileArrival], since_ms: float = 0
) -> list[Journey]:
    truth = GroundTruth(Run(started_at_ms=NOON_MS, parameters={}))
    truth.events = {(each.thing, each.version): each for each in events}
    return journeys(truth, arrivals, since_ms=since_ms)


def measured(count: int = 5, **shift: int) -> Measurement:
    every = range(1, count + 1)
    arrivals = [arrival(seq, **shift) for seq in every]
    return measure(found([event(seq) for seq in every], arrivals), {"rate": 1})


def test_the_hops_of_a_pushed_event_add_up():
    """Six stamps make five hops, from the door to the tile."""
    (journey,) = found([event(1)], [arrival(1)])
    assert journey.shown is Shown.PUSHED
    assert journey.hops_ms == TOOK
    assert journey.took_ms == sum(TOOK.values())


def test_a_newer_event_shows_the_older_ones_too():
    """The fan-out sends the newest of a batch; the older event was seen when that one came."""
    older, newer = found([event(1), event(2)], [arrival(2)])
    assert (older.shown, newer.shown) == (Shown.SUPERSEDED, Shown.PUSHED)
    assert older.hops_ms is None
    assert older.took_ms == 1000 + sum(TOOK.values())


def test_what_only_a_snapshot_had_is_told_apart():
    """A lost push is not a lost event, but it is no push either."""
    (journey,) = found([event(1)], [arrival(1, via=Via.SNAPSHOT)])
    assert journey.shown is Shown.SNAPSHOT


def test_an_older_arrival_shows_nothing_newer():
    """An event that no arrival covers is lost."""
    assert [each.shown for each in found([event(1), event(2)], [arrival(1)])] == [
        Shown.PUSHED,
        Shown.LOST,
    ]


def test_only_doors_that_moved_and_were_acknowledged_count():
    """Reports after a connect move no door; what the broker never took, nobody can show."""
    refused = replace(event(2), outcome=Outcome.REFUSED)
    assert not found([event(1, kind=Kind.REPORTED), refused], [arrival(1)])


def test_the_warm_up_is_left_out():
    """The time is that of the device, at the event."""
    events = [event(1), event(2)]
    (journey,) = found(events, [arrival(1), arrival(2)], since_ms=NOON_MS + 1500)
    assert journey.event.version == 2


def test_agreeing_clocks_are_left_alone():
    """An offset that the round trip explains is none."""
    offset = clock_offset(found([event(1)], [arrival(1)]))
    assert offset.ms == 0
    assert offset.uncertainty_ms == pytest.approx(12, abs=2)


@pytest.mark.parametrize("ahead", [-5000, 90_000])
def test_a_clock_that_is_off_is_found_and_taken_out(ahead: int):
    """The outer hops lose the offset, the others and the whole never had it."""
    figures = measured(broker_ahead_ms=ahead)
    assert figures.offset.ms == pytest.approx(ahead, abs=12)
    assert figures.hops[Hop.UPLINK].p50 == pytest.approx(TOOK[Hop.UPLINK], abs=12)
    assert figures.hops[Hop.PUSH].p50 == pytest.approx(TOOK[Hop.PUSH], abs=12)
    assert figures.hops[Hop.ROUTE].p50 == TOOK[Hop.ROUTE]
    assert figures.latency.p50 == sum(TOOK.values())


def test_a_measurement_counts_what_was_lost():
    """The figures are of what arrived, so the lost ones stand beside them."""
    figures = measure(found([event(1), event(2)], [arrival(1)]), {})
    assert (figures.events, figures.lost) == (2, 1)
    assert figures.as_json()["shown"] == {"pushed": 1, "superseded": 0, "snapshot": 0, "lost": 1}


def test_the_broker_alone_gives_the_ratio():
    """Median by median; none without a floor."""
    journeys_found = found([event(1)], [arrival(1)])
    assert measure(journeys_found, {}, floor_ms=[15.0]).ratio == pytest.approx(10)
    assert measure(journeys_found, {}).ratio is None


def test_each_second_has_its_own_figures():
    """Five events, a second apart."""
    assert [window.at_s for window in measured().windows] == [0, 1, 2, 3, 4]


def test_nothing_measured_is_no_crash():
    """An empty run has figures too: none."""
    figures = measure([], {})
    assert figures.as_json()["door_to_tile_ms"]["p50"] is None
    assert "no samples" in page(figures, "Empty")


def test_rates_rise_by_a_factor():
    """Up to whatever breaks."""
    steps = rates(10, 2)
    assert [next(steps) for _ in range(3)] == [10, 20, 40]


def test_the_hop_that_grew_most_gave_in():
    """Compared with the step before."""
    good = measured()
    slow = {hop: summarize([TOOK[hop]]) for hop in Hop} | {Hop.STREAM: summarize([900.0])}
    bad = replace(good, hops=slow, latency=summarize([1100.0]))
    steps = [Step(50, good), Step(70, bad)]
    assert gave_in(steps) is Hop.STREAM
    assert "50 events/s were fine, 70 were not" in limit_note(steps)
    assert Hop.STREAM.value in limit_note(steps)


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ({"latency": summarize([701.0])}, "p95 701 ms"),
        ({"lag": summarize([150.0])}, "the fleet itself"),
        ({"shown": {Shown.LOST: 3}}, "3 events"),
        ({"latency": summarize([])}, "no event arrived"),
    ],
)
def test_a_step_says_why_it_broke(spoiled: dict[str, object], why: str):
    """Too slow, lost, or no load at all: three different answers."""
    broken = Step(70, replace(measured(), **spoiled)).broken
    assert broken is not None
    assert why in broken


def test_the_report_is_one_file_that_fetches_nothing():
    """No script, no link to anywhere; what a user typed is escaped."""
    figures = replace(measured(), parameters={"note": "<script>alert(1)</script>"})
    text = page(figures, "Door to tile", [Step(1, figures)])
    assert "<script" not in text
    assert "src=" not in text
    assert text.count("<svg") == 4


def test_the_same_figures_give_the_same_pictures():
    """So that a picture in the documentation changes only with its figures."""
    figures = measured()
    for draw in (waterfall, distribution, over_time):
        svg = draw(figures)
        assert svg == draw(figures)
        ET.fromstring(svg)
    ET.fromstring(against_rate([Step(1, figures), Step(2, figures)]))
