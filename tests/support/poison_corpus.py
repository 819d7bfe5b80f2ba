"""The poison corpus of tests/poison: one malformed message a file, with where it must end."""

import base64
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import PoisonReason

CORPUS = Path(__file__).parents[1] / "poison"


class Destination(StrEnum):
    REFUSED = "refused"
    """Whoever sent it is told so; nothing is stored."""
    NOBODY = "nobody"
    """It is nobody's business: passed over, not stored, no error."""
    INGEST_DLQ = "ingest_dlq"
    QUARANTINE = "quarantine"
    FANOUT_DLQ = "fanout_dlq"


@dataclass(frozen=True, eq=False)
class Entry:
    """`content` is the file's own part: `publish`, `body`, `entry`, `image` or `answer`."""

    hop: str
    name: str
    about: str
    destination: Destination
    reason: PoisonReason | None
    content: Any

    def __str__(self) -> str:
        return f"{self.hop}-{self.name}"

    @property
    def payload(self) -> bytes:
        """Of a publish: the bytes on the wire."""
        if "payload_base64" in self.content:
            return base64.b64decode(self.content["payload_base64"])
        return str(self.content["payload"]).encode()


CONTENT = {
    "broker": "publish",
    "pipe": "body",
    "bus": "entry",
    "projector": "body",
    "stream": "image",
    "appsync": "answer",
}


def entries(*hops: str) -> list[Entry]:
    """The corpus of these hops, or all of it."""
    return [
        _read(hop, path)
        for hop in hops or CONTENT
        for path in sorted((CORPUS / hop).glob("*.json"))
    ]


def _read(hop: str, path: Path) -> Entry:
    raw = json.loads(path.read_text(encoding="utf-8"))
    reason = raw.get("reason")
    return Entry(
        hop=hop,
        name=path.stem,
        about=raw["about"],
        destination=Destination(raw["destination"]),
        reason=PoisonReason(reason) if reason else None,
        content=raw[CONTENT[hop]],
    )
