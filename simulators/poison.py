"""Publishes that can never become a tile: for each quarantine reason that a device can cause, one.

Each carries a mark of its own, so that what is parked can be told apart and found again.
"""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.contract import PAYLOAD_MAX_BYTES, SCHEMA, Thing
from pipeline.errors import PoisonReason
from simulators.controller import Emission
from simulators.errors import FleetError


@dataclass(frozen=True, slots=True)
class Malformed:
    """A publish below the locker's own name. `door` and `kind` are levels of its topic, as text."""

    thing: Thing
    door: str
    kind: str
    reason: PoisonReason
    payload: bytes

    def topic(self, rule: str) -> str:
        """Return where it is published; `pipeline.contract.device_topic` knows good kinds only."""
        return f"$aws/rules/{rule}/lockers/v1/{self.thing}/doors/{self.door}/{self.kind}"


def malform(emission: Emission, reason: PoisonReason, mark: str) -> Malformed:
    """Spoil a good event so that it is parked for this very reason.

    Raises
    ------
    FleetError
        No publish of a device can cause that reason.
    """
    door, kind = emission.door, emission.kind.value
    fields: dict[str, Any] = {**json.loads(emission.payload()), "mark": mark}
    match reason:
        case PoisonReason.TOPIC_INVALID:
            kind = "exploded"
        case PoisonReason.PAYLOAD_TOO_LARGE:
            fields["padding"] = "x" * PAYLOAD_MAX_BYTES
        case PoisonReason.PAYLOAD_NOT_UTF8:
            return Malformed(emission.thing, door, kind, reason, b"\xff\xfe" + mark.encode())
        case PoisonReason.PAYLOAD_NOT_JSON:
            text = f"door open! {mark}"
            return Malformed(emission.thing, door, kind, reason, text.encode())
        case PoisonReason.SCHEMA_UNKNOWN:
            fields["schema"] = SCHEMA + 6
        case PoisonReason.FIELD_MISSING:
            del fields["occupied"]
        case PoisonReason.FIELD_TYPE:
            fields["open"] = "yes"
        case PoisonReason.VALUE_IMPOSSIBLE:
            fields["seq"] = -1
        case _:
            raise FleetError(f"no publish of a device is parked as {reason}")
    payload = json.dumps(fields, separators=(",", ":")).encode()
    return Malformed(emission.thing, door, kind, reason, payload)
