"""One locker, and a small fleet, over real mTLS against MiniStack with authorization on."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

import pytest

from pipeline.contract import Kind, Thing
from simulators.controller import Controller, DoorState, Emission
from simulators.device import Device, MqttRuntime
from simulators.errors import FleetError
from simulators.fleet import Fleet, FleetPlan
from simulators.ground_truth import Outcome, Run, TruthWriter, read_ground_truth
from simulators.provisioning import Credentials, Provisioner
from tests.support.fleet_broker import Broker, start_broker

pytestmark = pytest.mark.integration

THING = Thing("maple-court", "l01")
OTHER = Thing("maple-court", "l02")
DOORS = {"d01": DoorState(), "d02": DoorState(occupied=True)}
AT_MS = 1_790_000_000_000


@dataclass
class Log:
    """A DeviceListener that remembers."""

    connects: int = 0
    disconnects: int = 0
    failures: list[str] = field(default_factory=list)
    settled_as: dict[int, tuple[Outcome, int, str | None]] = field(default_factory=dict)
    emitted_events: list[Emission] = field(default_factory=list)

    def connected(self, device: Device) -> None:
        self.connects += 1

    def disconnected(self, device: Device, reason: str) -> None:
        self.disconnects += 1

    def connect_failed(self, device: Device, reason: str) -> None:
        self.failures.append(reason)

    def emitted(self, emission: Emission) -> None:
        self.emitted_events.append(emission)

    def published(self, emission: Emission) -> None:
        pass

    def settled(
        self,
        emission: Emission,
        outcome: Outcome,
        attempts: int,
        latency_ms: float | None,
        reason: str | None,
    ) -> None:
        self.settled_as[emission.version] = (outcome, attempts, reason)

    @property
    def outcomes(self) -> Counter[Outcome]:
        return Counter(outcome for outcome, _, _ in self.settled_as.values())

    @property
    def all_settled(self) -> bool:
        return len(self.settled_as) == len(self.emitted_events)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def keys(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[Thing, Credentials]:
    folder = tmp_path_factory.mktemp("fleet") / "keys"
    provisioned = Provisioner(broker.target, folder).provision([THING, OTHER])
    return {each.thing: each for each in provisioned}


@pytest.fixture(scope="module")
def runtime() -> MqttRuntime:
    return MqttRuntime()


Build = Callable[..., Device]


@pytest.fixture
async def build(
    broker: Broker, keys: dict[Thing, Credentials], runtime: MqttRuntime
) -> AsyncIterator[Build]:
    """Build devices that are stopped at the end; the queue is empty before."""
    broker.messages()
    built: list[Device] = []

    def make(
        log: Log,
        thing: Thing = THING,
        credentials: Thing = THING,
        buffer_events: int = 1_000,
        port: int | None = None,
    ) -> Device:
        iot = broker.target.iot
        controller = Controller(thing, DOORS, last_boot=0, now_s=AT_MS // 1000)
        device = Device(
            controller,
            keys[credentials],
            iot if port is None else iot.model_copy(update={"port": port}),
            rule=broker.target.door_rule,
            runtime=runtime,
            listener=log,
            reconnect_ms=(50, 200),
            buffer_events=buffer_events,
            now_ms=lambda: AT_MS,
        )
        built.append(device)
        return device

    yield make
    await asyncio.gather(*(device.disconnect() for device in built))


class Cable:
    """TCP between a device and the broker, which can be cut."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._ends: set[asyncio.StreamWriter] = set()

    async def lay(self) -> asyncio.Server:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("localhost", self._to_port)
        self._ends |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()


@pytest.fixture
async def cable(broker: Broker) -> AsyncIterator[Cable]:
    laid = Cable(broker.target.iot.port)
    server = await laid.lay()
    yield laid
    laid.cut()
    server.close()


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  (callbacks of another thread set no event of ours)
            await asyncio.sleep(0.01)


async def online(device: Device) -> None:
    device.connect()
    async with asyncio.timeout(10):
        await device.wait_connected()


async def test_an_event_reaches_the_queue_behind_the_rule(broker: Broker, build: Build) -> None:
    """Topic, payload and identity arrive as the contract has them, and the PUBACK is counted."""
    log = Log()
    device = build(log)
    await online(device)
    opened = device.controller.open("d01", AT_MS)
    assert opened is not None
    device.send(opened)
    await until(lambda: log.all_settled)

    assert log.outcomes == {Outcome.ACKNOWLEDGED: 3}
    envelopes = broker.messages()
    assert Counter(each["kind"] for each in envelopes) == {"reported": 2, "opened": 1}
    (envelope,) = [each for each in envelopes if each["kind"] == "opened"]
    assert envelope["thing"] == envelope["client"] == str(THING)
    assert envelope["door"] == "d01"
    assert base64.b64decode(envelope["payload"]) == opened.payload()


async def test_every_door_is_reported_on_each_connect(broker: Broker, build: Build) -> None:
    """Whoever missed events while the locker was away sees the whole state again."""
    log = Log()
    device = build(log)
    await online(device)
    await until(lambda: log.all_settled)
    await device.disconnect()
    await online(device)
    await until(lambda: log.all_settled and log.connects == 2)

    reported = [each for each in log.emitted_events if each.kind is Kind.REPORTED]
    assert Counter(each.door for each in reported) == {"d01": 2, "d02": 2}
    states = [json.loads(base64.b64decode(each["payload"])) for each in broker.messages()]
    assert sum(state["occupied"] for state in states) == 2


