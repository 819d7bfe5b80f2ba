"""Bodies of queue messages that went wrong somewhere between a controller and the projector.

`malformed(random)` spoils a good message in one of the ways named in `MUTATIONS`. What comes out
may still be good (a flipped bit in a field that nobody knows): then the projector must apply it.
Everything follows from the seed.
"""

import base64
import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any

from pipeline.contract import PAYLOAD_MAX_BYTES, Kind
from tests.support.lambda_events import (
    BOOT,
    RECEIVED_AT,
    door_envelope,
    payload,
    presence_envelope,
)
from tests.support.memory_aws import FORBIDDEN

Change = Callable[[Random, Any], Any]

FIELDS = ("schema", "boot", "seq", "at", "open", "occupied", "fault")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**100, -(10**40), 1.0, 1.5,
    1e308, float("nan"), float("inf"), "", " ", "1", "true", "null", "\x00", "\x7f\x1b[2J",
    "é" * 70, "🔒" * 65, "x" * 129, "a\ud800b", "\udfff", [], {}, [[]], [1, "2", None],
    {"S": "x"},
    {"$ref": "#"}, "2026-13-45T99:99:99Z", "2026-11-20", "٢٠٢٦-11-20T10:00:00Z", "../../etc/passwd",
    "BUILDING#maple-court", "maple-court:l03", "${jndi:ldap://x}", "'; DROP TABLE", "\u202e\ufeff",
)  # fmt: skip
"""Values of every type, among them those that parsers, databases and terminals have stumbled on."""


def good_payload(random: Random) -> dict[str, Any]:
    return payload(
        boot=BOOT + random.randrange(4),
        seq=random.randrange(1, 1_000_000),
        open=random.random() < 0.5,
        occupied=random.random() < 0.5,
        fault=random.choice((None, None, "jammed", "Schloss klemmt – 鍵 🔒")),
    )


def good_envelope(random: Random, content: bytes | None = None) -> dict[str, Any]:
    if content is None:
        content = json.dumps(good_payload(random)).encode()
    return door_envelope(
        content,
        thing=f"maple-court:l{random.randrange(40):02d}",
        door=f"d{random.randrange(8):02d}",
        kind=random.choice(list(Kind)),
        received_at=RECEIVED_AT + random.randrange(10**6),
    )


def good_lifecycle(random: Random) -> dict[str, Any]:
    return presence_envelope(
        connected=random.random() < 0.5,
        at=RECEIVED_AT + random.randrange(10**6),
        session=f"s{random.randrange(50)}",
        counter=random.randrange(100),
        thing=f"maple-court:l{random.randrange(40):02d}",
    )


# What can happen to bytes.


def flip_bits(random: Random, raw: bytes) -> bytes:
    spoilt = bytearray(raw)
    for _ in range(random.randrange(1, 9)):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def truncate(random: Random, raw: bytes) -> bytes:
    return raw[: random.randrange(len(raw))]


def cut_out(random: Random, raw: bytes) -> bytes:
    begin = random.randrange(len(raw))
    return raw[:begin] + raw[begin + random.randrange(1, 20) :]


def stutter(random: Random, raw: bytes) -> bytes:
    begin = random.randrange(len(raw))
    return raw[: begin + random.randrange(1, 20)] + raw[begin:]


def insert_noise(random: Random, raw: bytes) -> bytes:
    begin = random.randrange(len(raw))
    return raw[:begin] + random.randbytes(random.randrange(1, 12)) + raw[begin:]


def noise(random: Random, _: bytes) -> bytes:
    return random.randbytes(random.randrange(0, 300))


def recode(random: Random, raw: bytes) -> bytes:
    text = raw.decode("utf-8", errors="replace")
    codec = random.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp500"))
    return text.encode(codec, errors="replace")


