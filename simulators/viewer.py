"""A dashboard as software: subscribes, loads the snapshot, merges, and measures door-to-tile.

The order is a dashboard's: subscribe, wait for `start_ack` of every building, then load the
snapshot; the other way round has a hole. AppSync may lose a push even after `start_ack`
(aws-appsync-community#405), so the snapshot is loaded again a few seconds later, after each
reconnect and every five minutes.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from aiohttp import ClientError
from gql import GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.exceptions import TransportError
from graphql import ExecutionResult, parse

from pipeline.contract import Kind, Thing
from simulators.errors import ViewerError
from simulators.observation import ObservationWriter, Picture, Place, SeenLocker, SeenTile, Via
from simulators.percentiles import Samples
from simulators.target import Target

TILE_FIELDS = (
    "buildingId lockerId doorId version kind status open occupied fault at "
    "receivedAt queuedAt projectedAt trace"
)
LOCKER_FIELDS = "buildingId lockerId connected since reason revision receivedAt projectedAt"
SUBSCRIPTION = (
    "subscription OnTiles($buildingId: ID!) { onTiles(buildingId: $buildingId) "
    f"{{ buildingId publishedAt tiles {{ {TILE_FIELDS} }} lockers {{ {LOCKER_FIELDS} }} }} }}"
)
SNAPSHOT = (
    "query Building($buildingId: ID!, $nextToken: String) "
    "{ building(buildingId: $buildingId, nextToken: $nextToken) "
    f"{{ buildingId nextToken tiles {{ {TILE_FIELDS} }} lockers {{ {LOCKER_FIELDS} }} }} }}"
)

KEEP_ALIVE_TIMEOUT_S = 150
"""AWS: AppSync sends `ka` every 60 s; two missed in a row is a dead connection."""
ACK_TIMEOUT_S = 10
SECOND_SNAPSHOT_S = 3.0
SNAPSHOT_EVERY_S = 300.0
RECONNECT_S = (0.25, 15.0)
FLUSH_S = 1.0


class StartAckTransport(AppSyncWebsocketsTransport):
    """gql's transport that also tells which subscriptions AppSync has started.

    gql 4.0 reads `start_ack` and drops it; without it nobody knows when a snapshot has no hole.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._started: asyncio.Queue[int] = asyncio.Queue()

    def _parse_answer(self, answer: str) -> tuple[str, int | None, ExecutionResult | None]:
        parsed = super()._parse_answer(answer)
        if parsed[0] == "start_ack":
            self._started.put_nowait(int(json.loads(answer)["id"]))
        return parsed

    async def wait_started(self, subscriptions: int) -> None:
        """Return when so many different subscriptions were acknowledged."""
        started: set[int] = set()
        while len(started) < subscriptions:
            started.add(await self._started.get())


@dataclass(slots=True)
class ViewerCounters:
    pushes: int = 0
    tiles: int = 0
    """Tiles that changed the picture and came by push."""
    reconnects: int = 0
    snapshots: int = 0
    last_failure: str | None = None
    door_to_tile_ms: Samples = field(default_factory=Samples)
    """Device clock at the event to arrival here; on one machine the clocks are one. Without
    `reported` events: a reconnect moves no door."""


