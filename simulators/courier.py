"""Couriers deliver and residents collect: the traffic, as a pure, seeded stream of actions.

Arrivals are a Poisson process at half the target rate of events, because a visit is two events:
`opened`, then `closed` some seconds later. They come whether or not the pipeline keeps up (open
loop). Whether a visit delivers or collects follows from how full the building is, so the picture
hovers around half full at any rate and the dwell time of a parcel is what Little's law makes it.
Who collects takes the parcel that has waited longest.

The same parameters and seed give the same actions, one for one.
"""

import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.contract import Thing
from simulators.controller import DoorState
from simulators.errors import FleetError

OPEN_MEDIAN_S = 6.0
"""A parcel is put in or taken out, at human speed."""
OPEN_SIGMA = 0.35
LEFT_OPEN_SHARE = 0.01
LEFT_OPEN_FACTOR = 8.0
"""A door left open is closed by whoever comes past next."""
MAX_OPEN_SHARE = 0.12
"""Of all doors at one time, on average: above it, dwell times are compressed."""

WARM_UP_VISITS = 20.0
"""Median visits that pass before the traffic starts: doors left open are among them by then."""

Place = tuple[Thing, str]


class Step(StrEnum):
    """What a person does at a door; one event each."""

    OPEN = "open"
    CLOSE_FILLED = "close_filled"
    CLOSE_EMPTIED = "close_emptied"


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """`due_s` counts from the start of the traffic."""

    due_s: float
    thing: Thing = field(compare=False)
    door: str = field(compare=False)
    step: Step = field(compare=False)


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
        Target of events per second over all doors.
    dwell_scale
        Factor on the seconds a door stands open; None takes `natural_dwell_scale`.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        rate: float,
        seed: int,
        duration_s: float,
        dwell_scale: float | None = None,
    ) -> None:
        if not places:
            raise FleetError("traffic needs at least one door")
        if rate <= 0:
            raise FleetError(f"rate must be above 0 events/s, not {rate}")
        scale = natural_dwell_scale(len(places), rate) if dwell_scale is None else dwell_scale
        if scale <= 0:
            raise FleetError(f"dwell scale must be above 0, not {scale}")
        self._random = random.Random(seed)
        self._rate = rate
        self._duration_s = duration_s
        self._scale = scale
        order = list(places)
        self._random.shuffle(order)
        half = len(order) // 2
        # Insertion order is the order of waiting: the first key has waited longest.
        self._occupied: OrderedDict[Place, None] = OrderedDict.fromkeys(order[:half])
        self._vacant: list[Place] = order[half:]
        self._closings: list[Action] = []
        self.skipped = 0
        actions = self._walk(-WARM_UP_VISITS * OPEN_MEDIAN_S * scale)
        self._first = next(action for action in actions if action.due_s >= 0)
        self._rest = actions
        self.skipped = 0  # those of the warm-up do not count
        """Visits that found every door open: the rate asks for more doors."""
        self.initial = self._picture()
        """How each door stands when the traffic starts."""

    def __iter__(self) -> Iterator[Action]:
        for action in itertools.chain([self._first], self._rest):
            if action.due_s >= self._duration_s:
                return
            yield action

    def _walk(self, start_s: float) -> Iterator[Action]:
        """Arrivals and the closings they lead to, for ever."""
        now = start_s
        while True:
            now += self._random.expovariate(self._rate / 2)
            while self._closings and self._closings[0].due_s <= now:
                yield self._finish(heapq.heappop(self._closings))
            closing = self._visit(now)
            if closing is None:
                self.skipped += 1
            else:
                heapq.heappush(self._closings, closing)
                yield Action(now, closing.thing, closing.door, Step.OPEN)

    def _picture(self) -> dict[Place, DoorState]:
        """Return the doors just before the first action."""
        states = {place: DoorState(occupied=True) for place in self._occupied}
        states.update({place: DoorState() for place in self._vacant})
        for closing in self._closings:
            filled = closing.step is Step.CLOSE_EMPTIED
            states[closing.thing, closing.door] = DoorState(open=True, occupied=filled)
        first = (self._first.thing, self._first.door)
        match self._first.step:  # has been taken already, and has yet to be seen
            case Step.OPEN:
                states[first] = replace(states[first], open=False)
            case Step.CLOSE_FILLED:
                states[first] = DoorState(open=True)
            case Step.CLOSE_EMPTIED:
                states[first] = DoorState(open=True, occupied=True)
        return states

    def _visit(self, now: float) -> Action | None:
        """Take a door out of the idle ones and say how and when the visit will end."""
        idle = len(self._vacant) + len(self._occupied)
        if not idle:
            return None
        # Drawn in proportion, deliveries find the vacant share of the doors: self-balancing.
        delivers = self._random.random() * idle < len(self._vacant)
        if delivers:
            chosen = self._random.randrange(len(self._vacant))
            self._vacant[chosen], self._vacant[-1] = self._vacant[-1], self._vacant[chosen]
            place, step = self._vacant.pop(), Step.CLOSE_FILLED
        else:
            (place, _), step = self._occupied.popitem(last=False), Step.CLOSE_EMPTIED
        return Action(now + self._open_s(), *place, step)

    def _finish(self, closing: Action) -> Action:
        place = (closing.thing, closing.door)
        if closing.step is Step.CLOSE_FILLED:
            self._occupied[place] = None
        else:
            self._vacant.append(place)
        return closing

    def _open_s(self) -> float:
        seconds = OPEN_MEDIAN_S * self._random.lognormvariate(0, OPEN_SIGMA) * self._scale
        if self._random.random() < LEFT_OPEN_SHARE:
            seconds *= LEFT_OPEN_FACTOR
        return seconds
