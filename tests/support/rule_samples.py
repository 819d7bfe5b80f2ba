"""The samples of iot_rules: what was published, and the envelope that the rule makes of it."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iot_rules

SAMPLES = Path(iot_rules.__file__).parent / "samples"


@dataclass(frozen=True)
class Sample:
    """`envelope` is None for what the rule does not pass on; `received_at` and `trace` in it are
    examples. `poison` is the reason for which the pipeline parks it, if it does."""

    name: str
    about: str
    topic: str
    client: str
    payload: bytes
    envelope: dict[str, Any] | None
    poison: str | None
    action: str | None


def samples(rule: str) -> list[Sample]:
    """All samples of a rule, by name."""
    return [_read(path) for path in sorted((SAMPLES / rule).glob("*.json"))]


def _read(path: Path) -> Sample:
    raw = json.loads(path.read_text(encoding="utf-8"))
    message = raw["message"]
    if "payload_base64" in message:
        payload = base64.b64decode(message["payload_base64"])
    else:
        payload = message["payload"].encode()
    return Sample(
        name=path.stem,
        about=raw["about"],
        topic=message["topic"],
        client=message["client"],
        payload=payload,
        envelope=raw["envelope"],
        poison=raw.get("poison"),
        action=raw.get("action"),
    )