def compress(_: Random, raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


def too_large(random: Random, raw: bytes) -> bytes:
    return raw + b" " * random.randrange(PAYLOAD_MAX_BYTES, 128 * 1024)


def nested(random: Random, _: bytes) -> bytes:
    depth = random.choice((2, 100, 199, 201, 400))
    left, right = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return left * depth + b"1" + right * depth


def not_quite_json(random: Random, raw: bytes) -> bytes:
    return random.choice(
        (
            raw.replace(b'"', b"'"),
            raw.replace(b"}", b",}"),
            raw.replace(b":", b"="),
            raw + raw,
            b"// door\n" + raw,
            b")]}'\n" + raw,
            raw.replace(b"false", b"False").replace(b"true", b"True").replace(b"null", b"None"),
            raw.replace(b"1", b"01", 1),
            raw.replace(b": ", b": +", 1),
            b"\xef\xbb\xbf" + raw,
            b"\x00" + raw,
            b"door open!",
            b"",
        )
    )


def escaped(random: Random, raw: bytes) -> bytes:
    bad = random.choice(
        (rb"\ud800", rb"\udc00\ud800", rb"\u12", rb"\x41", rb"\u0000", b"\n", b"\\")
    )
    return raw.replace(b'"at": "', b'"at": "' + bad, 1).replace(b'"thing": "', b'"thing": "' + bad)


BYTES: tuple[Change, ...] = (
    flip_bits, truncate, cut_out, stutter, insert_noise, noise, recode, compress, too_large, nested,
    not_quite_json, escaped,
)  # fmt: skip


# What can happen to the fields of a document.


def odd_value(random: Random, document: dict[str, Any]) -> bytes:
    name = random.choice(list(document))
    return dumps({**document, name: random.choice(ODD)})


def missing(random: Random, document: dict[str, Any]) -> bytes:
    names = random.sample(list(document), random.randrange(1, len(document) + 1))
    return dumps({name: value for name, value in document.items() if name not in names})


def renamed(random: Random, document: dict[str, Any]) -> bytes:
    name = random.choice(list(document))
    new = random.choice((name.upper(), f" {name}", f"{name}\x00", name[:-1], ""))
    return dumps({new if key == name else key: value for key, value in document.items()})


def swapped(random: Random, document: dict[str, Any]) -> bytes:
    one, other = random.sample(list(document), 2)
    return dumps({**document, one: document[other], other: document[one]})


def repeated_key(random: Random, document: dict[str, Any]) -> bytes:
    name = random.choice(list(document))
    again = b", " + json.dumps(name).encode() + b": " + json.dumps(random.choice(ODD)).encode()
    return dumps(document)[:-1] + again + b"}"


def huge_number(random: Random, document: dict[str, Any]) -> bytes:
    name = random.choice(list(document))
    number = random.choice(
        (b"9" * random.randrange(20, 900), b"1e999", b"-1E-999", b"0.1e1", b"1" + b"0" * 400, b"-0")
    )
    return dumps({**document, name: "@"}).replace(b'"@"', number)


def unknown_schema(random: Random, document: dict[str, Any]) -> bytes:
    return dumps({**document, "schema": random.choice((0, 2, 7, -1, 2**40, 10**30))})


def extra(random: Random, document: dict[str, Any]) -> bytes:
    return dumps({**document, "note": random.choice(ODD)})


def other_root(random: Random, document: dict[str, Any]) -> bytes:
    return dumps(random.choice(([document], {"event": document}, *ODD)))


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


DOCUMENTS: tuple[Change, ...] = (
    odd_value, missing, renamed, swapped, repeated_key, huge_number, unknown_schema, extra,
    other_root,
)  # fmt: skip


# Where it can happen.


def of_device(random: Random) -> str:
    """A controller published something else; the rule wrapped it as it came."""
    document = good_payload(random)
    if random.random() < 0.5:
        content = random.choice(BYTES)(random, dumps(document))
    else:
        content = random.choice(DOCUMENTS)(random, document)
    return json.dumps(good_envelope(random, content))


def of_topic(random: Random) -> str:
    """A level of the topic that no locker, door or kind is called by."""
    name = random.choice(("thing", "door", "kind"))
    odd = random.choice(ODD)
    return json.dumps({**good_envelope(random), name: odd if isinstance(odd, str) else str(odd)})


def of_envelope(random: Random) -> str:
    """Something else than the rule wrote into the queue, or a person with a console."""
    document = good_envelope(random) if random.random() < 0.8 else good_lifecycle(random)
    if random.random() < 0.4:
        raw = random.choice(BYTES)(random, dumps(document))
    else:
        raw = random.choice(DOCUMENTS)(random, document)
    return raw.decode("utf-8", errors=random.choice(("replace", "surrogateescape")))


def of_base64(random: Random) -> str:
    """A payload that is base64 no longer."""
    document = good_envelope(random)
    text = document["payload"]
    bad = random.choice(
        (
            text.rstrip("=") + "!",
            text[:-1],
            text + "=",
            f"{text[:20]}\n{text[20:]}",
            text.replace("e", "-", 1).replace("y", "_", 1),
            base64.b85encode(text.encode()).decode(),
            base64.b64encode(text.encode()).decode(),
            "é" * 8,
            "",
        )
    )
    return json.dumps({**document, "payload": bad})


def of_lifecycle(random: Random) -> str:
    """A lifecycle event as no broker sends it."""
    envelope = good_lifecycle(random)
    document = json.loads(base64.b64decode(envelope["payload"]))
    if random.random() < 0.3:
        content = random.choice(BYTES)(random, dumps(document))
    else:
        content = random.choice(DOCUMENTS)(random, document)
    return json.dumps({**envelope, "payload": base64.b64encode(content).decode()})


def oversized(random: Random) -> str:
    """As large as SQS takes it, in a field of the envelope."""
    name = random.choice(("trace", "client", "payload", "thing", "note"))
    return json.dumps({**good_envelope(random), name: "A" * random.randrange(300_000, 1_000_000)})


MUTATIONS: tuple[tuple[Callable[[Random], str], float], ...] = (
    (of_device, 50),
    (of_topic, 10),
    (of_envelope, 20),
    (of_base64, 8),
    (of_lifecycle, 12),
    (oversized, 0.2),
)
"""With how often each is taken, in percent."""


def malformed(random: Random) -> str:
    """One body; what happened to it is drawn."""
    (mutate,) = random.choices(*zip(*MUTATIONS, strict=True))
    return as_queued(mutate(random))


def as_queued(body: str) -> str:
    """What SQS holds of it (AWS: never nothing; U+FFFD for what is no character of XML)."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", body) or "\N{REPLACEMENT CHARACTER}"
