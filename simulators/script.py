"""All that will happen in a run, in order, before any of it does: traffic and faults in one stream.

A script is a pure function of a plan and its seed. Written to a file (JSON Lines) it is a fixed
input: the header with the plan, a line for each door as it stands at the start, then a line for
each step. Playing the file is playing the plan, step for step.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.contract import Thing
from pipeline.errors import PoisonReason
from simulators.controller import DoorState
from simulators.courier import Action, Place, Step, Traffic
from simulators.errors import ScriptError
from simulators.faults import (
    AT_LOCKERS,
    MALFORMED,
    ON_THE_WIRE,
    Fault,
    Faults,
    Injection,
    Wire,
    injections,
    wire_faults,
)
from simulators.ground_truth import first_fault, read_lines

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Move:
    """An action at a door, and what the wire does to its event."""

    action: Action
    wire: Wire | None = None

    @property
    def due_s(self) -> float:
        return self.action.due_s


Happening = Move | Injection


class Script:
    """Iterate, once, for what happens; `initial` is how the doors stand before.

    Parameters
    ----------
    traffic
        Also tells, when all is over, how many visits found no door.
    """

    def __init__(
        self,
        initial: Mapping[Place, DoorState],
        happenings: Iterable[Happening],
        traffic: Traffic | None = None,
    ) -> None:
        self.initial = initial
        self.traffic = traffic
        self._happenings = happenings

    @classmethod
    def generate(
        cls, traffic: Traffic, faults: Faults, *, seed: int, duration_s: float
    ) -> "Script":
        moves: Iterator[Happening] = map(Move, traffic, wire_faults(faults, seed))
        faulty: Iterator[Happening] = _until(
            duration_s, injections(faults, list(traffic.initial), seed)
        )
        happenings = merge(moves, faulty, key=lambda each: each.due_s)
        return cls(traffic.initial, happenings, traffic)

    @property
    def skipped(self) -> int:
        return 0 if self.traffic is None else self.traffic.skipped

    def __iter__(self) -> Iterator[Happening]:
        return iter(self._happenings)


def _until(duration_s: float, faulty: Iterator[Injection]) -> Iterator[Injection]:
    for each in faulty:
        if each.due_s >= duration_s:
            return
        yield each


class ScriptWriter:
    """Writes the header at once and each happening as it comes."""

    def __init__(
        self, file: IO[str], plan: Mapping[str, Any], initial: Mapping[Place, DoorState]
    ) -> None:
        self._file = file
        self._write({"record": "script", "format": FORMAT, "plan": plan})
        for (thing, door), state in initial.items():
            fields = {"open": state.open, "occupied": state.occupied, "fault": state.fault}
            self._write({"record": "door", "thing": str(thing), "door": door, **fields})

    def happening(self, each: Happening) -> None:
        if isinstance(each, Move):
            self._write(_move_fields(each))
        else:
            self._write(_injection_fields(each))

    def tee(self, script: Script) -> Script:
        """Return the same script; whoever plays it writes each happening down with it."""

        def written() -> Iterator[Happening]:
            for each in script:
                self.happening(each)
                yield each

        return Script(script.initial, written(), script.traffic)

    def _write(self, fields: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(fields, separators=(",", ":")) + "\n")


def _move_fields(move: Move) -> dict[str, Any]:
    action = move.action
    fields = {
        "record": "move",
        "due_s": action.due_s,
        "thing": str(action.thing),
        "door": action.door,
        "step": action.step.value,
    }
    if move.wire is not None:
        fields |= {"wire": move.wire.fault.value, "late_s": move.wire.late_s}
    return fields


def _injection_fields(injection: Injection) -> dict[str, Any]:
    return {
        "record": "fault",
        "due_s": injection.due_s,
        "fault": injection.fault.value,
        "thing": str(injection.thing),
        "door": injection.door,
        "seconds": injection.seconds,
        "count": injection.count,
        "buffer_lost": injection.buffer_lost,
        "reason": injection.reason,
        "victim": None if injection.victim is None else str(injection.victim),
    }


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Header(_Line):
    record: Literal["script"]
    format: Literal[1]
    plan: dict[str, Any]


class _Door(_Line):
    record: Literal["door"]
    thing: str
    door: str
    open: bool
    occupied: bool
    fault: str | None


class _Move(_Line):
    record: Literal["move"]
    due_s: float = Field(ge=0)
    thing: str
    door: str
    step: Step
    wire: Fault | None = None
    late_s: float = 0.0

    def happening(self) -> Move:
        wire = None if self.wire is None else Wire(self.wire, self.late_s)
        return Move(Action(self.due_s, Thing.parse(self.thing), self.door, self.step), wire)


class _Fault(_Line):
    record: Literal["fault"]
    due_s: float = Field(ge=0)
    fault: Fault
    thing: str
    door: str
    seconds: float
    count: int
    buffer_lost: bool
    reason: PoisonReason | None
    victim: str | None

    def happening(self) -> Injection:
        return Injection(
            due_s=self.due_s,
            fault=self.fault,
            thing=Thing.parse(self.thing),
            door=self.door,
            seconds=self.seconds,
            count=self.count,
            buffer_lost=self.buffer_lost,
            reason=self.reason,
            victim=None if self.victim is None else Thing.parse(self.victim),
        )


_LINE: TypeAdapter[_Header | _Door | _Move | _Fault] = TypeAdapter(
    Annotated[_Header | _Door | _Move | _Fault, Field(discriminator="record")]
)


def read_script(path: Path) -> tuple[dict[str, Any], Script]:
    """Return the plan's parameters and the script; the whole file is checked first.

    Raises
    ------
    ScriptError
        Naming file and line: not JSON, an unknown record, a wrong value, no header, a step back in
        time or at a door that the header's lines do not have.
    """
    plan: dict[str, Any] | None = None
    initial: dict[Place, DoorState] = {}
    happenings: list[Happening] = []
    for number, text in read_lines(path):
        where = f"{path}:{number}"
        try:
            line = _LINE.validate_json(text)
            if isinstance(line, _Header) is (plan is not None):
                raise ScriptError(f"{where}: the header belongs on the first line, once")
            match line:
                case _Header():
                    plan = line.plan
                case _Door():
                    place = (Thing.parse(line.thing), line.door)
                    initial[place] = DoorState(line.open, line.occupied, line.fault)
                case _:
                    happenings.append(_checked(line.happening(), initial, happenings, where))
        except ValidationError as error:
            raise ScriptError(f"{where}: {first_fault(error)}") from error
        except ValueError as error:
            raise ScriptError(f"{where}: {error}") from error
    if plan is None:
        raise ScriptError(f"{path}:1: empty file, no script was recorded")
    return plan, Script(initial, happenings)


def _checked(
    each: Happening,
    initial: Mapping[Place, DoorState],
    before: list[Happening],
    where: str,
) -> Happening:
    thing, door = each.action.place if isinstance(each, Move) else (each.thing, each.door)
    if (thing, door) not in initial:
        raise ScriptError(f"{where}: {thing}/{door} is not among the doors at the start")
    defect = _defect(each, initial)
    if defect is not None:
        raise ScriptError(f"{where}: {defect}")
    if before and each.due_s < before[-1].due_s:
        raise ScriptError(f"{where}: due at {each.due_s:g} s, after {before[-1].due_s:g} s")
    return each


def _defect(each: Happening, initial: Mapping[Place, DoorState]) -> str | None:
    """Say what is wrong with a fault that no schedule would have made."""
    if isinstance(each, Move):
        wrong = each.wire is not None and each.wire.fault not in ON_THE_WIRE
        return f"{each.wire} is no fault of the wire" if wrong else None
    if each.fault not in AT_LOCKERS:
        return f"{each.fault} is no fault at a locker"
    if each.fault is Fault.MALFORMED and each.reason not in MALFORMED:
        return f"reason: no publish of a device is parked as {each.reason}"
    if each.fault is Fault.IMPERSONATION and each.victim not in {thing for thing, _ in initial}:
        return f"victim: {each.victim} is not among the lockers"
    return None