class Viewer:
    """Watches a set of buildings over one WebSocket; `picture` is what it shows.

    Use as an asynchronous context manager: entering returns once the first snapshot is in.
    """

    def __init__(
        self,
        target: Target,
        buildings: Sequence[str],
        *,
        record: ObservationWriter | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        ready_within_s: float = 20.0,
    ) -> None:
        self.picture = Picture()
        self.counters = ViewerCounters()
        self.untimed: Collection[Thing] = ()
        """Lockers whose clocks are known to be wrong, which would spoil `door_to_tile_ms`."""
        self._target = target
        self._buildings = tuple(buildings)
        self._record = record
        self._now_ms = now_ms
        self._ready_within_s = ready_within_s
        self._subscription = parse(SUBSCRIPTION)
        self._snapshot_query = parse(SNAPSHOT)
        self._ready = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raise ViewerError if there is no live picture in time; it names the last failure."""
        self._watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(self._ready_within_s):
                await self._ready.wait()
        except TimeoutError:
            await self.__aexit__()
            why = self.counters.last_failure or "no answer"
            raise ViewerError(
                f"no subscription at {self._target.graphql.realtime} "
                f"within {self._ready_within_s:.0f} s: {why}"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        if self._record is not None:
            self._record.flush()

    async def wait_for(self, versions: Mapping[Place, int], timeout_s: float) -> Collection[Place]:
        """Wait until each door shows at least its version; return the doors that still do not."""
        deadline = time.monotonic() + timeout_s
        behind = set(versions)
        while True:
            behind = {place for place in behind if not self._shows(place, versions[place])}
            if not behind or time.monotonic() >= deadline:
                return behind
            await asyncio.sleep(0.05)

    def _shows(self, place: Place, version: int) -> bool:
        tile = self.picture.tiles.get(place)
        return tile is not None and tile.order >= version

    async def _watch(self) -> None:
        failures = 0
        while True:
            held_since = time.monotonic()
            reason = await self._hold_connection()
            self.counters.last_failure = reason
            self.counters.reconnects += 1
            if self._record is not None:
                self._record.connection(self._now_ms(), up=False, reason=reason)
            failures = 1 if time.monotonic() - held_since > RECONNECT_S[1] else failures + 1
            ceiling = min(RECONNECT_S[1], RECONNECT_S[0] * 2**failures)
            await asyncio.sleep(random.uniform(RECONNECT_S[0], ceiling))

    async def _hold_connection(self) -> str:
        """Subscribe and receive until the connection ends; return why it did."""
        try:
            # Built anew each time: the handshake is signed here and valid for minutes only.
            transport = StartAckTransport(
                self._target.graphql.realtime,
                auth=self._target.graphql_auth(),
                connect_timeout=ACK_TIMEOUT_S,
                ack_timeout=ACK_TIMEOUT_S,
                close_timeout=1,
                keep_alive_timeout=KEEP_ALIVE_TIMEOUT_S,
            )
            await transport.connect()
        except (TransportError, OSError, TimeoutError) as error:
            return describe(error)
        reason = "the server completed a subscription"
        try:
            async with asyncio.TaskGroup() as group:
                for building in self._buildings:
                    group.create_task(self._receive(transport, building))
                group.create_task(self._load_snapshots(transport))
                if self._record is not None:
                    group.create_task(self._flush_now_and_then(self._record))
        except* (TransportError, ClientError, OSError, TimeoutError, ViewerError) as failures:
            reason = describe(failures.exceptions[0])
        finally:
            with suppress(TransportError, OSError, TimeoutError):
                await transport.close()
        return reason

    async def _receive(self, transport: StartAckTransport, building: str) -> None:
        request = GraphQLRequest(self._subscription, variable_values={"buildingId": building})
        async for result in transport.subscribe(request):
            arrived = self._now_ms()
            self.counters.pushes += 1
            self._take(data_of(result, "onTiles"), Via.PUSH, arrived)
        raise ViewerError(f"{building}: the subscription was completed by the server")

    async def _load_snapshots(self, transport: StartAckTransport) -> None:
        async with asyncio.timeout(ACK_TIMEOUT_S):
            await transport.wait_started(len(self._buildings))
        if self._record is not None:
            self._record.connection(self._now_ms(), up=True)
        await self._load_snapshot()
        self._ready.set()
        await asyncio.sleep(SECOND_SNAPSHOT_S)
        while True:
            await self._load_snapshot()
            await asyncio.sleep(SNAPSHOT_EVERY_S)

    async def _load_snapshot(self) -> None:
        http = AIOHTTPTransport(self._target.graphql.http, auth=self._target.graphql_auth())
        await http.connect()
        try:
            for building in self._buildings:
                await self._load_building(http, building)
            self.counters.snapshots += 1
        finally:
            await http.close()

    async def _load_building(self, http: AIOHTTPTransport, building: str) -> None:
        token: str | None = None
        while True:
            variables = {"buildingId": building, "nextToken": token}
            answer = await http.execute(
                GraphQLRequest(self._snapshot_query, variable_values=variables)
            )
            page = data_of(answer, "building")
            self._take(page, Via.SNAPSHOT, self._now_ms())
            token = page.get("nextToken")
            if token is None:
                return

    def _take(self, batch: Mapping[str, Any], via: Via, arrived_ms: int) -> None:
        published_at = batch.get("publishedAt")
        for fields in batch["tiles"]:
            tile = SeenTile.model_validate(fields)
            if self._record is not None:
                self._record.tile(arrived_ms, via, fields, published_at)
            if self.picture.put(tile) and via is Via.PUSH:
                self.counters.tiles += 1
                if tile.kind is not Kind.REPORTED and tile.thing not in self.untimed:
                    self.counters.door_to_tile_ms.add(arrived_ms - epoch_ms(tile.at))
        for fields in batch["lockers"]:
            if self._record is not None:
                self._record.locker(arrived_ms, via, fields)
            self.picture.put_locker(SeenLocker.model_validate(fields))

    async def _flush_now_and_then(self, record: ObservationWriter) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            record.flush()


def data_of(result: ExecutionResult, field_name: str) -> dict[str, Any]:
    """Return the field's value; raise ViewerError on a GraphQL error, or if it is null."""
    if result.errors:
        first: Any = result.errors[0]  # gql hands over what the server sent, a dict
        raise ViewerError(str(first.get("message", first)))
    value = (result.data or {}).get(field_name)
    if value is None:
        raise ViewerError(f"{field_name} came back as null")
    return dict(value)


def describe(error: BaseException) -> str:
    """One line with the cause that gql puts behind its own exception."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {str(cause) or error}"


def epoch_ms(at: str) -> float:
    return datetime.fromisoformat(at).timestamp() * 1000
