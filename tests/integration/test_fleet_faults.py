"""Faults on real connections: each happens, is written down, and loses nothing by itself."""

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import DoorEvent, Kind, Thing, parse_envelope
from pipeline.errors import Poison
from simulators.controller import DoorState
from simulators.courier import Action, Step
from simulators.faults import MALFORMED, Fault, Injection, Wire
from simulators.fleet import Fleet, FleetPlan
from simulators.ground_truth import GroundTruth, Outcome, Run, TruthWriter, read_ground_truth
from simulators.provisioning import Credentials, Provisioner
from simulators.script import Happening, Move, Script
from tests.support.fleet_broker import Broker, start_broker

pytestmark = pytest.mark.integration

PUBLISH_BURST = 40
"""The broker stamps what has waited in a socket together."""
PLAN = FleetPlan(lockers=2, buildings=1, doors=2, duration_s=3.0, speed=10.0)
FIRST, SECOND = PLAN.things


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def keys(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> list[Credentials]:
    folder = tmp_path_factory.mktemp("fleet") / "keys"
    return Provisioner(broker.target, folder).provision(PLAN.things)


@dataclass
class Running:
    """A fleet that has connected, its happenings still to come; and all that came of it."""

    fleet: Fleet
    broker: Broker
    path: Path

    async def play(self) -> tuple[GroundTruth, list[dict[str, Any]]]:
        """Run to the end; return the truth and what came out of the rule."""
        await self.fleet.run()
        assert await self.fleet.drain(20) == 0
        await self.fleet.stop()
        return read_ground_truth(self.path), self.broker.messages()


@pytest.fixture
def fleet_of(broker: Broker, keys: list[Credentials], tmp_path: Path) -> Any:
    """A connected fleet that will play what the test says; its first reports are out."""

    @asynccontextmanager
    async def start(*happenings: Happening) -> AsyncIterator[Running]:
        path = tmp_path / "truth.jsonl"
        initial = {place: DoorState() for place in PLAN.places}
        with path.open("w") as file:
            fleet = Fleet(
                broker.target,
                PLAN,
                keys,
                TruthWriter(file, Run(started_at_ms=0, parameters={})),
                script=Script(initial, happenings),
                reconnect_ms=(50, 200),
            )
            await fleet.connect(stalled_s=10)
            assert await fleet.drain() == 0
            broker.messages()
            try:
                yield Running(fleet, broker, path)
            finally:
                await fleet.stop()

    return start


def visit(start_s: float, wire: Wire | None = None, thing: Thing = FIRST) -> list[Move]:
    """A delivery: two events."""
    return [
        Move(Action(start_s, thing, "d01", Step.OPEN), wire),
        Move(Action(start_s + 1, thing, "d01", Step.CLOSE_FILLED)),
    ]


def fault(kind: Fault, due_s: float = 0.0, **details: Any) -> Injection:
    return Injection(due_s, kind, FIRST, "d01", **details)


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    return [json.loads(base64.b64decode(each["payload"]))["seq"] for each in messages]


def all_there(truth: GroundTruth, messages: list[dict[str, Any]]) -> bool:
    """Every acknowledged event of the truth came out of the rule, the first reports aside."""
    arrived = {
        (event.thing, event.version)
        for event in map(parse_envelope, map(json.dumps, messages))
        if isinstance(event, DoorEvent)
    }
    events = [each for each in truth.events.values() if each.outcome is Outcome.ACKNOWLEDGED]
    first = {key for key, each in truth.events.items() if key[1] % 2**32 <= PLAN.doors}
    return {(each.thing, each.version) for each in events} - first <= arrived


async def test_a_duplicate_arrives_twice_and_counts_once(fleet_of: Any) -> None:
    """One event in the truth, two messages behind the rule."""
    async with fleet_of(*visit(0, Wire(Fault.DUPLICATE))) as running:
        truth, messages = await running.play()
        assert sorted(seqs(messages)) == [3, 3, 4]
        assert len(truth.events) == len(PLAN.places) + 2
        assert running.fleet.faults == {Fault.DUPLICATE: 1}


async def test_reordering_swaps_an_event_with_the_next(fleet_of: Any) -> None:
    """The close is published first, and both are acknowledged."""
    async with fleet_of(*visit(0, Wire(Fault.REORDER))) as running:
        _, messages = await running.play()
        assert seqs(sorted(messages, key=lambda each: each["received_at"])) == [4, 3]


async def test_a_delayed_event_comes_after_what_happened_since(fleet_of: Any) -> None:
    """It keeps its number, so that a merge by version puts it where it belongs."""
    async with fleet_of(*visit(0, Wire(Fault.DELAY, 15.0)), *visit(2)) as running:
        _, messages = await running.play()
        ordered = seqs(sorted(messages, key=lambda each: each["received_at"]))
        assert sorted(ordered) == [3, 4, 5, 6]
        assert ordered[-1] == 3


async def test_a_delay_does_not_outlive_the_run(fleet_of: Any) -> None:
    """Draining lets go of whatever the wire still holds."""
    async with fleet_of(*visit(0, Wire(Fault.DELAY, 36_000.0))) as running:
        truth, messages = await running.play()
        assert sorted(seqs(messages)) == [3, 4]
        assert truth.count(None) == 0


async def test_an_outage_is_bridged_by_the_buffer(fleet_of: Any) -> None:
    """What happens offline is published after the reconnect, with a report of every door."""
    outage = fault(Fault.CONNECTION_LOSS, seconds=10.0)
    async with fleet_of(outage, *visit(5)) as running:
        truth, messages = await running.play()
        kinds = Counter(each["kind"] for each in messages)
        assert kinds == {"opened": 1, "closed": 1, "reported": PLAN.doors}
        assert truth.faults == {"connection_loss": 1}
        assert all_there(truth, messages)


@pytest.mark.parametrize("buffer_lost", [False, True])
async def test_a_power_cut_reboots_with_or_without_the_buffer(
    fleet_of: Any, keys: list[Credentials], buffer_lost: bool
) -> None:
    """The boot counter grows and is kept; a lost buffer is told as dropped, a kept one is sent."""
    dark = fault(Fault.POWER_CUT, 5.0, seconds=10.0, buffer_lost=buffer_lost)
    offline = fault(Fault.CONNECTION_LOSS, seconds=100.0)
    async with fleet_of(offline, *visit(3), dark, *visit(7)) as running:
        before = running.fleet.devices[FIRST].controller.boot
        truth, messages = await running.play()
        boots = {json.loads(base64.b64decode(each["payload"]))["boot"] for each in messages}
        after = max(boots)
        assert after > before
        kept = next(each for each in keys if each.thing == FIRST)
        assert int(kept.boot_file.read_text()) == after
        assert truth.count(Outcome.DROPPED) == (2 if buffer_lost else 0)
        kinds = Counter(each["kind"] for each in messages)
        # The second visit finds a door that does not open.
        assert kinds["opened"] == kinds["closed"] == (0 if buffer_lost else 1)
        assert kinds["reported"] == PLAN.doors
        assert all_there(truth, messages)


async def test_a_wrong_clock_shows_in_the_time_and_nowhere_else(fleet_of: Any) -> None:
    """`at` is an hour off; the locker is known not to be good for latency."""
    skew = fault(Fault.CLOCK_SKEW, seconds=3_600.0)
    async with fleet_of(skew, *visit(5), *visit(5, thing=SECOND)) as running:
        truth, messages = await running.play()
        assert running.fleet.wrong_clocks == {FIRST}
        at = {event.thing: event.at for event in truth.events.values() if event.kind is Kind.OPENED}
        assert at[FIRST] > at[SECOND]
        assert all_there(truth, messages)


async def test_each_malformed_publish_is_poison_for_its_reason(fleet_of: Any) -> None:
    """What comes out of the rule is parked by the pipeline's parser as the truth says."""
    spoiled = [fault(Fault.MALFORMED, reason=reason) for reason in MALFORMED]
    async with fleet_of(*spoiled) as running:
        truth, messages = await running.play()
        reasons = {}
        for message in messages:
            with pytest.raises(Poison) as caught:
                parse_envelope(json.dumps(message))
            reasons[base64.b64decode(message["payload"])] = caught.value.reason
        assert reasons == {each.payload: each.reason for each in truth.malformed}
        assert set(reasons.values()) == set(MALFORMED)
        assert all(each.acknowledged for each in truth.malformed)
        # No number of the controller's was used up.
        assert running.fleet.devices[FIRST].controller.seq == PLAN.doors


async def test_an_impersonation_is_stopped_by_the_broker(fleet_of: Any) -> None:
    """No message of the victim comes out of the rule, and the attempt is in the truth."""
    attempt = fault(Fault.IMPERSONATION, victim=SECOND)
    async with fleet_of(attempt, *visit(20)) as running:
        truth, messages = await running.play()
        assert truth.faults == {"impersonation": 1}
        assert {each["thing"] for each in messages} == {str(FIRST)}
        (attempted,) = [
            line
            for line in map(json.loads, running.path.read_text().splitlines())
            if line["record"] == "fault"
        ]
        assert attempted["detail"] in {f"as {SECOND}: refused", f"as {SECOND}: disconnected"}
        assert all_there(truth, messages)


async def test_a_second_connection_throws_the_locker_out_once(fleet_of: Any) -> None:
    """It reconnects, catches up, and is not thrown out again."""
    async with fleet_of(fault(Fault.SECOND_CONNECTION), *visit(10)) as running:
        truth, messages = await running.play()
        assert running.fleet.counters.reconnects == 1
        assert all_there(truth, messages)
        assert truth.count(Outcome.ACKNOWLEDGED) == len(truth.events)


async def test_a_flapping_socket_reports_on_each_return(fleet_of: Any) -> None:
    """Twice gone is twice back, with every door's state."""
    flapping = fault(Fault.FLAPPING, count=2, seconds=1.0)
    async with fleet_of(flapping, *visit(45)) as running:
        truth, messages = await running.play()
        assert Counter(each["kind"] for each in messages)["reported"] == 2 * PLAN.doors
        assert all_there(truth, messages)


async def test_a_stuck_sensor_floods_and_every_edge_arrives(fleet_of: Any) -> None:
    """Nothing is dropped, and no more than 100 a second are published (AWS discards the rest)."""
    async with fleet_of(fault(Fault.STUCK_SENSOR, count=160), *visit(20)) as running:
        truth, messages = await running.play()
        assert len(messages) == 162
        received = sorted(each["received_at"] for each in messages)
        for begin in received:
            assert sum(begin <= at < begin + 1_000 for at in received) <= 100 + PUBLISH_BURST
        assert truth.count(Outcome.ACKNOWLEDGED) == len(truth.events)
        assert all_there(truth, messages)
