"""The two designs: which modules are their functions, which files and locks their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Function(StrEnum):
    PROJECTOR = "projector"
    FANOUT = "fanout"


@dataclass(frozen=True, slots=True)
class Design:
    """`package` holds a module for each function, with its `handler`.

    `layers` names each function's lock in locks/, from which its layer is built.
    """

    name: str
    package: str
    layers: Mapping[Function, str]

    def module(self, function: Function) -> str:
        return f"{self.package}.{function}"

    @property
    def table(self) -> str:
        return f"bench-{self.name}"


OURS = Design("latchline", "pipeline", {Function.PROJECTOR: "projector", Function.FANOUT: "fanout"})
TEXTBOOK = Design(
    "textbook",
    "benchmarks.textbook",
    {Function.PROJECTOR: "textbook-projector", Function.FANOUT: "textbook-fanout"},
)
DESIGNS = (OURS, TEXTBOOK)
