"""`FilterCriteria` of a Lambda event source mapping: which stream records are handed on. Pure.

The subset that our mappings use: equality, `prefix`, `anything-but` (values or a prefix) and
`exists`. Everything else is refused when the pattern is read, never ignored.

AWS: Lambda developer guide, "Using event filtering with a DynamoDB event source"; the rules are
those of EventBridge: fields are ANDed, the list of a field is ORed, patterns are ORed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from local.errors import AdapterError

Pattern = Mapping[str, Any]
_MISSING = object()
_SCALARS = (str, int, float, bool, type(None))


def read_patterns(criteria: Mapping[str, Any] | None) -> tuple[Pattern, ...]:
    """Return the patterns of a mapping's `FilterCriteria`.

    Raises
    ------
    AdapterError
        A pattern is no JSON object or uses an operator that is not in the subset.
    """
    patterns = []
    for each in (criteria or {}).get("Filters", ()):
        try:
            pattern = json.loads(each["Pattern"])
        except ValueError as error:
            raise AdapterError(f"filter pattern {each['Pattern']!r} is not JSON") from error
        _check(pattern, each["Pattern"])
        patterns.append(pattern)
    return tuple(patterns)


def matches(patterns: Sequence[Pattern], record: Mapping[str, Any]) -> bool:
    """Whether any pattern takes the record; without patterns everything passes."""
    return not patterns or any(_object_matches(pattern, record) for pattern in patterns)


def _check(node: Any, text: str) -> None:
    if not isinstance(node, dict):
        raise AdapterError(f"filter pattern {text!r}: wanted an object, got {node!r}")
    for key, value in node.items():
        if key == "$or":
            raise AdapterError(f"filter pattern {text!r}: $or is not done on the laptop")
        if isinstance(value, list):
            _check_alternatives(value, text)
        else:
            _check(value, text)


def _check_alternatives(alternatives: Iterable[Any], text: str) -> None:
    for each in alternatives:
        if isinstance(each, list):
            raise AdapterError(f"filter pattern {text!r}: {each!r} is no value")
        if not isinstance(each, dict):
            continue
        if not _is_known(each):
            raise AdapterError(f"filter pattern {text!r}: {each} is not done on the laptop")


def _is_known(comparison: Mapping[str, Any]) -> bool:
    match comparison:
        case {"prefix": str(), **more} | {"exists": bool(), **more}:
            return not more
        case {"anything-but": {"prefix": str(), **more_inner}, **more}:
            return not more and not more_inner
        case {"anything-but": operand, **more}:
            values = operand if isinstance(operand, list) else [operand]
            return not more and all(isinstance(each, _SCALARS) for each in values)
    return False


def _object_matches(pattern: Pattern, value: Any) -> bool:
    return all(
        _alternatives_match(wanted, _field(value, key))
        if isinstance(wanted, list)
        else _object_matches(wanted, _field(value, key))
        for key, wanted in pattern.items()
    )


def _field(value: Any, key: str) -> Any:
    return value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING


def _alternatives_match(alternatives: list[Any], value: Any) -> bool:
    # AWS: a field that is a list matches if one of its elements does.
    candidates = value if isinstance(value, list) else [value]
    return any(_leaf_matches(each, found) for each in alternatives for found in candidates)


def _leaf_matches(wanted: Any, found: Any) -> bool:
    if not isinstance(wanted, dict):
        # JSON's true is no 1.
        return type(wanted) is type(found) and bool(wanted == found)
    ((operator, operand),) = wanted.items()
    if operator == "exists":
        # AWS: works on leaves only; an object in that place is not one.
        return bool(operand) == (found is not _MISSING and not isinstance(found, Mapping))
    if found is _MISSING:
        return False
    if operator == "prefix":
        return isinstance(found, str) and found.startswith(operand)
    if isinstance(operand, dict):
        return not (isinstance(found, str) and found.startswith(operand["prefix"]))
    return found not in (operand if isinstance(operand, list) else [operand])
