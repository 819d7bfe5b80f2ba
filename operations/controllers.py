"""Which controllers there are: asked of the IoT registry and, for a building, of the table too.

AWS: ListThings answers 250 names a request, ten requests a second an account: 10,000 lockers take
4 s and cost nothing worth naming. A scan of the table would tell the same and cost as much as
reading the whole history. The registry is the account's: it also names controllers of other stages,
of which the table then has no events.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pipeline.contract import Thing
from pipeline.items import building_pk

if TYPE_CHECKING:
    from simulators.target import Target


def registered(target: "Target") -> Iterator[Thing]:
    """Every thing whose name is a locker's."""
    for page in target.client("iot").get_paginator("list_things").paginate():
        for each in page["things"]:
            try:
                yield Thing.parse(each["thingName"])
            except ValueError:
                continue  # somebody else's device


def in_table(client: Any, table: str, building: str) -> Iterator[Thing]:
    """Every locker of which a tile or its presence is kept; `client` is DynamoDB's."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ProjectionExpression="locker",
        ExpressionAttributeValues={":pk": {"S": building_pk(building)}},
    )
    for page in pages:
        for item in page["Items"]:
            yield Thing(building, item["locker"]["S"])


def find_controllers(
    target: "Target", *, buildings: Iterable[str] = (), things: Iterable[Thing] = ()
) -> list[Thing]:
    """Those named, and those of the buildings; all that are registered if neither is given."""
    found, wanted = set(things), set(buildings)
    if wanted:
        client = target.client("dynamodb")
        found |= {each for name in wanted for each in in_table(client, target.table, name)}
        found |= {each for each in registered(target) if each.building in wanted}
    elif not found:
        found = set(registered(target))
    return sorted(found)
