"""Rebuilds the tiles of a building from history: reports differences, and mends them when told to.

Mending is the projector's own conditional update (`pipeline.store`), so it can only move a tile
forward, and may run beside the pipeline, twice, or be interrupted. What that cannot mend is
overwritten on demand, under the condition that the tile is still the very one that was reported.

A locker's presence is not rebuilt: history holds door events only. It mends itself with the next
connect or disconnect.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from operations.audit_sequences import DAY_MS, HISTORY_DAYS
from operations.pacing import ReadBudget
from operations.rebuild_doors import FINE, FORCED, FORWARD, Door, Finding, compare, record_of
from pipeline import items
from pipeline.aws_errors import error_code
from pipeline.contract import DoorEvent, Thing, format_version
from pipeline.outcomes import Outcome
from pipeline.store import CONDITION_FAILED, Store

if TYPE_CHECKING:
    from simulators.target import Target


YOUNG_MS = 60_000
"""Three times the projector's time limit: a tile that lacks a younger event may yet get it."""
SECOND_LOOK_S = 2.0


@dataclass(slots=True)
class Rebuild:
    """What was found, and of `mended` doors what was done; `changed` moved on by themselves."""

    doors: list[Door] = field(default_factory=list)
    mended: list[Door] = field(default_factory=list)
    changed: list[Door] = field(default_factory=list)
    without_presence: list[Thing] = field(default_factory=list)
    """Lockers with tiles of whose connection nothing is on record."""
    read_units: float = 0.0

    def having(self, *findings: Finding) -> list[Door]:
        return [door for door in self.doors if door.finding in findings]

    @property
    def left(self) -> list[Door]:
        """Doors whose tile still differs from history."""
        done = {(each.thing, each.door) for each in (*self.mended, *self.changed)}
        wrong = (each for each in self.doors if each.finding not in FINE)
        return [each for each in wrong if (each.thing, each.door) not in done]

    def as_json(self) -> dict[str, Any]:
        return {
            "doors": len(self.doors),
            "findings": {each.value: len(self.having(each)) for each in Finding},
            "differences": [_as_json(door) for door in self.doors if door.finding not in FINE],
            "mended": [f"{door.thing}/{door.door}" for door in self.mended],
            "changed_meanwhile": [f"{door.thing}/{door.door}" for door in self.changed],
            "without_presence": [str(thing) for thing in self.without_presence],
            "read_units": round(self.read_units, 1),
        }


def look(
    target: "Target",
    things: Sequence[Thing],
    *,
    now_ms: int,
    read_units_per_s: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rebuild:
    """Compare every tile of the controllers with their history.

    Raises
    ------
    ClientError, BotoCoreError
        As boto3 raises them.
    """
    client, budget, found = target.client("dynamodb"), ReadBudget(read_units_per_s), Rebuild()
    for done, thing in enumerate(things, start=1):
        doors = _look_at(client, target.table, thing, budget, now_ms)
        if any(_in_progress(door, now_ms) for door in doors):
            threading.Event().wait(SECOND_LOOK_S)
            doors = _look_at(client, target.table, thing, budget, now_ms)
        found.doors += doors
        key = items.locker_key(thing)
        if doors and "Item" not in client.get_item(TableName=target.table, Key=key):
            found.without_presence.append(thing)
        if on_progress:
            on_progress(done, len(things))
    found.read_units = budget.spent
    return found


def _look_at(client: Any, table: str, thing: Thing, budget: ReadBudget, now_ms: int) -> list[Door]:
    """History first, then the tiles: one that is ahead may be so by an event of this moment."""
    record = record_of(read_events(client, table, thing, budget))
    tiles = _read_tiles(client, table, thing, budget)
    oldest_ms = now_ms - HISTORY_DAYS * DAY_MS
    doors = compare(thing, tiles, record, oldest_ms=oldest_ms)
    for door in doors:
        if door.finding is Finding.AHEAD and door.held_version is not None:
            key = items.history_key(thing, door.held_version)
            answer = client.get_item(TableName=table, Key=key, ConsistentRead=True)
            if "Item" in answer:
                record.add(items.read_event(answer["Item"]))
    return compare(thing, tiles, record, oldest_ms=oldest_ms)


def _in_progress(door: Door, now_ms: int) -> bool:
    """Whether the projector may be between the two writes of the event that the tile lacks."""
    return (
        door.finding in FORWARD
        and door.wanted is not None
        and door.wanted.received_at > now_ms - YOUNG_MS
    )


def mend(
    target: "Target",
    found: Rebuild,
    *,
    now_ms: Callable[[], int],
    force: bool = False,
    after_boot_reset: bool = False,
) -> None:
    """Write what was found missing or behind; more where the caller says so. Updates `found`.

    Raises
    ------
    ClientError, BotoCoreError
        As boto3 raises them; what was written stays, and running again goes on.
    """
    client = target.client("dynamodb")
    store = Store(client, target.table, history_days=HISTORY_DAYS, now_ms=now_ms)
    overwritten: Collection[Finding] = (FORCED if force else frozenset()) | (
        {Finding.REGRESSED} if after_boot_reset else frozenset()
    )
    for door in found.doors:
        if door.wanted is None:
            continue
        if door.finding in FORWARD:
            applied = store.put_tile(door.wanted, None).outcome is Outcome.APPLIED
        elif door.finding in overwritten:
            applied = overwrite(client, target.table, door, now_ms())
        else:
            continue
        (found.mended if applied else found.changed).append(door)


def overwrite(client: Any, table: str, door: Door, now_ms: int) -> bool:
    """Put the wanted event into the tile, if the tile is still the one that was seen."""
    assert door.wanted is not None
    update = items.tile_update(door.wanted, queued_at=None, projected_at=now_ms)
    if door.held_version is None:
        update["ConditionExpression"] = "attribute_not_exists(#version)"
    else:
        update["ConditionExpression"] = "#version = :seen"
        update["ExpressionAttributeValues"][":seen"] = {"S": format_version(door.held_version)}
    try:
        client.update_item(TableName=table, **update)
    except ClientError as error:
        if error_code(error) != CONDITION_FAILED:
            raise
        return False
    return True


def read_events(client: Any, table: str, thing: Thing, budget: ReadBudget) -> Iterator[DoorEvent]:
    """All events on record of a controller, one page in memory at a time."""
    for page in _pages(client, table, items.locker_pk(thing), "EVENT#", budget):
        yield from map(items.read_event, page)


def _read_tiles(
    client: Any, table: str, thing: Thing, budget: ReadBudget
) -> dict[str, Mapping[str, Any]]:
    """A locker's tiles by door."""
    pk, prefix = items.building_pk(thing.building), f"TILE#{thing.locker}#"
    return {
        item["door"]["S"]: item
        for page in _pages(client, table, pk, prefix, budget)
        for item in page
    }


def _pages(
    client: Any, table: str, pk: str, prefix: str, budget: ReadBudget
) -> Iterator[list[Mapping[str, Any]]]:
    request: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": {"S": pk}, ":prefix": {"S": prefix}},
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
    }
    while True:
        budget.wait()
        page = client.query(**request)
        budget.spend(page)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _as_json(door: Door) -> dict[str, Any]:
    held, wanted = door.held, door.wanted
    return {
        "thing": str(door.thing),
        "door": door.door,
        "finding": door.finding.value,
        "tile": None if held is None else {"version": held["version"]["S"]} | _status(held),
        "history": None
        if wanted is None
        else {"version": format_version(wanted.version), "status": wanted.status.value},
    }


def _status(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": item["status"]["S"]}
