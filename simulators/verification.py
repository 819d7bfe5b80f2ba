"""Waits until the pipeline has settled, then judges a run by all that it left behind.

That is the table with its history, what a subscriber saw, and the quarantine.
"""

import time
from collections.abc import Callable, Iterable

from simulators.ground_truth import GroundTruth
from simulators.observation import Picture
from simulators.queues import queue_depths
from simulators.table import read_history, read_tiles
from simulators.target import Target
from simulators.verdict import Finding, Parked, Stored, Verdict, View, judge

POLL_S = 0.5
QUIET_S = 5.0
"""With empty queues and no progress for so long, what is missing will not come."""
ON_THE_WAY = ("ingest", "projector")
MAY_COME = (View.TABLE, View.HISTORY, View.QUARANTINE)


def verify(
    target: Target,
    truth: GroundTruth,
    picture: Picture | None,
    *,
    parked: Callable[[], Iterable[Parked]] | None = None,
    timeout_s: float = 30.0,
) -> Verdict:
    """Judge, and as long as events are missing from the table give them time to arrive.

    Returns the last verdict when nothing is missing, when the pipeline has gone quiet, or when time
    is up. `picture` is what a subscriber saw and is judged as it is; `parked` is asked each time
    for all that was set aside, and without it the quarantine is not judged.
    """
    resource = target.session.resource("dynamodb", endpoint_url=target.endpoint_url)
    table = resource.Table(target.table)
    sqs = target.client("sqs")
    queues = {name: target.queues[name] for name in ON_THE_WAY if name in target.queues}
    seen = None if picture is None else list(shown(picture))
    deadline = time.monotonic() + timeout_s
    missing, since = -1, time.monotonic()
    while True:
        verdict = judge(
            truth,
            tiles=read_tiles(table, sorted(truth.buildings)),
            history=read_history(table, sorted(truth.things)),
            seen=seen,
            unwatched=() if picture is None else picture.unwatched,
            parked=None if parked is None else parked(),
        )
        still = sum(verdict.count(Finding.LOST, view) for view in MAY_COME)
        now = time.monotonic()
        if still != missing:
            missing, since = still, now
        if not still or now >= deadline:
            return verdict
        if now - since >= QUIET_S and not any(queue_depths(sqs, queues).values()):
            return verdict
        time.sleep(min(POLL_S, max(0.0, deadline - now)))


def shown(picture: Picture) -> Iterable[Stored]:
    """Turn the tiles of a viewer into the form that the verdict compares."""
    for tile in picture.tiles.values():
        yield Stored(
            thing=tile.thing,
            door=tile.door,
            version=tile.order,
            kind=tile.kind,
            status=tile.status,
            open=tile.open,
            occupied=tile.occupied,
            fault=tile.fault,
            at=tile.at,
        )
