"""The single table: keys, attribute names, and how events and presence are written into it.

The only place that knows them. Items are in DynamoDB's wire form (`{"S": …}`), which is also what a
stream record holds; pure, no AWS SDK.

    item     pk                    sk
    tile     BUILDING#<building>   TILE#<locker>#<door>
    locker   BUILDING#<building>   LOCKER#<locker>
    history  LOCKER#<thing>        EVENT#<version>
    building BUILDINGS             BUILDING#<building>
"""

from collections.abc import Mapping
from typing import Any

from pipeline.contract import (
    DoorEvent,
    Kind,
    Thing,
    TileStatus,
    format_version,
    is_id,
    normal_time,
    parse_version,
    shorten,
)
from pipeline.errors import Poison, PoisonReason
from pipeline.merge import Disconnect, LockerPresence, Session

Item = dict[str, Any]

TILE = "TILE"
LOCKER = "LOCKER"
EVENT = "EVENT"
BUILDING = "BUILDING"
BUILDINGS = "BUILDINGS"
"""Partition of the list of all buildings."""
ATTENTION = frozenset({TileStatus.FAULT, TileStatus.FORCED})
"""Statuses listed in the sparse index; a disconnected locker is listed there as `offline`."""
OFFLINE = "offline"
DAY_S = 86_400

INT_LIMIT = 2**31
FLOAT_LIMIT = 2**53
"""GraphQL's numbers. AppSync refuses the whole document for one value that its type cannot hold,
and with it what else was to be published: so whoever has such a value is parked before."""

TILE_CONDITION = (
    "attribute_not_exists(#version) OR #version < :version"
    " OR (#version = :version AND #received_at > :received_at)"
)
"""`merge.tile_order` in DynamoDB's words."""
REVISION_CONDITION = "attribute_not_exists(#revision) OR #revision = :revision"


def building_pk(building: str) -> str:
    return f"BUILDING#{building}"


def locker_pk(thing: Thing) -> str:
    return f"LOCKER#{thing}"


def tile_key(thing: Thing, door: str) -> Item:
    return _key(building_pk(thing.building), f"TILE#{thing.locker}#{door}")


def locker_key(thing: Thing) -> Item:
    return _key(building_pk(thing.building), f"LOCKER#{thing.locker}")


def building_item(building: str) -> Item:
    """One entry of the list of buildings; nothing but the name, so it is written once for good."""
    return {
        **_key(BUILDINGS, f"BUILDING#{building}"),
        "entity": _s(BUILDING),
        "building": _s(building),
    }


def history_key(thing: Thing, version: int) -> Item:
    return _key(locker_pk(thing), f"EVENT#{format_version(version)}")


