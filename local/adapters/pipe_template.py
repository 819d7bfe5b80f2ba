"""An EventBridge pipe's `InputTemplate`, and its use on a message from SQS. Pure.

Runs in the laptop's pipe function as well as here, so it imports the standard library only.

AWS: EventBridge user guide, "Pipes input transformation". The body of an SQS message is parsed as
JSON so that paths can reach into it; if it is not JSON it stays the string it is. A string takes
the place of a variable with quotes around it, unless the template has them already; objects and
arrays without. A variable whose path leads nowhere leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"<(\$(?:\.[A-Za-z0-9_-]+(?:\[\d+\])*)*)>")
_RESERVED = re.compile(r"<aws\.pipes\.[a-z.-]+>")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_MISSING = object()


def unsupported(template: str) -> str | None:
    """The first reserved variable in the template: none of them is filled in on the laptop."""
    found = _RESERVED.search(template)
    return found.group() if found else None


def source_event(message: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the event source mapping as Pipes sees it: its body parsed, if it is JSON."""
    event = dict(message)
    with contextlib.suppress(ValueError):
        event["body"] = json.loads(event["body"])
    return event


def render(template: str, event: Mapping[str, Any]) -> str:
    """Fill in the template; what comes out is not JSON if the template or the body is not."""
    parts: list[str] = []
    position = 0
    quoted = False
    for variable in _VARIABLE.finditer(template):
        literal = template[position : variable.start()]
        quoted ^= len(re.findall(r'(?<!\\)"', literal)) % 2 == 1
        parts += [literal, _text(_lookup(event, variable.group(1)), quoted=quoted)]
        position = variable.end()
    return "".join([*parts, template[position:]])


def _lookup(event: Any, path: str) -> Any:
    found = event
    for name, index in _STEP.findall(path):
        try:
            found = found[name] if name else found[int(index)]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return found


def _text(value: Any, *, quoted: bool) -> str:
    if value is _MISSING:
        return ""
    if isinstance(value, str):
        escaped = json.dumps(value, ensure_ascii=False)
        return escaped[1:-1] if quoted else escaped
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # AWS: inside a string the quotes of an object are removed, so that it stays a string.
    return text.replace('"', "") if quoted else text
