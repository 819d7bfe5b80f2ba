"""Couriers deliver and residents collect: the traffic, as a pure, seeded stream of actions.

Arrivals are a Poisson process whose rate follows a curve (`profile`); a visit is two events,
`opened`, then `closed` some seconds later, and now and then some more. They come whether or not
the pipeline keeps up (open loop). Whether a visit delivers or collects follows from how full the
building is, so the picture hovers around half full at any rate and the dwell time of a parcel is
what Little's law makes it. Who collects takes the parcel that has waited longest.

The same parameters and seed give the same actions, one for one.
"""

import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipeline.contract import Thing
from simulators.controller import DoorState
from simulators.errors import FleetError
from simulators.profile import FLAT, Curve, arrivals

OPEN_MEDIAN_S = 6.0
"""A parcel is put in or taken out, at human speed."""
OPEN_SIGMA = 0.35
LEFT_OPEN_FACTOR = 8.0
"""A door left open is closed by whoever comes past next."""
REPAIR_MEDIAN_S = 240.0
"""A jammed door is opened and shut again until the bolt catches, or a caretaker comes."""
REPAIR_SIGMA = 0.6
BOUNCES = 2
"""Times that a bouncing contact lets go and makes again."""
BOUNCE_SHARE = 0.05
"""A contact bounces within this share of the time that the door stands open."""
MAX_OPEN_SHARE = 0.12
"""Of all doors at one time, on average: above it, dwell times are compressed."""

WARM_UP_VISITS = 20.0
"""Median visits that pass before the traffic starts: doors left open are among them by then."""

JAMMED = "jammed"

Place = tuple[Thing, str]
Share = Annotated[float, Field(ge=0, le=1)]


class Behaviour(BaseModel):
    """What people and doors do now and then, each as a share of all visits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left_open: Share = 0.01
    forced: Share = 0.0
    """Somebody breaks a door open, and takes what is in it."""
    jammed: Share = 0.0
    """The lock does not catch; the door closes only after a repair."""
    bounce: Share = 0.0
    """The door's contact bounces when it opens."""

    @property
    def events_per_visit(self) -> float:
        """On average: opened and closed, faulted and cleared, and the bounces."""
        return 2 + 2 * self.jammed + 2 * BOUNCES * self.bounce * (1 - self.forced)


ORDINARY = Behaviour()


class Step(StrEnum):
    """What happens at a door; one event each."""

    OPEN = "open"
    FORCE = "force"
    CLOSE = "close"
    """With the same in it as before: the contact bounced, or an empty door was forced."""
    CLOSE_FILLED = "close_filled"
    CLOSE_EMPTIED = "close_emptied"
    JAM = "jam"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """`due_s` counts from the start of the traffic."""

    due_s: float
    thing: Thing = field(compare=False)
    door: str = field(compare=False)
    step: Step = field(compare=False)

    @property
    def place(self) -> Place:
        return self.thing, self.door


def after(state: DoorState, step: Step) -> DoorState:
    """Return how the door stands when the step is done."""
    match step:
        case Step.OPEN | Step.FORCE:
            return replace(state, open=True)
        case Step.CLOSE:
            return replace(state, open=False)
        case Step.CLOSE_FILLED:
            return replace(state, open=False, occupied=True)
        case Step.CLOSE_EMPTIED:
            return replace(state, open=False, occupied=False)
        case Step.JAM:
            return replace(state, fault=JAMMED)
        case Step.CLEAR:
            return replace(state, fault=None)


def natural_dwell_scale(doors: int, rate: float) -> float:
    """Return the factor on human times at which at most MAX_OPEN_SHARE of the doors stand open.

    By Little's law rate / 2 visits/s of OPEN_MEDIAN_S keep that product of doors open; 50 events/s
    over 800 doors is a city's day squeezed into minutes, so people have to hurry as well.
    """
    return min(1.0, MAX_OPEN_SHARE * doors / (rate / 2 * OPEN_MEDIAN_S))


