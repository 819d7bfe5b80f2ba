"""Takes parts of a running stack down, and brings them back."""

import asyncio
from collections import Counter

from local.faults.plan import Part
from local.faults.switch import FaultSwitch
from pipeline.items import TILE, building_pk
from simulators.target import Target
from tests.chaos.weather import Incident, Weather

ANNEX = "chaos-annex"
"""A building without lockers: whatever is written for it disturbs nobody's picture."""
DOWN = {
    Incident.DYNAMODB_DOWN: Part.DYNAMODB,
    Incident.EVENTS_DOWN: Part.EVENTS,
    Incident.APPSYNC_DOWN: Part.APPSYNC,
}


class Incidents:
    """`run` goes round them until it is cancelled, and leaves nothing down.

    Parameters
    ----------
    first
        Which of them begins, so that short rounds do not all have the same ones.
    """

    def __init__(
        self, target: Target, switch: FaultSwitch, weather: Weather, *, first: int
    ) -> None:
        self.done: Counter[Incident] = Counter()
        self.poisoned: set[str] = set()
        """Sort keys of the stream records that nobody can read."""
        self._target = target
        self._switch = switch
        self._weather = weather
        every = list(Incident)
        first %= len(every)
        self._order = every[first:] + every[:first]
        self._pipes = target.client("pipes")
        self._dynamodb = target.client("dynamodb")

    async def run(self) -> None:
        weather = self._weather
        await asyncio.sleep(weather.first_incident_s)
        rounds = 0
        while weather.rounds_of_incidents is None or rounds < weather.rounds_of_incidents:
            for incident in self._order:
                await self._happen(incident)
                self.done[incident] += 1
                await asyncio.sleep(weather.between_incidents_s)
            rounds += 1

    async def _happen(self, incident: Incident) -> None:
        lasts_s = self._weather.lasts_s.get(incident, 0)
        match incident:
            case Incident.PIPE_STOPPED:
                names = [each["Name"] for each in self._pipes.list_pipes()["Pipes"]]
                try:
                    for name in names:
                        await asyncio.to_thread(self._pipes.stop_pipe, Name=name)
                    await asyncio.sleep(lasts_s)
                finally:
                    for name in names:
                        self._pipes.start_pipe(Name=name)
            case Incident.STREAM_POISONED:
                await asyncio.to_thread(self._poison_stream)
            case Incident.STACK_RESTARTED:
                await asyncio.to_thread(self._switch.restart)
            case _:
                try:
                    await asyncio.to_thread(self._switch.set, down={DOWN[incident]})
                    await asyncio.sleep(lasts_s)
                finally:
                    self._switch.set(down=set())

    def _poison_stream(self) -> None:
        """Write a tile by hand as no projector would: without most of its attributes."""
        sort_key = f"{TILE}#l01#p{len(self.poisoned):04d}"
        self._dynamodb.put_item(
            TableName=self._target.table,
            Item={
                "pk": {"S": building_pk(ANNEX)},
                "sk": {"S": sort_key},
                "entity": {"S": TILE},
                "building": {"S": ANNEX},
            },
        )
        self.poisoned.add(sort_key)
