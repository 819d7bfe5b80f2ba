"""What goes wrong in a fleet, how often, and when: a pure, seeded schedule.

Two kinds. On the wire, a share of all events is published twice, after its successor, or late.
At a locker, faults come as a Poisson process of so many per locker and hour. Every time and
duration is in the scenario's seconds, which `--speed` compresses with everything else.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from heapq import merge
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipeline.contract import Thing
from pipeline.errors import PoisonReason
from simulators.courier import Place, Share

HOUR_S = 3_600.0
FLAPS = (3, 8)
FLAP_S = 5.0
FLOOD_EVENTS = (150, 300)
"""Even numbers of edges: the door ends as it was. Below the buffer's bound, so that a flood alone
drops nothing."""
MALFORMED = (
    PoisonReason.TOPIC_INVALID,
    PoisonReason.PAYLOAD_TOO_LARGE,
    PoisonReason.PAYLOAD_NOT_UTF8,
    PoisonReason.PAYLOAD_NOT_JSON,
    PoisonReason.SCHEMA_UNKNOWN,
    PoisonReason.FIELD_MISSING,
    PoisonReason.FIELD_TYPE,
    PoisonReason.VALUE_IMPOSSIBLE,
)
"""Every reason that a device can cause. The envelope is the rule's own, presence the broker's and a
stream's image the table's: no publish of a locker can spoil those."""

PerLockerHour = Annotated[float, Field(ge=0, le=3_600)]
Seconds = Annotated[float, Field(gt=0)]


class Fault(StrEnum):
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    CONNECTION_LOSS = "connection_loss"
    POWER_CUT = "power_cut"
    CLOCK_SKEW = "clock_skew"
    MALFORMED = "malformed"
    IMPERSONATION = "impersonation"
    SECOND_CONNECTION = "second_connection"
    FLAPPING = "flapping"
    STUCK_SENSOR = "stuck_sensor"


ON_THE_WIRE = (Fault.DUPLICATE, Fault.REORDER, Fault.DELAY)
AT_LOCKERS = tuple(fault for fault in Fault if fault not in ON_THE_WIRE)


class Faults(BaseModel):
    """Rates; all 0 is a fleet in which nothing goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate: Share = 0.0
    """Of all events, published twice."""
    reorder: Share = 0.0
    """Of all events, published after the locker's next one."""
    delay: Share = 0.0
    """Of all events, published late, by `delay_s` on average."""
    delay_s: Seconds = 30.0

    connection_loss: PerLockerHour = 0.0
    outage_s: Seconds = 120.0
    """Mean length of a connection loss."""
    power_cut: PerLockerHour = 0.0
    dark_s: Seconds = 60.0
    """Mean length of a power cut."""
    buffer_lost: Share = 0.5
    """Of all power cuts: the controller kept its buffer in memory only."""
    clock_skew: PerLockerHour = 0.0
    skew_s: Seconds = 900.0
    """The clock goes wrong by up to so much, either way."""
    malformed: PerLockerHour = 0.0
    impersonation: PerLockerHour = 0.0
    """Attempts to publish for another locker."""
    second_connection: PerLockerHour = 0.0
    """Another client with the same certificate and client id."""
    flapping: PerLockerHour = 0.0
    stuck_sensor: PerLockerHour = 0.0


NO_FAULTS = Faults()


@dataclass(frozen=True, slots=True)
class Wire:
    """What happens to one publish on its way."""

    fault: Fault
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault at a locker. Which of the details count follows from `fault`."""

    due_s: float
    fault: Fault
    thing: Thing
    door: str
    seconds: float = 0.0
    """How long it lasts; of a clock, how far it is off."""
    count: int = 0
    """Reconnects of a flapping socket, edges of a stuck sensor."""
    buffer_lost: bool = False
    reason: PoisonReason | None = None
    victim: Thing | None = None


def wire_faults(faults: Faults, seed: int) -> Iterator[Wire | None]:
    """What happens to each event in turn, for ever."""
    source = random.Random(f"{seed}/wire")
    while True:
        drawn, late_s = source.random(), source.expovariate(1 / faults.delay_s)
        if drawn < faults.duplicate:
            yield Wire(Fault.DUPLICATE)
        elif drawn < faults.duplicate + faults.reorder:
            yield Wire(Fault.REORDER)
        elif drawn < faults.duplicate + faults.reorder + faults.delay:
            yield Wire(Fault.DELAY, late_s)
        else:
            yield None


def injections(faults: Faults, places: Sequence[Place], seed: int) -> Iterator[Injection]:
    """All faults at lockers in the order in which they are due, for ever; none if all rates are 0.

    Each kind draws from a source of its own, so that changing one rate leaves the others' times.
    """
    things = list(dict.fromkeys(thing for thing, _ in places))
    streams = []
    for fault in AT_LOCKERS:
        per_s = getattr(faults, fault.value) * len(things) / HOUR_S
        alone = fault is Fault.IMPERSONATION and len(things) == 1
        if per_s > 0 and not alone:
            streams.append(_stream(fault, faults, places, things=things, per_s=per_s, seed=seed))
    return merge(*streams, key=lambda each: each.due_s)


def _stream(
    fault: Fault,
    faults: Faults,
    places: Sequence[Place],
    *,
    things: Sequence[Thing],
    per_s: float,
    seed: int,
) -> Iterator[Injection]:
    source = random.Random(f"{seed}/{fault}")
    due_s = 0.0
    for turn in itertools.count():
        due_s += source.expovariate(per_s)
        thing, door = source.choice(places)
        at = partial(Injection, due_s, fault, thing, door)
        match fault:
            case Fault.CONNECTION_LOSS:
                yield at(seconds=source.expovariate(1 / faults.outage_s))
            case Fault.POWER_CUT:
                dark_s = source.expovariate(1 / faults.dark_s)
                yield at(seconds=dark_s, buffer_lost=source.random() < faults.buffer_lost)
            case Fault.CLOCK_SKEW:
                yield at(seconds=source.uniform(-faults.skew_s, faults.skew_s))
            case Fault.MALFORMED:  # in turn, so that a short run has every reason
                yield at(reason=MALFORMED[turn % len(MALFORMED)])
            case Fault.IMPERSONATION:
                yield at(victim=source.choice([each for each in things if each != thing]))
            case Fault.FLAPPING:
                yield at(count=source.randint(*FLAPS), seconds=FLAP_S)
            case Fault.STUCK_SENSOR:
                yield at(count=source.randint(*FLOOD_EVENTS) // 2 * 2)
            case _:
                yield at()
