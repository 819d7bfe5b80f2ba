"""Policy documents as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The statements of a policy. IAM: one alone may stand there without a list around it."""
    found = document["Statement"]
    return [found] if isinstance(found, Mapping) else list(found)
