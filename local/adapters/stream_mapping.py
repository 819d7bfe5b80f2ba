"""A Lambda event source mapping on a DynamoDB stream, with the contract that AWS documents.

Gap: MiniStack's own stream mapping ignores `batchItemFailures`, `BisectBatchOnFunctionError` and
`MaximumRetryAttempts`: unless the function raises, it advances past the whole batch, so a partly
failed batch is lost. Seen in MiniStack 1.5.33; delete this file, `stream_batches.py` and
`event_filter.py` when upstream keeps the contract.

The adapter reads the deployed mapping's settings through the Lambda API, disables that mapping, and
reads the stream itself. Records are dealt to lanes by their item's key, so that the order of each
item is kept while lanes run side by side. Each lane takes a batch at a time; what waits in memory
is still in the stream, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import aiohttp

from local.adapters.event_filter import matches
from local.adapters.stream_batches import (
    BatchProcessor,
    Destination,
    Invoker,
    MappingConfig,
    Record,
)
from local.endpoint import Endpoint
from local.errors import AdapterError

BUSY_POLL_S = 0.006
IDLE_POLL_S = 0.015
BUSY_FOR_S = 0.25
"""A poll costs about 1 ms of the emulator's processor, which every other request waits for."""
MAX_LANES = 1
"""At most so many of ParallelizationFactor's lanes on a laptop. The emulator's one processor is
what events wait for, and one lane makes fewer, larger batches: at 50 events/s on two cores the
median door to tile was 102 ms with one lane, 179 with two, and more with four. The price: what
fails for one building holds up the others until the mapping gives up on it, unlike on AWS."""
AHEAD_BATCHES = 10
"""Reading pauses when a lane has so many batches waiting."""
RETRY_WAIT_S = 0.2
GIVE_UP_S = 30.0

log = logging.getLogger(__name__)


class Stream(Protocol):
    """One stream as its shards' records in order."""

    async def shards(self) -> Sequence[str]:
        """Ids of the shards."""

    async def read(self, shard: str) -> Sequence[Record]:
        """Records that have come since the last call, as in Lambda's event; none is normal."""


def read_mapping(endpoint: Endpoint, mapping_id: str) -> MappingConfig:
    """Return the settings of the deployed mapping (blocking)."""
    mapping = endpoint.client("lambda").get_event_source_mapping(UUID=mapping_id)
    return MappingConfig.from_api(mapping)


def disable_mapping(endpoint: Endpoint, mapping_id: str) -> None:
    """Keep MiniStack's own mapping from taking records (blocking)."""
    endpoint.client("lambda").update_event_source_mapping(UUID=mapping_id, Enabled=False)


class StreamMappingAdapter:
    """Runs one mapping until cancelled.

    Parameters
    ----------
    config
        The mapping's settings.
    stream, invoke, discard
        Where records come from, the function, and the on-failure destination.
    lanes
        Batches in flight at most; never more than the mapping's parallelization factor.
    processor
        How a batch is processed; tests bring one that does not wait.
    """

    def __init__(
        self,
        config: MappingConfig,
        *,
        stream: Stream,
        invoke: Invoker,
        discard: Destination,
        lanes: int = MAX_LANES,
        processor: Callable[..., BatchProcessor] = BatchProcessor,
    ) -> None:
        self.name = f"stream mapping to {config.function_arn.rsplit(':', 1)[-1]}"
        self._config = config
        self._stream = stream
        self._invoke = invoke
        self._discard = discard
        self._lanes = max(1, min(lanes, config.parallelization))
        self._processor = processor

    async def run(self) -> None:
        """Deliver for ever.

        Raises
        ------
        AdapterError
            The stream cannot be read for 30 s.
        """
        async with asyncio.TaskGroup() as tasks:
            for shard in await self._retrying(self._stream.shards):
                freed = asyncio.Event()
                lanes = [
                    _Lane(
                        self._processor(
                            self._config, shard, invoke=self._invoke, discard=self._discard
                        ),
                        self._config.batch_size,
                        freed,
                    )
                    for _ in range(self._lanes)
                ]
                for lane in lanes:
                    tasks.create_task(lane.run())
                tasks.create_task(self._read(shard, lanes, freed))

    async def _read(self, shard: str, lanes: Sequence[_Lane], freed: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        busy_until = 0.0
        while True:
            # Nothing could be done with a record now, and a poll takes time from the emulator.
            while all(lane.busy for lane in lanes):
                freed.clear()
                await freed.wait()
            records = await self._retrying(lambda: self._stream.read(shard))
            now = loop.time()
            if records:
                busy_until = now + BUSY_FOR_S
                for record in records:
                    if matches(self._config.patterns, record):
                        lanes[lane_of(record, len(lanes))].put(record)
                for lane in lanes:
                    await lane.has_room()
            await asyncio.sleep(BUSY_POLL_S if now < busy_until else IDLE_POLL_S)

    async def _retrying(self, call: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S
        while True:
            try:
                return await call()
            except (aiohttp.ClientError, TimeoutError) as error:
                if loop.time() > give_up_at:
                    raise AdapterError(f"{self.name}: {error}") from error
                log.warning("%s: %s; trying again", self.name, error)
                await asyncio.sleep(RETRY_WAIT_S)


def lane_of(record: Record, lanes: int) -> int:
    """The lane of the record's item, the same for all records of one item."""
    keys = json.dumps(record["dynamodb"]["Keys"], sort_keys=True)
    return zlib.crc32(keys.encode()) % lanes


class _Lane:
    """Records of some items, in order; one batch of them in flight."""

    def __init__(self, processor: BatchProcessor, batch_size: int, freed: asyncio.Event) -> None:
        self._processor = processor
        self._batch_size = batch_size
        self._freed = freed
        self.busy = False
        self._waiting: deque[Record] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    def put(self, record: Record) -> None:
        self._waiting.append(record)
        self._arrived.set()

    async def has_room(self) -> None:
        while len(self._waiting) > AHEAD_BATCHES * self._batch_size:
            self._taken.clear()
            await self._taken.wait()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            size = min(self._batch_size, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            if not self._waiting:
                self._arrived.clear()
            self._taken.set()
            self.busy = True
            await self._processor.process(batch)
            self.busy = bool(self._waiting)
            if not self.busy:
                self._freed.set()
