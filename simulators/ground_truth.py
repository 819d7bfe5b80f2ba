"""What the fleet did, as JSON Lines: the reference that `verify` holds the pipeline against.

The first line is a header with the run's parameters; then, in the order of happening,

    event      a controller made an event: its whole content
    settled    the device is done with it: acknowledged by the broker, refused, or dropped
    malformed  a device published what can never become a tile, and what the broker answered
    fault      something went wrong on purpose, from then on
    end        the run ended in order (a file without it was cut off, and is still readable)

An event without a `settled` line was still unacknowledged when the run ended: the broker may or may
not have it. Versions are 20-digit strings, as everywhere outside Python.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.contract import Kind, Thing, TileStatus, format_version, parse_version
from pipeline.errors import PoisonReason
from simulators.controller import Emission
from simulators.errors import GroundTruthError
from simulators.poison import Malformed

FORMAT = 1


class Outcome(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """The broker answered with a failure that a retry cannot cure."""
    DROPPED = "dropped"
    """The device's buffer was full; it may have reached the broker in an earlier attempt."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Version = Annotated[str, Field(pattern=r"^\d{20}$")]


class Run(_Record):
    """The header. `parameters` is whatever the run was started with, for people."""

    record: Literal["run"] = "run"
    format: Literal[1] = 1
    started_at_ms: int
    parameters: dict[str, Any]


class EventRecord(_Record):
    record: Literal["event"] = "event"
    thing: str
    door: str
    kind: str
    version: Version
    at: str
    open: bool
    occupied: bool
    fault: str | None
    status: str


class SettledRecord(_Record):
    """`attempts` counts publishes; above 1 the broker may hold duplicates."""

    record: Literal["settled"] = "settled"
    thing: str
    version: Version
    outcome: Annotated[Outcome, Field(strict=False)]
    attempts: int = Field(ge=0)
    latency_ms: float | None = None
    reason: str | None = None


class MalformedRecord(_Record):
    """`door` and `kind` are topic levels as published; `payload` is base64.

    `acknowledged` is None if the connection ended before an answer: it may have arrived or not.
    """

    record: Literal["malformed"] = "malformed"
    thing: str
    door: str
    kind: str
    reason: Annotated[PoisonReason, Field(strict=False)]
    payload: str
    acknowledged: bool | None


class FaultRecord(_Record):
    record: Literal["fault"] = "fault"
    at_ms: int
    fault: str
    thing: str
    door: str
    detail: str | None = None


class EndRecord(_Record):
    record: Literal["end"] = "end"
    ended_at_ms: int
    emitted: int
    acknowledged: int


AnyRecord = Run | EventRecord | SettledRecord | MalformedRecord | FaultRecord | EndRecord
_LINE: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="record")])


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One event as the device made it, and how it ended (None: unacknowledged at the end)."""

    thing: Thing
    door: str
    kind: Kind
    version: int
    at: str
    open: bool
    occupied: bool
    fault: str | None
    status: TileStatus
    outcome: Outcome | None = None
    attempts: int = 0
    latency_ms: float | None = None
    """From the last publish to the broker's acknowledgement."""


@dataclass(frozen=True, slots=True)
class TrueMalformed:
    """What must be found in quarantine, for that reason, once the broker has acknowledged it."""

    thing: Thing
    door: str
    reason: PoisonReason
    payload: bytes
    acknowledged: bool | None


@dataclass(slots=True)
class GroundTruth:
    """A whole run. `events` is keyed by thing and version."""

    run: Run
    events: dict[tuple[Thing, int], TrueEvent] = field(default_factory=dict)
    complete: bool = False
    """The file has its end record."""
    malformed: list[TrueMalformed] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    ended_at_ms: int | None = None

    @property
    def things(self) -> set[Thing]:
        return {thing for thing, _ in self.events}

    @property
    def buildings(self) -> set[str]:
        return {thing.building for thing in self.things}

    def count(self, outcome: Outcome | None) -> int:
        return sum(event.outcome is outcome for event in self.events.values())