def history_item(event: DoorEvent, *, days: int) -> Item:
    """The event as received; DynamoDB deletes it `days` after the broker had it."""
    return {
        **history_key(event.thing, event.version),
        "entity": _s(EVENT),
        **_door_state(event),
        "boot": _n(event.boot),
        "seq": _n(event.seq),
        "payload": _s(event.payload),
        "expires_at": _n(event.received_at // 1000 + days * DAY_S),
        **_optional("client", event.client),
    }


def tile_update(event: DoorEvent, *, queued_at: int | None, projected_at: int) -> Item:
    """Arguments of the conditional UpdateItem that makes the event its door's tile.

    `queued_at` (when the projector's queue took it) and `projected_at` in epoch ms.
    """
    values = {
        "entity": _s(TILE),
        **_door_state(event),
        "projected_at": _n(projected_at),
        **({} if queued_at is None else {"queued_at": _n(queued_at)}),
    }
    if event.status in ATTENTION:
        values["attention"] = _s(event.status)
    absent = [name for name in ("fault", "trace", "queued_at", "attention") if name not in values]
    sets = ", ".join(f"#{name} = :{name}" for name in values)
    removes = ", ".join(f"#{name}" for name in absent)
    return {
        "Key": tile_key(event.thing, event.door),
        "UpdateExpression": f"SET {sets}" + (f" REMOVE {removes}" if removes else ""),
        "ConditionExpression": TILE_CONDITION,
        "ExpressionAttributeNames": {f"#{name}": name for name in [*values, *absent]},
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
    }


def locker_item(
    thing: Thing,
    presence: LockerPresence,
    *,
    revision: int,
    received_at: int,
    projected_at: int,
) -> Item:
    """The locker's item; `revision` counts its writes, so that viewers can order pushes."""
    item = {
        **locker_key(thing),
        "entity": _s(LOCKER),
        "building": _s(thing.building),
        "locker": _s(thing.locker),
        "connected": {"BOOL": presence.connected},
        "since": _n(presence.since),
        "disconnects": {
            "M": {
                session: {"M": {"at": _n(end.at), "reason": _s(end.reason)}}
                for session, end in presence.disconnects.items()
            }
        },
        "revision": _n(revision),
        "received_at": _n(received_at),
        "projected_at": _n(projected_at),
        **_optional("reason", presence.reason),
    }
    if presence.latest is not None:
        item["session"] = _s(presence.latest.session)
        item["counter"] = _n(presence.latest.counter)
        item["connected_at"] = _n(presence.latest.at)
    if not presence.connected:
        item["attention"] = _s(OFFLINE)
    return item


def read_presence(item: Mapping[str, Any]) -> LockerPresence:
    """The inverse of `locker_item`."""
    latest = None
    if "session" in item:
        latest = Session(_int(item, "connected_at"), _int(item, "counter"), item["session"]["S"])
    ends = {
        session: Disconnect(int(end["M"]["at"]["N"]), end["M"]["reason"]["S"])
        for session, end in item["disconnects"]["M"].items()
    }
    return LockerPresence(latest, ends)


def read_revision(item: Mapping[str, Any]) -> int:
    return _int(item, "revision")


def read_version(item: Mapping[str, Any]) -> int:
    return parse_version(item["version"]["S"])


def read_received_at(item: Mapping[str, Any]) -> int:
    return _int(item, "received_at")


def read_event(item: Mapping[str, Any]) -> DoorEvent:
    """A history item as the event that it was made of."""
    return DoorEvent(
        thing=Thing(item["building"]["S"], item["locker"]["S"]),
        door=item["door"]["S"],
        kind=Kind(item["kind"]["S"]),
        boot=_int(item, "boot"),
        seq=_int(item, "seq"),
        at=item["at"]["S"],
        open=_bool(item, "open"),
        occupied=_bool(item, "occupied"),
        fault=_text(item, "fault"),
        received_at=read_received_at(item),
        trace=_text(item, "trace"),
        client=_text(item, "client"),
        payload=item["payload"]["S"],
    )


def graphql_tile(image: Mapping[str, Any]) -> Item:
    """A tile's item as `TileInput` of infra/schema.graphql.

    Raises
    ------
    Poison
        The image is not a tile that a viewer could show; no retry will change it.
    """
    try:
        parse_version(image["version"]["S"])
        return {
            "buildingId": _id(image, "building"),
            "lockerId": _id(image, "locker"),
            "doorId": _id(image, "door"),
            "version": image["version"]["S"],
            "kind": Kind(image["kind"]["S"]).value,
            "status": TileStatus(image["status"]["S"]).value,
            "open": _bool(image, "open"),
            "occupied": _bool(image, "occupied"),
            "fault": _text(image, "fault"),
            "at": normal_time(image["at"]["S"]),
            "receivedAt": _below(FLOAT_LIMIT, image, "received_at"),
            "queuedAt": _below(FLOAT_LIMIT, image, "queued_at") if "queued_at" in image else None,
            "projectedAt": _below(FLOAT_LIMIT, image, "projected_at"),
            "trace": _text(image, "trace"),
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable(TILE, error) from error


def graphql_locker(image: Mapping[str, Any]) -> Item:
    """A locker's item as `LockerInput`; raises as `graphql_tile` does."""
    try:
        return {
            "buildingId": _id(image, "building"),
            "lockerId": _id(image, "locker"),
            "connected": _bool(image, "connected"),
            "since": _below(FLOAT_LIMIT, image, "since"),
            "reason": _text(image, "reason"),
            "revision": _below(INT_LIMIT, image, "revision"),
            "receivedAt": _below(FLOAT_LIMIT, image, "received_at"),
            "projectedAt": _below(FLOAT_LIMIT, image, "projected_at"),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(LOCKER, error) from error


def _unreadable(entity: str, error: Exception) -> Poison:
    return Poison(PoisonReason.IMAGE_UNREADABLE, f"{entity} image: {shorten(error, limit=160)}")


def _door_state(event: DoorEvent) -> Item:
    return {
        "building": _s(event.thing.building),
        "locker": _s(event.thing.locker),
        "door": _s(event.door),
        "version": _s(format_version(event.version)),
        "kind": _s(event.kind),
        "open": {"BOOL": event.open},
        "occupied": {"BOOL": event.occupied},
        "status": _s(event.status),
        "at": _s(event.at),
        "received_at": _n(event.received_at),
        **_optional("fault", event.fault),
        **_optional("trace", event.trace),
    }


def _key(pk: str, sk: str) -> Item:
    return {"pk": _s(pk), "sk": _s(sk)}


def _s(value: str) -> Item:
    return {"S": str(value)}


def _n(value: int) -> Item:
    return {"N": str(value)}


def _optional(name: str, value: str | None) -> Item:
    return {} if value is None else {name: _s(value)}


def _text(item: Mapping[str, Any], name: str) -> str | None:
    return item[name]["S"] if name in item else None


def _int(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"])


def _below(limit: int, item: Mapping[str, Any], name: str) -> int:
    value = _int(item, name)
    if not 0 <= value < limit:
        raise ValueError(f"{name} = {value} is not below {limit}")
    return value


def _bool(item: Mapping[str, Any], name: str) -> bool:
    value = item[name]["BOOL"]
    if not isinstance(value, bool):
        raise TypeError(f"{name} = {value!r} is not a boolean")
    return value


def _id(item: Mapping[str, Any], name: str) -> str:
    value = item[name]["S"]
    if not is_id(value):
        raise ValueError(f"{name} = {value!r} is not an id")
    return str(value)
