"""How bad it gets: the faults of the fleet, their rates in the stack, and what fails as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import merge

from local.faults.plan import Fault, Rule
from simulators.faults import MALFORMED, Faults, Injection
from simulators.faults import Fault as FleetFault
from simulators.plan import FleetPlan
from simulators.script import Happening, Move, Script


class Incident(StrEnum):
    """What a round does to whole parts of the stack, one after the other."""

    DYNAMODB_DOWN = "dynamodb_down"
    PIPE_STOPPED = "pipe_stopped"
    APPSYNC_DOWN = "appsync_down"
    STREAM_POISONED = "stream_poisoned"
    EVENTS_DOWN = "events_down"
    STACK_RESTARTED = "stack_restarted"


@dataclass(frozen=True)
class Weather:
    """Seconds by the clock.

    `visibility_s` replaces the visibility timeouts of the two queues on the path (60 and 120 s), so
    that a retry does not take minutes. Poison comes in bursts of one malformed publish at each of
    `burst` lockers, every `burst_every_s`.
    """

    rules: dict[Fault, Rule]
    fleet: Faults
    visibility_s: int
    first_incident_s: float
    between_incidents_s: float
    lasts_s: dict[Incident, float]
    burst: int
    burst_every_s: float
    rounds_of_incidents: int | None = None
    """How often each incident happens; None: until the traffic is over."""


FLEET = Faults(
    duplicate=0.05,
    reorder=0.05,
    delay=0.03,
    delay_s=4,
    connection_loss=4,
    outage_s=8,
    power_cut=2,
    dark_s=8,
    buffer_lost=0.3,
    malformed=12,
    impersonation=1,
    second_connection=1,
    flapping=0.5,
)


def storm(intensity: float = 1.0) -> Weather:
    """Return the weather of a soak: about one fault for every ten events at intensity 1."""
    chances = {
        Fault.PROJECTOR_KILLED_BEFORE_HISTORY: 0.003,
        Fault.PROJECTOR_KILLED_AFTER_HISTORY: 0.003,
        Fault.PROJECTOR_KILLED_BEFORE_TILE: 0.0006,
        Fault.PROJECTOR_KILLED_AFTER_TILE: 0.0006,
        Fault.PROJECTOR_KILLED_AFTER_PARKING: 0.04,
        Fault.FANOUT_KILLED_BEFORE_PUBLISH: 0.006,
        Fault.FANOUT_KILLED_AFTER_PUBLISH: 0.006,
        Fault.PIPE_KILLED_AFTER_PUT: 0.001,
        Fault.WRITE_THROTTLED: 0.01,
        Fault.BATCH_THROTTLED: 0.02,
        Fault.BATCH_UNPROCESSED: 0.03,
        Fault.WRITE_FAILED: 0.004,
        Fault.WRITE_DONE_BUT_FAILED: 0.005,
        Fault.WRITE_ANSWER_LATE: 0.0005,
        Fault.PRESENCE_RACE_LOST: 0.1,
        Fault.PARKING_REFUSED: 0.1,
        Fault.PARKING_FAILED: 0.05,
        Fault.PUT_EVENTS_PARTIAL: 0.02,
        Fault.PUT_EVENTS_FAILED: 0.005,
        Fault.APPSYNC_FAILED: 0.04,
        Fault.APPSYNC_ALIAS_ERRORS: 0.06,
        Fault.APPSYNC_ANSWER_LATE: 0.003,
        Fault.MESSAGE_REDELIVERED: 0.01,
        Fault.VISIBILITY_EXPIRED: 0.01,
    }
    return Weather(
        rules={
            fault: Rule(chance=min(0.5, chance * intensity)) for fault, chance in chances.items()
        },
        fleet=FLEET,
        visibility_s=5,
        first_incident_s=20,
        between_incidents_s=20,
        lasts_s={
            # Longer than five receives of one message take, so that some end as dead letters.
            Incident.DYNAMODB_DOWN: 30,
            Incident.PIPE_STOPPED: 10,
            Incident.APPSYNC_DOWN: 60,
            Incident.EVENTS_DOWN: 20,
        },
        burst=16,
        burst_every_s=60,
    )


def squall() -> Weather:
    """Return the weather of the short form: every fault and incident at least once, soon over."""
    often, once = Rule(chance=0.15, limit=2), Rule(chance=1, limit=1)
    rare = {
        Fault.PROJECTOR_KILLED_AFTER_PARKING,
        Fault.PARKING_REFUSED,
        Fault.PARKING_FAILED,
        Fault.PRESENCE_RACE_LOST,
        Fault.FANOUT_KILLED_BEFORE_PUBLISH,
        Fault.FANOUT_KILLED_AFTER_PUBLISH,
        Fault.APPSYNC_FAILED,
        Fault.APPSYNC_ALIAS_ERRORS,
        Fault.APPSYNC_ANSWER_LATE,
    }
    dear = {
        fault for fault in Fault if "killed" in fault.value or fault.value.endswith("late")
    } - rare
    chosen = [fault for fault in Fault if not fault.value.endswith("_down")]
    return Weather(
        rules={
            fault: once if fault in rare else Rule(chance=0.15, limit=1) if fault in dear else often
            for fault in chosen
        },
        fleet=FLEET.model_copy(
            update={"connection_loss": 60, "outage_s": 2, "power_cut": 30, "dark_s": 2}
        ),
        visibility_s=2,
        first_incident_s=2,
        between_incidents_s=0.5,
        lasts_s={
            Incident.DYNAMODB_DOWN: 9,
            Incident.PIPE_STOPPED: 1,
            Incident.APPSYNC_DOWN: 3,
            Incident.EVENTS_DOWN: 3,
        },
        burst=8,
        burst_every_s=6,
        rounds_of_incidents=1,
    )


def script_with_bursts(plan: FleetPlan, weather: Weather) -> Script:
    """Return what the plan generates, and the bursts of poison in it."""
    script = plan.script()
    places = list(plan.places)
    bursts = []
    due_s, turn = weather.burst_every_s / 2, 0
    while due_s < plan.duration_s:
        for _ in range(weather.burst):
            thing, door = places[turn % len(places)]
            reason = MALFORMED[turn % len(MALFORMED)]
            bursts.append(Injection(due_s, FleetFault.MALFORMED, thing, door, reason=reason))
            turn += plan.doors + 1
        due_s += weather.burst_every_s
    happenings = merge(script, bursts, key=lambda each: each.due_s)
    return Script(script.initial, happenings, script.traffic)


def stretched(script: Script, factor: Callable[[], float]) -> Script:
    """Return the same script, each step so many times longer after the one before it."""

    def steps() -> Iterator[Happening]:
        last_s = now_s = 0.0
        for each in script:
            now_s += (each.due_s - last_s) * factor()
            last_s = each.due_s
            if isinstance(each, Move):
                yield replace(each, action=replace(each.action, due_s=now_s))
            else:
                yield replace(each, due_s=now_s)

    return Script(script.initial, steps(), script.traffic)
