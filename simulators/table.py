"""Reads the table for comparison; writes nothing."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from boto3.dynamodb.conditions import Key

from pipeline.contract import Kind, Thing, TileStatus, parse_version
from pipeline.items import EVENT, TILE, building_pk, locker_pk
from simulators.verdict import Stored


def read_tiles(table: Any, buildings: Iterable[str]) -> Iterator[Stored]:
    """Every tile of the buildings; `table` is a boto3 Table resource. Strongly consistent."""
    for building in buildings:
        for item in _query(table, building_pk(building), f"{TILE}#"):
            yield _stored(item, Thing(item["building"], item["locker"]))


def read_history(table: Any, things: Iterable[Thing]) -> Iterator[Stored]:
    """Every event kept of the lockers, whichever run made it. Strongly consistent."""
    for thing in things:
        for item in _query(table, locker_pk(thing), f"{EVENT}#"):
            yield _stored(item, thing)


def _query(table: Any, partition: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    request: dict[str, Any] = {
        "KeyConditionExpression": Key("pk").eq(partition) & Key("sk").begins_with(prefix),
        "ConsistentRead": True,
    }
    while True:
        page = table.query(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _stored(item: Mapping[str, Any], thing: Thing) -> Stored:
    return Stored(
        thing=thing,
        door=item["door"],
        version=parse_version(item["version"]),
        kind=Kind(item["kind"]),
        status=TileStatus(item["status"]),
        open=item["open"],
        occupied=item["occupied"],
        fault=item.get("fault"),
        at=item["at"],
    )