class TruthWriter:
    """Appends records; `flush` is the caller's, on its own beat, as a write each event is not."""

    def __init__(self, file: IO[str], run: Run) -> None:
        self._file = file
        self._emitted = 0
        self._acknowledged = 0
        self._write(run)

    def event(self, emission: Emission) -> None:
        state = emission.state
        self._emitted += 1
        self._write_fields(
            {
                "record": "event",
                "thing": str(emission.thing),
                "door": emission.door,
                "kind": emission.kind.value,
                "version": format_version(emission.version),
                "at": emission.at,
                "open": state.open,
                "occupied": state.occupied,
                "fault": state.fault,
                "status": emission.status.value,
            }
        )

    def settled(
        self,
        emission: Emission,
        outcome: Outcome,
        *,
        attempts: int,
        latency_ms: float | None = None,
        reason: str | None = None,
    ) -> None:
        self._acknowledged += outcome is Outcome.ACKNOWLEDGED
        self._write_fields(
            {
                "record": "settled",
                "thing": str(emission.thing),
                "version": format_version(emission.version),
                "outcome": outcome.value,
                "attempts": attempts,
                "latency_ms": None if latency_ms is None else round(latency_ms, 2),
                "reason": reason,
            }
        )

    def malformed(self, publish: Malformed, *, acknowledged: bool | None) -> None:
        self._write(
            MalformedRecord(
                thing=str(publish.thing),
                door=publish.door,
                kind=publish.kind,
                reason=publish.reason,
                payload=base64.b64encode(publish.payload).decode(),
                acknowledged=acknowledged,
            )
        )

    def fault(self, at_ms: int, fault: str, thing: Thing, door: str, detail: str | None) -> None:
        self._write(
            FaultRecord(at_ms=at_ms, fault=fault, thing=str(thing), door=door, detail=detail)
        )

    def end(self, ended_at_ms: int) -> None:
        self._write(
            EndRecord(
                ended_at_ms=ended_at_ms, emitted=self._emitted, acknowledged=self._acknowledged
            )
        )
        self.flush()

    def flush(self) -> None:
        self._file.flush()

    def _write(self, record: _Record) -> None:
        self._write_fields(record.model_dump(mode="json"))

    def _write_fields(self, fields: dict[str, Any]) -> None:
        self._file.write(json.dumps(fields, separators=(",", ":")) + "\n")


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a run back.

    Raises
    ------
    GroundTruthError
        Naming file and line: not JSON, an unknown record, a missing or wrong field, a second
        header, an outcome for an event that is not there, an event twice.
    """
    truth: GroundTruth | None = None
    for number, record in read_records(path):
        where = f"{path}:{number}"
        if truth is None:
            if not isinstance(record, Run):
                raise GroundTruthError(f"{where}: the first line must be the run's header")
            truth = GroundTruth(record)
        else:
            _apply(truth, record, where)
    if truth is None:
        raise GroundTruthError(f"{path}:1: empty file, no run was recorded")
    return truth


def read_records(path: Path) -> Iterator[tuple[int, AnyRecord]]:
    for number, line in read_lines(path):
        try:
            yield number, _LINE.validate_json(line)
        except ValidationError as error:
            raise GroundTruthError(f"{path}:{number}: {first_fault(error)}") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, text) of a JSON Lines file; blank lines are passed over."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise GroundTruthError(f"{path}: cannot be read: {error}") from error


def first_fault(error: ValidationError) -> str:
    """One line: the field, what is wrong with it, the value."""
    fault = error.errors()[0]
    # Without the name of the union's member, which is no field of the file.
    field_name = ".".join(str(part) for part in fault["loc"][1:]) or "line"
    return f"{field_name}: {fault['msg']} (got {str(fault['input'])[:60]!r})"


def _apply(truth: GroundTruth, record: AnyRecord, where: str) -> None:
    match record:
        case Run():
            raise GroundTruthError(f"{where}: a second header; one file holds one run")
        case EventRecord():
            event = _event(record, where)
            key = (event.thing, event.version)
            if key in truth.events:
                raise GroundTruthError(f"{where}: {event.thing} has version {event.version} twice")
            truth.events[key] = event
        case SettledRecord():
            _settle(truth, record, where)
        case MalformedRecord():
            truth.malformed.append(_malformed(record, where))
        case FaultRecord():
            truth.faults[record.fault] += 1
        case EndRecord():
            truth.complete = True
            truth.ended_at_ms = record.ended_at_ms


def _event(record: EventRecord, where: str) -> TrueEvent:
    try:
        return TrueEvent(
            thing=Thing.parse(record.thing),
            door=record.door,
            kind=Kind(record.kind),
            version=parse_version(record.version),
            at=record.at,
            open=record.open,
            occupied=record.occupied,
            fault=record.fault,
            status=TileStatus(record.status),
        )
    except ValueError as error:
        raise GroundTruthError(f"{where}: {error}") from error


def _malformed(record: MalformedRecord, where: str) -> TrueMalformed:
    try:
        payload = base64.b64decode(record.payload, validate=True)
        thing = Thing.parse(record.thing)
    except ValueError as error:
        raise GroundTruthError(f"{where}: {error}") from error
    return TrueMalformed(thing, record.door, record.reason, payload, record.acknowledged)


def _settle(truth: GroundTruth, record: SettledRecord, where: str) -> None:
    key = (Thing.parse(record.thing), parse_version(record.version))
    event = truth.events.get(key)
    if event is None:
        raise GroundTruthError(
            f"{where}: {record.outcome.value} {record.thing} version {record.version}, "
            "but no such event came before"
        )
    truth.events[key] = replace(
        event, outcome=record.outcome, attempts=record.attempts, latency_ms=record.latency_ms
    )
