"""Which faults there are, and which are wanted now.

A plan is a file in the stack's state directory, written by a test and read by the processes that
make the faults happen; they answer with a report. Both are JSON, replaced as a whole.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.errors import LocalStackError

PLAN = "plan.json"
REPORT = "report.json"
M = TypeVar("M", bound="_Model")


class Fault(StrEnum):
    """A kind of fault; `docs/reliability.md` says how each is made and what AWS does alike."""

    PROJECTOR_KILLED_BEFORE_HISTORY = "projector_killed_before_history"
    PROJECTOR_KILLED_AFTER_HISTORY = "projector_killed_after_history"
    PROJECTOR_KILLED_BEFORE_TILE = "projector_killed_before_tile"
    PROJECTOR_KILLED_AFTER_TILE = "projector_killed_after_tile"
    PROJECTOR_KILLED_AFTER_PARKING = "projector_killed_after_parking"
    FANOUT_KILLED_BEFORE_PUBLISH = "fanout_killed_before_publish"
    FANOUT_KILLED_AFTER_PUBLISH = "fanout_killed_after_publish"
    PIPE_KILLED_AFTER_PUT = "pipe_killed_after_put"
    WRITE_THROTTLED = "write_throttled"
    BATCH_THROTTLED = "batch_throttled"
    BATCH_UNPROCESSED = "batch_unprocessed"
    WRITE_FAILED = "write_failed"
    WRITE_DONE_BUT_FAILED = "write_done_but_failed"
    WRITE_ANSWER_LATE = "write_answer_late"
    PRESENCE_RACE_LOST = "presence_race_lost"
    PARKING_REFUSED = "parking_refused"
    PARKING_FAILED = "parking_failed"
    PUT_EVENTS_PARTIAL = "put_events_partial"
    PUT_EVENTS_FAILED = "put_events_failed"
    APPSYNC_FAILED = "appsync_failed"
    APPSYNC_ALIAS_ERRORS = "appsync_alias_errors"
    APPSYNC_ANSWER_LATE = "appsync_answer_late"
    MESSAGE_REDELIVERED = "message_redelivered"
    VISIBILITY_EXPIRED = "visibility_expired"
    # Of a whole service, for as long as the plan says so.
    DYNAMODB_DOWN = "dynamodb_down"
    EVENTS_DOWN = "events_down"


class Part(StrEnum):
    """What can be down as a whole."""

    DYNAMODB = "dynamodb"
    EVENTS = "events"
    APPSYNC = "appsync"


DOWN = {Part.DYNAMODB: Fault.DYNAMODB_DOWN, Part.EVENTS: Fault.EVENTS_DOWN}
"""AppSync that is down turns everybody away at the gateway, and is not counted by calls."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Model):
    """How often a fault happens. `limit`: at most so many, over all plans; None for any number."""

    chance: float = Field(ge=0, le=1)
    limit: int | None = Field(default=None, ge=0)


class Plan(_Model):
    """What is wanted now.

    `generation` grows with each plan. `restarts` counts how often the gateway, the stream mapping
    and all function processes have been asked to start anew. Seconds are those that a late answer
    takes.
    """

    generation: int = 0
    phase: str = "delivered again"
    """How what is mended meanwhile was mended, if neither the SDK nor the function did."""
    rules: Mapping[Fault, Rule] = {}
    down: frozenset[Part] = frozenset()
    restarts: int = 0
    write_late_s: float = 4.0
    appsync_late_s: float = 6.5
    seed: int = 1


class Report(_Model):
    """What the injector has done; `generation` is that of the plan it follows."""

    generation: int = 0
    injected: Mapping[Fault, int] = {}
    outcomes: Mapping[Fault, Mapping[str, int]] = {}
    """Fault to how it was mended to how often."""
    open: Mapping[Fault, int] = {}
    """Not mended yet."""
    calls: Mapping[str, int] = {}
    """Calls of the functions that passed the injector, by operation."""


class Dice:
    """Decides for each opportunity which fault happens, if any."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def throw(
        self, plan: Plan, candidates: Iterable[Fault], injected: Mapping[Fault, int]
    ) -> Fault | None:
        """One throw over all candidates, so that their chances add up, whatever their order."""
        drawn = self._random.random()
        for fault in candidates:
            rule = plan.rules.get(fault)
            if rule is None or (rule.limit is not None and injected.get(fault, 0) >= rule.limit):
                continue
            if drawn < rule.chance:
                return fault
            drawn -= rule.chance
        return None

    def some(self, count: int) -> set[int]:
        """Indices of some of so many things, at least one."""
        return set(self._random.sample(range(count), self._random.randint(1, count)))

    def either(self, *values: Any) -> Any:
        return self._random.choice(values)


def write(path: Path, content: _Model) -> None:
    """Replace a file as a whole; only its owner may read it."""
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content.model_dump_json())
    draft.replace(path)


def read_plan(folder: Path) -> Plan:
    """Return the plan there is; an empty one if there is none.

    Raises
    ------
    LocalStackError
        Names the file and what is wrong with it.
    """
    return _read(folder / PLAN, Plan)


def read_report(folder: Path) -> Report:
    """Return the report there is; an empty one if there is none; raise as `read_plan` does."""
    return _read(folder / REPORT, Report)


def _read(path: Path, model: type[M]) -> M:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return model()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise LocalStackError(f"{path}: {where}: {first['msg']}") from error