async def test_events_made_while_offline_are_published_after_the_reconnect(
    broker: Broker, build: Build
) -> None:
    """Store and forward: nothing that happened in the dark is lost, and its order shows."""
    log = Log()
    device = build(log)
    await online(device)
    await until(lambda: log.all_settled)
    await device.disconnect()
    broker.messages()

    for _ in range(5):
        device.send(device.controller.open("d01", AT_MS))
        device.send(device.controller.close("d01", AT_MS))
    assert device.buffered == 10
    assert broker.messages() == []

    await online(device)
    await until(lambda: log.all_settled)
    assert device.buffered == 0
    kinds = Counter(each["kind"] for each in broker.messages())
    assert kinds == {"opened": 5, "closed": 5, "reported": 2}
    assert set(log.outcomes) == {Outcome.ACKNOWLEDGED}


async def test_a_cut_connection_is_reopened_and_nothing_is_missing(
    broker: Broker, build: Build, cable: "Cable"
) -> None:
    """The line is cut in the middle of traffic: the device comes back by itself and catches up."""
    log = Log()
    device = build(log, port=cable.port)
    await online(device)
    for n in range(40):
        device.send(device.controller.open("d01", AT_MS))
        device.send(device.controller.close("d01", AT_MS))
        if n == 20:
            cable.cut()
        await asyncio.sleep(0)
    await until(lambda: log.connects >= 2 and log.all_settled)

    assert set(log.outcomes) == {Outcome.ACKNOWLEDGED}
    arrived = {json.loads(base64.b64decode(each["payload"]))["seq"] for each in broker.messages()}
    assert arrived == {each.seq for each in log.emitted_events}


async def test_a_full_buffer_drops_the_oldest_and_says_so(build: Build) -> None:
    """The bound holds; what fell out is accounted for as dropped, with the reason."""
    log = Log()
    device = build(log, buffer_events=4)
    for _ in range(3):
        device.send(device.controller.open("d01", AT_MS))
        device.send(device.controller.close("d01", AT_MS))
    assert device.buffered == 4
    assert [log.settled_as[each.version] for each in log.emitted_events[:2]] == [
        (Outcome.DROPPED, 0, "buffer of 4 is full")
    ] * 2


async def test_a_locker_cannot_publish_for_another(broker: Broker, build: Build) -> None:
    """The broker refuses, the device counts it as refused, and no message comes out of the rule."""
    log = Log()
    device = build(log)
    await online(device)
    await until(lambda: log.all_settled)
    broker.messages()
    own = device.controller.open("d01", AT_MS)
    assert own is not None
    device.send(replace(own, thing=OTHER))
    await until(lambda: log.all_settled or log.disconnects > 0)

    outcome, _, _ = log.settled_as.get(own.version, (None, 0, None))
    assert outcome is not Outcome.ACKNOWLEDGED
    assert [each for each in broker.messages() if each["thing"] == str(OTHER)] == []


async def test_a_certificate_connects_only_as_its_own_thing(build: Build) -> None:
    """With another locker's client id there is no connection."""
    log = Log()
    impostor = build(log, thing=OTHER, credentials=THING)
    impostor.connect()
    await until(lambda: len(log.failures) > 0)
    assert log.connects == 0


async def test_disconnecting_ends_soon_whatever_the_state(build: Build) -> None:
    """Connected, never connected or failing to connect: within two seconds."""
    never, failing, connected = build(Log()), build(Log(), credentials=OTHER), build(Log())
    failing.connect()
    await online(connected)
    started = time.monotonic()
    await asyncio.gather(never.disconnect(), failing.disconnect(), connected.disconnect())
    assert time.monotonic() - started < 2.5


async def test_a_fleet_writes_down_exactly_what_the_broker_took(
    broker: Broker, tmp_path: Path
) -> None:
    """Every event of the truth is acknowledged and is in the queue once; boots are kept."""
    plan = FleetPlan(lockers=4, buildings=2, doors=2, rate=20, duration_s=2.0, seed=3)
    credentials = Provisioner(broker.target, tmp_path / "keys").provision(plan.things)
    broker.messages()
    boots: list[set[int]] = []
    for run in ("first", "second"):
        path = tmp_path / f"{run}.jsonl"
        with path.open("w") as file:
            writer = TruthWriter(file, Run(started_at_ms=0, parameters=plan.as_parameters()))
            fleet = Fleet(broker.target, plan, credentials, writer)
            await fleet.connect(stalled_s=10)
            await fleet.run()
            assert await fleet.drain() == 0
            await fleet.stop()
        truth = read_ground_truth(path)
        arrived = Counter((each["thing"], each["door"], each["kind"]) for each in broker.messages())
        expected = Counter(
            (str(each.thing), each.door, each.kind.value) for each in truth.events.values()
        )
        assert truth.complete
        assert truth.count(Outcome.ACKNOWLEDGED) == len(truth.events) == fleet.counters.sent
        assert len(truth.events) > len(plan.places)
        assert arrived == expected
        boots.append({version >> 32 for _, version in truth.events})
    assert max(boots[0]) < min(boots[1])


async def test_a_broker_that_is_not_there_is_one_clear_error(
    broker: Broker, keys: dict[Thing, Credentials]
) -> None:
    """The message says how many were connected and why the last one was not."""
    nowhere = broker.target.iot.model_copy(update={"port": 1})
    target = broker.target.model_copy(update={"iot": nowhere})
    plan = FleetPlan(lockers=1, buildings=1)
    writer = TruthWriter(StringIO(), Run(started_at_ms=0, parameters={}))
    fleet = Fleet(target, plan, [keys[THING]], writer)
    with pytest.raises(FleetError, match=r"0 of 1 lockers connected, .*maple-court:l01"):
        await fleet.connect(stalled_s=1.0)
    await fleet.stop()