class Traffic:
    """Iterate, once, for the actions of `duration_s` seconds, in the order in which they are due.

    The process has been going on for a while when the traffic starts, so that the rate is the
    target from the first second: some doors are open then, and about half hold a parcel.

    Parameters
    ----------
    places
        Every door that may be used.
    rate
        Target of events per second over all doors: the mean over a period of the curve.
    dwell_scale
        Factor on the seconds a door stands open; None takes `natural_dwell_scale` at the peak.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        rate: float,
        seed: int,
        duration_s: float,
        dwell_scale: float | None = None,
        curve: Curve = FLAT,
        behaviour: Behaviour = ORDINARY,
    ) -> None:
        if not places:
            raise FleetError("traffic needs at least one door")
        if rate <= 0:
            raise FleetError(f"rate must be above 0 events/s, not {rate}")
        peak = rate * curve.peak
        scale = natural_dwell_scale(len(places), peak) if dwell_scale is None else dwell_scale
        if scale <= 0:
            raise FleetError(f"dwell scale must be above 0, not {scale}")
        self._random = random.Random(seed)
        self._behaviour = behaviour
        self._duration_s = duration_s
        self._scale = scale
        order = list(places)
        self._random.shuffle(order)
        half = len(order) // 2
        # Insertion order is the order of waiting: the first key has waited longest.
        self._occupied: OrderedDict[Place, None] = OrderedDict.fromkeys(order[:half])
        self._vacant: list[Place] = order[half:]
        self._pending: list[Action] = []
        self.skipped = 0
        """Visits that found every door in use: the rate asks for more doors."""
        self.initial = {place: DoorState(occupied=place in self._occupied) for place in order}
        """How each door stands when the traffic starts."""
        visits = arrivals(
            self._random,
            curve,
            rate / self._behaviour.events_per_visit,
            -WARM_UP_VISITS * OPEN_MEDIAN_S * scale,
        )
        self._actions = self._walk(visits)
        self._first = next(action for action in self._actions if self._is_first(action))
        self.skipped = 0  # those of the warm-up do not count

    def __iter__(self) -> Iterator[Action]:
        for action in itertools.chain([self._first], self._actions):
            if action.due_s >= self._duration_s:
                return
            yield action

    def _is_first(self, action: Action) -> bool:
        """Tell whether the traffic starts with it; what comes before makes the initial picture."""
        if action.due_s < 0:
            self.initial[action.place] = after(self.initial[action.place], action.step)
        return action.due_s >= 0

    def _walk(self, visits: Iterator[float]) -> Iterator[Action]:
        """Arrivals and what each of them leads to, in order, for ever."""
        for now in visits:
            while self._pending and self._pending[0].due_s <= now:
                yield self._finish(heapq.heappop(self._pending))
            actions = self._visit(now)
            if not actions:
                self.skipped += 1
                continue
            for later in actions[1:]:
                heapq.heappush(self._pending, later)
            yield actions[0]

    def _visit(self, now: float) -> list[Action]:
        """Take a door out of the idle ones; return all that will happen there, in order."""
        idle = len(self._vacant) + len(self._occupied)
        if not idle:
            return []
        forced = self._chance(self._behaviour.forced)
        # Drawn in proportion, deliveries find the vacant share of the doors: self-balancing.
        if self._random.random() * idle < len(self._vacant):
            chosen = self._random.randrange(len(self._vacant))
            self._vacant[chosen], self._vacant[-1] = self._vacant[-1], self._vacant[chosen]
            place, last = self._vacant.pop(), Step.CLOSE if forced else Step.CLOSE_FILLED
        else:
            (place, _), last = self._occupied.popitem(last=False), Step.CLOSE_EMPTIED
        open_s = self._open_s()
        steps = [(now, Step.FORCE if forced else Step.OPEN)]
        if not forced and self._chance(self._behaviour.bounce):
            gap = open_s * BOUNCE_SHARE / (2 * BOUNCES)
            for n in range(BOUNCES):
                steps.append((now + (2 * n + 1) * gap, Step.CLOSE))
                steps.append((now + (2 * n + 2) * gap, Step.OPEN))
        closed = now + open_s
        if self._chance(self._behaviour.jammed):
            steps.append((closed, Step.JAM))
            repair = self._random.lognormvariate(0, REPAIR_SIGMA)
            closed += REPAIR_MEDIAN_S * repair * self._scale
            steps.append((closed, Step.CLEAR))
            closed += open_s * BOUNCE_SHARE
        steps.append((closed, last))
        return [Action(due_s, *place, step) for due_s, step in steps]

    def _finish(self, action: Action) -> Action:
        """Give the door back when its visit is over; a bounce is not the end of one."""
        match action.step:
            case Step.CLOSE_FILLED:
                self._occupied[action.place] = None
            case Step.CLOSE_EMPTIED:
                self._vacant.append(action.place)
            case Step.CLOSE if not self._in_use(action.place):
                self._vacant.append(action.place)
        return action

    def _in_use(self, place: Place) -> bool:
        return any(later.place == place for later in self._pending)

    def _chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _open_s(self) -> float:
        seconds = OPEN_MEDIAN_S * self._random.lognormvariate(0, OPEN_SIGMA) * self._scale
        if self._random.random() < self._behaviour.left_open:
            seconds *= LEFT_OPEN_FACTOR
        return seconds
