"""The way of each event: which arrival showed it, and how long each hop took.

The stamps travel with the tile, so nothing else than the recorded subscription is needed:

    at           the device, when the door moved
    received_at  the rule of IoT Core
    queued_at    SQS, when the projector's queue took the event (SentTimestamp)
    projected_at the projector, right before it writes the tile
    published_at the fan-out, right before it calls AppSync
    arrived_at   the subscriber
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.contract import Kind
from simulators.ground_truth import GroundTruth, Outcome, TrueEvent
from simulators.observation import Place, TileArrival, Via
from simulators.viewer import epoch_ms


class Hop(StrEnum):
    UPLINK = "device → broker"
    ROUTE = "broker → bus → queue"
    PROJECT = "queue → projector"
    STREAM = "table → stream → fan-out"
    PUSH = "AppSync → subscriber"


class Shown(StrEnum):
    """How an event came to be seen."""

    PUSHED = "pushed"
    SUPERSEDED = "superseded"
    """A newer event of its door came in its place: the fan-out sends the newest of a batch."""
    SNAPSHOT = "snapshot"
    """No push of it, nor of a newer one, arrived; a snapshot had it."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Journey:
    """One event. `took_ms` is None if it was lost; `hops_ms` only of what was pushed itself."""

    event: TrueEvent
    at_ms: float
    shown: Shown
    took_ms: float | None = None
    hops_ms: Mapping[Hop, float] | None = None


def journeys(
    truth: GroundTruth, arrivals: Iterable[TileArrival], *, since_ms: float
) -> list[Journey]:
    """Match every event that a door made from then on with what the subscriber saw.

    Only what the broker acknowledged, and no `reported` events: those move no door. In the order
    of their device clocks.
    """
    by_place: defaultdict[Place, list[TileArrival]] = defaultdict(list)
    for arrival in arrivals:
        by_place[arrival.tile.place].append(arrival)
    waiting: defaultdict[Place, list[TrueEvent]] = defaultdict(list)
    for event in truth.events.values():
        if event.outcome is Outcome.ACKNOWLEDGED and event.kind is not Kind.REPORTED:
            waiting[event.thing, event.door].append(event)
    found = [
        journey
        for place, events in waiting.items()
        for journey in _of_one_door(events, by_place[place])
        if since_ms <= journey.at_ms
    ]
    return sorted(found, key=lambda journey: journey.at_ms)


def _of_one_door(events: Iterable[TrueEvent], arrivals: Sequence[TileArrival]) -> Iterable[Journey]:
    pending = sorted(events, key=lambda event: event.version, reverse=True)
    for arrival in sorted(arrivals, key=lambda each: each.arrived_at_ms):
        while pending and pending[-1].version <= arrival.tile.order:
            yield _journey(pending.pop(), arrival)
    for event in reversed(pending):
        yield Journey(event, epoch_ms(event.at), Shown.LOST)


def _journey(event: TrueEvent, arrival: TileArrival) -> Journey:
    at_ms = epoch_ms(event.at)
    took_ms = arrival.arrived_at_ms - at_ms
    if arrival.via is Via.SNAPSHOT:
        return Journey(event, at_ms, Shown.SNAPSHOT, took_ms)
    if arrival.tile.order != event.version:
        return Journey(event, at_ms, Shown.SUPERSEDED, took_ms)
    return Journey(event, at_ms, Shown.PUSHED, took_ms, hops(at_ms, arrival))


def hops(at_ms: float, arrival: TileArrival) -> dict[Hop, float] | None:
    """Milliseconds of each hop; None if a stamp is missing."""
    tile = arrival.tile
    if tile.queued_at is None or arrival.published_at_ms is None:
        return None
    stamps = (
        at_ms,
        tile.received_at,
        tile.queued_at,
        tile.projected_at,
        arrival.published_at_ms,
        arrival.arrived_at_ms,
    )
    return {hop: stamps[n + 1] - stamps[n] for n, hop in enumerate(Hop)}
