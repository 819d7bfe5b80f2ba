"""The real projector against a model, with a fault between any two of its calls.

A queue that delivers as SQS does (any order, duplicates, a visibility timeout that runs out while
the first delivery is still at work, a dead-letter queue after so many receives), a table, and a
process that may die at any line. The model knows no more than which events were delivered and which
were acknowledged.
"""

import io
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import reduce

import pytest
from aws_lambda_powertools import Logger, Metrics
from botocore.exceptions import ClientError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline import items
from pipeline.aws_errors import error_code
from pipeline.contract import DoorEvent, PresenceEvent, Thing
from pipeline.deadline import Deadline
from pipeline.errors import PoisonReason
from pipeline.merge import LockerPresence, join_presence, newest, presence_of, tile_order
from pipeline.projector import Projector
from pipeline.quarantine import Quarantine
from pipeline.report import ProjectorReport
from pipeline.store import CONDITION_FAILED, Store
from tests.support.examples import examples
from tests.support.interposed import DEADLINE_S, QUEUE, Clock, Fault, Invocation, Key, Wire
from tests.support.lambda_events import (
    RECEIVED_AT,
    door_envelope,
    payload,
    presence_envelope,
    sqs_event,
)
from tests.support.memory_aws import MemoryQueue, MemoryTable
from tests.support.strategies import as_payload, door_events, presence_events

pytestmark = pytest.mark.property

MAX_RECEIVES = 5
LOCKER = Thing("maple-court", "l03")
POISON = {
    "no envelope": PoisonReason.ENVELOPE_NOT_JSON,
    json.dumps(door_envelope(b"door open!")): PoisonReason.PAYLOAD_NOT_JSON,
    json.dumps(door_envelope(b"\xff\xfe")): PoisonReason.PAYLOAD_NOT_UTF8,
    json.dumps(door_envelope(payload(open="yes"))): PoisonReason.FIELD_TYPE,
    json.dumps(door_envelope(kind="exploded")): PoisonReason.TOPIC_INVALID,
}
OPERATIONS = ("batch_write_item", "update_item", "get_item", "put_item", "send_message_batch")
Plan = dict[str, list[Fault | None]]
PLANS = st.dictionaries(
    st.sampled_from(OPERATIONS),
    st.lists(st.none() | st.sampled_from(Fault), min_size=1, max_size=3),
    max_size=2,
)


@dataclass(frozen=True)
class Message:
    body: str
    event: DoorEvent | PresenceEvent | PoisonReason

    def keys(self) -> set[Key]:
        """What must be written for it."""
        if isinstance(self.event, DoorEvent):
            thing = self.event.thing
            return {
                _key(items.history_key(thing, self.event.version)),
                _key(items.tile_key(thing, self.event.door)),
            }
        if isinstance(self.event, PresenceEvent):
            thing = self.event.thing
            return {_key(items.building_item(thing.building)), _key(items.locker_key(thing))}
        return {QUEUE}


def _key(key: items.Item) -> Key:
    return key["pk"]["S"], key["sk"]["S"]


def joined(events: Sequence[PresenceEvent]) -> LockerPresence:
    return reduce(join_presence, map(presence_of, events), LockerPresence())


class Container:
    """One execution environment with its projector; its calls happen one after the other."""

    def __init__(self, wire: Wire, table: MemoryTable, queue: MemoryQueue, clock: Clock) -> None:
        self._wire, self._clock = wire, clock
        self._quarantine = Quarantine(wire.client(queue), "https://sqs/quarantine")
        self._projector = Projector(
            Store(
                wire.client(table),
                "t",
                history_days=90,
                now_ms=lambda: RECEIVED_AT,
                jitter=lambda _low, _high: 0.0,
            ),
            self._quarantine,
            ProjectorReport(
                Logger(service=f"m-{uuid.uuid4()}", stream=io.StringIO(), level="CRITICAL"),
                Metrics(service="m", namespace="Latchline"),
            ),
            lambda: RECEIVED_AT,
        )
        # In one thread the same plan hits the same call each time.
        self._projector._pool = ThreadPoolExecutor(1)

    def handle(self, batch: dict[str, Message], invocation: Invocation) -> set[str]:
        """Return the ids that come again: all of them if the process died."""
        self._wire.invocation = invocation
        event = sqs_event([message.body for message in batch.values()])
        for record, message_id in zip(event["Records"], batch, strict=True):
            record["messageId"] = message_id
        with redirect_stdout(io.StringIO()):
            answer = self._projector.handle(event, Deadline(DEADLINE_S, self._clock))
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        assert len(failed) == len(set(failed))
        return set(batch) if invocation.killed else set(failed)

    def stop(self) -> None:
        self._projector._pool.shutdown()
        self._quarantine._pool.shutdown()


class ProjectorMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.table, self.parked = MemoryTable(), MemoryQueue()
        self.wire = Wire(self.clock, self._overtake)
        self.other_wire = Wire(self.clock)
        self.container = Container(self.wire, self.table, self.parked, self.clock)
        self.other = Container(self.other_wire, self.table, self.parked, self.clock)
        self.sent: dict[str, Message] = {}
        self.waiting: list[str] = []
        self.dead_letters: list[str] = []
        self.acknowledged: set[str] = set()
        self.receives: Counter[str] = Counter()
        self.rival: list[str] = []

    def _send(self, message: Message) -> None:
        message_id = f"m{len(self.sent)}"
        self.sent[message_id] = message
        self.waiting.append(message_id)

    @rule(
        events=st.lists(
            door_events(doors=("d01", "d02", "d03"), lockers=("l01", "l02")),
            min_size=1,
            max_size=6,
        )
    )
    def doors_move(self, events: list[DoorEvent]) -> None:
        for event in events:
            envelope = door_envelope(
                as_payload(event),
                thing=str(event.thing),
                door=event.door,
                kind=event.kind,
                received_at=event.received_at,
            )
            as_sent = replace(event, trace=envelope["trace"], payload=as_payload(event).decode())
            self._send(Message(json.dumps(envelope), as_sent))

    @rule(events=st.lists(presence_events(), min_size=1, max_size=3))
    def a_locker_comes_and_goes(self, events: list[PresenceEvent]) -> None:
        for event in events:
            changed = {} if event.connected else {"disconnectReason": event.reason}
            envelope = presence_envelope(
                connected=event.connected,
                at=event.at,
                session=event.session,
                counter=event.counter,
                thing=str(LOCKER),
                **changed,
            )
            self._send(Message(json.dumps(envelope), event))

    @rule(body=st.sampled_from(list(POISON)))
    def something_malformed_arrives(self, body: str) -> None:
        self._send(Message(body, POISON[body]))

    @rule(
        bodies=st.lists(st.sampled_from(list(POISON)), min_size=1, max_size=10),
        fault=st.sampled_from(Fault),
    )
    def parking_fails(self, bodies: list[str], fault: Fault) -> None:
        """A batch of nothing else, so that the one call that parks it meets every fault often."""
        first = len(self.sent)
        for body in bodies:
            self.something_malformed_arrives(body)
        batch = [f"m{number}" for number in range(first, len(self.sent))]
        self._handle(self.container, batch, Invocation({"send_message_batch": [fault]}))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), plan=PLANS)
    def deliver(self, data: st.DataObject, plan: Plan) -> None:
        batches = st.lists(st.sampled_from(self.waiting), min_size=1, max_size=10, unique=True)
        batch = data.draw(batches, label="batch")
        overtaken = any(Fault.OVERTAKEN in faults for faults in plan.values())
        self.rival = data.draw(batches, label="rival") if overtaken else []
        self._handle(self.container, batch, Invocation(plan))

    def _overtake(self) -> None:
        """The visibility timeout of some messages ran out, and another container has them."""
        rival, self.rival = self.rival, []
        if rival:
            self._handle(self.other, rival, Invocation())

    def _handle(self, container: Container, batch: list[str], invocation: Invocation) -> None:
        self.receives.update(batch)
        failed = container.handle({each: self.sent[each] for each in batch}, invocation)
        if not invocation.killed:
            self._check_failed(failed, invocation)
            self.acknowledged |= set(batch) - failed
        self.waiting = [each for each in self.waiting if each not in self.acknowledged]
        spent = {each for each in self.waiting if self.receives[each] >= MAX_RECEIVES}
        self.waiting = [each for each in self.waiting if each not in spent]
        self.dead_letters += sorted(spent)

    def _check_failed(self, failed: set[str], invocation: Invocation) -> None:
        """Whoever comes again was itself met by a fault, or by the end of the time."""
        for each in failed:
            message = self.sent[each]
            late = invocation.late and not isinstance(message.event, PoisonReason)
            assert late or message.keys() & invocation.hit, f"{each} is retried for nothing"

    @precondition(lambda self: self.dead_letters)
    @rule()
    def redrive(self) -> None:
        """A redrive gives each message a new id; it sends first and deletes then."""
        for each in self.dead_letters:
            self._send(self.sent[each])
        self.dead_letters = []

    @precondition(lambda self: self.wire.postponed)
    @rule()
    def a_given_up_call_reaches_its_service(self) -> None:
        """Nobody waits for its answer, and a condition may refuse it."""
        for perform in self.wire.postponed:
            try:
                perform()
            except ClientError as error:
                assert error_code(error) == CONDITION_FAILED  # noqa: PT017
        self.wire.postponed = []

    # What holds after each step.

    def _events(self, ids: set[str] | dict[str, Message]) -> list[DoorEvent]:
        return [e for i in ids if isinstance(e := self.sent[i].event, DoorEvent)]

    @invariant()
    def what_is_acknowledged_is_on_record_or_parked(self) -> None:
        parked = set()
        for entry in self.parked.messages:
            said = {name: v["StringValue"] for name, v in entry["MessageAttributes"].items()}
            assert POISON[entry["MessageBody"]].value == said["reason"]
            parked.add(said["message_id"])
        for each in self.acknowledged:
            message = self.sent[each]
            if isinstance(message.event, PoisonReason):
                assert each in parked, f"{each} is done and not parked"
            else:
                assert message.keys() <= self.table.held.keys()

    @invariant()
    def history_holds_what_was_sent_and_nothing_else(self) -> None:
        known = [items.history_item(event, days=90) for event in self._events(self.sent)]
        assert all(item in known for item in self.table.items("EVENT#"))

    @invariant()
    def a_tile_is_the_merge_of_what_was_acknowledged_or_partly_written(self) -> None:
        done = self._events(self.acknowledged)
        for item in self.table.items("TILE#"):
            shown = [event for event in self._events(self.sent) if _shows(item, event)]
            assert shown, f"a tile that nobody sent: {item}"
            key = _key(items.history_key(shown[0].thing, shown[0].version))
            assert key in self.table.held, "shown before it was on record"
            own = [e for e in done if (e.thing, e.door) == (shown[0].thing, shown[0].door)]
            assert not own or tile_order(shown[0]) >= tile_order(newest(own))

    @invariant()
    def presence_is_between_what_was_acknowledged_and_what_was_sent(self) -> None:
        held = self.table.held.get(_key(items.locker_key(LOCKER)))
        known = LockerPresence() if held is None else items.read_presence(held)
        assert join_presence(known, joined(self._presences(self.acknowledged))) == known
        everything = joined(self._presences(self.sent))
        assert join_presence(everything, known) == everything

    def _presences(self, ids: set[str] | dict[str, Message]) -> list[PresenceEvent]:
        return [e for i in ids if isinstance(e := self.sent[i].event, PresenceEvent)]

    def teardown(self) -> None:
        """The faults are over and the dead letters redriven: everything is where it belongs."""
        if not hasattr(self, "sent"):
            return
        try:
            self._drain()
        finally:
            self.container.stop()
            self.other.stop()

    def _drain(self) -> None:
        while self.waiting or self.dead_letters:
            self.redrive()
            batch = self.waiting[:10]
            self._handle(self.container, batch, Invocation())
            assert self.acknowledged >= set(batch), "no fault, and yet not done"
        self.a_given_up_call_reaches_its_service()
        self.what_is_acknowledged_is_on_record_or_parked()
        events = self._events(self.sent)
        assert {_key(item) for item in self.table.items("EVENT#")} == {
            _key(items.history_key(event.thing, event.version)) for event in events
        }
        doors = {(event.thing, event.door) for event in events}
        for thing, door in doors:
            best = newest(e for e in events if (e.thing, e.door) == (thing, door))
            assert _shows(self.table.held[_key(items.tile_key(thing, door))], best)
        assert len(self.table.items("TILE#")) == len(doors)
        held = self.table.held.get(_key(items.locker_key(LOCKER)))
        known = LockerPresence() if held is None else items.read_presence(held)
        assert known == joined(self._presences(self.sent))


def _shows(tile: items.Item, event: DoorEvent) -> bool:
    """Whether the tile is exactly what the event makes of it."""
    update = items.tile_update(event, queued_at=RECEIVED_AT + 10, projected_at=RECEIVED_AT)
    values = update["ExpressionAttributeValues"]
    return tile == {**update["Key"], **{name[1:]: value for name, value in values.items()}}


TestProjectorMachine = ProjectorMachine.TestCase
TestProjectorMachine.settings = examples(30, 1_000, stateful_step_count=25)
