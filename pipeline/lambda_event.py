"""Fields of Lambda's events: of the type that AWS documents, or a TypeError.

Whoever reads an event turns that into `EventShapeError`.
"""

from collections.abc import Mapping
from typing import Any


def text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is of type {type(value).__name__}, not a string")
    return value


def item(record: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """An item in DynamoDB's wire form (`{"pk": {"S": …}, …}`); None if there is none."""
    value = record.get(name)
    if value is None:
        return None
    if not isinstance(value, dict) or not all(_is_attribute(each) for each in value.values()):
        raise TypeError(f"{name} is not an item in DynamoDB's wire form")
    return value


def _is_attribute(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("S", ""), str)
