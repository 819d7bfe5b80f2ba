"""How many bytes things have: made by the pipeline's own code from a typical event, then weighed.

AWS meters in steps (1 KB a write, 4 KB a read, 5 KB a push), so it matters on which side of a step
the real items are.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from models import design
from pipeline import items
from pipeline.appsync import Publication
from pipeline.contract import DoorEvent, parse_envelope

NOW_MS = 1_796_040_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes."""

    envelope: int
    history: int
    tile: int
    pushed_tile: int
    """What one more tile adds to a pushed message."""
    pushed_frame: int
    """A pushed message without a tile."""

    @property
    def history_units(self) -> int:
        return math.ceil(self.history / design.WRITE_UNIT_BYTES)

    @property
    def tile_units(self) -> int:
        return math.ceil(self.tile / design.WRITE_UNIT_BYTES)

    def push(self, tiles: float) -> float:
        """Bytes of a push of so many tiles (on average)."""
        return self.pushed_frame + tiles * self.pushed_tile

    def push_units(self, tiles: float) -> int:
        """What AppSync meters for delivering it to one viewer."""
        return math.ceil(self.push(tiles) / design.DELIVERY_UNIT_BYTES)

    def snapshot_units(self, tiles: float) -> int:
        """Read units of a consistent query of a building; AWS adds the items up, then rounds."""
        return max(1, math.ceil(tiles * self.tile / design.READ_UNIT_BYTES))


@cache
def sizes() -> Sizes:
    envelope = json.dumps(_envelope(), separators=(",", ":"))
    event = parse_envelope(envelope)
    assert isinstance(event, DoorEvent)
    tile = stored_tile(items.tile_update(event, queued_at=NOW_MS, projected_at=NOW_MS))
    fields = items.graphql_tile(tile)
    one, two = (
        len(json.dumps(Publication("maple-court", [fields] * n, []).variables(NOW_MS)))
        for n in (1, 2)
    )
    return Sizes(
        envelope=len(envelope),
        history=item_bytes(items.history_item(event, days=design.HISTORY_DAYS)),
        tile=item_bytes(tile),
        pushed_tile=two - one,
        pushed_frame=2 * one - two,
    )


def _envelope() -> dict[str, Any]:
    payload = {
        "schema": 1,
        "boot": NOW_MS // 1000,
        "seq": 1234,
        "at": "2026-12-01T12:00:00.000Z",
        "open": True,
        "occupied": False,
        "fault": None,
    }
    return {
        "payload": base64.b64encode(json.dumps(payload).encode()).decode(),
        "thing": "maple-court:l03",
        "door": "d02",
        "kind": "opened",
        "client": "maple-court:l03",
        "received_at": NOW_MS,
        "trace": "8f7e0b1c-0000-4000-8000-000000000001",
        "type": "door",
    }


def stored_tile(update: Mapping[str, Any]) -> items.Item:
    """The item that a tile's update (`items.tile_update`) leaves behind where there was none."""
    values = update["ExpressionAttributeValues"]
    tile: items.Item = dict(update["Key"])
    for name, value in values.items():
        tile[name.removeprefix(":")] = value
    return tile


def item_bytes(item: Mapping[str, Any]) -> int:
    """Size as DynamoDB counts it: names and values; a number about half its digits, and one."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(str(content).encode())
        case "N":
            return math.ceil(len(str(content).lstrip("-").strip("0")) / 2) + 1
        case "M":
            return 3 + sum(1 + len(k.encode()) + _value_bytes(v) for k, v in content.items())
        case _:
            return 1
