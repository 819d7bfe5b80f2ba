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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from local.endpoint import Endpoint
from local.errors import AdapterError
from local.event_filter import matches
from local.stream_batches import (
    Answer,
    BatchProcessor,
    Destination,
    Invoker,
    MappingConfig,
    NotInvokedError,
    Record,
)

BUSY_POLL_S = 0.006
IDLE_POLL_S = 0.015
BUSY_FOR_S = 0.25
"""A poll costs about 1 ms of the emulator's processor, which every other request waits for."""
MAX_LANES = 4
"""At most so many of ParallelizationFactor's lanes on a laptop: each is a process of its own."""
AHEAD_BATCHES = 10
"""Reading pauses when a lane has so many batches waiting."""
RETRY_WAIT_S = 0.2
GIVE_UP_S = 30.0
INVOKE_TIMEOUT_S = 900.0
"""AWS: the longest timeout a function can have."""
STREAMS = "DynamoDBStreams_20120810"

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


class EmulatorStream:
    """A stream of MiniStack, read with signed requests.

    Without boto3: that would turn numbers and binaries of the records into Python's, while Lambda's
    event has them as they are on the wire; and a poll costs a fifth of the time.
    """

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, arn: str, start: str
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._arn = arn
        self._start = start
        self._iterators: dict[str, str] = {}

    async def shards(self) -> Sequence[str]:
        described = await self._call("DescribeStream", {"StreamArn": self._arn})
        return [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]]

    async def read(self, shard: str) -> Sequence[Record]:
        if shard not in self._iterators:
            got = await self._call(
                "GetShardIterator",
                {
                    "StreamArn": self._arn,
                    "ShardId": shard,
                    "ShardIteratorType": self._start,
                },
            )
            self._iterators[shard] = got["ShardIterator"]
        got = await self._call("GetRecords", {"ShardIterator": self._iterators[shard]})
        try:
            self._iterators[shard] = got["NextShardIterator"]
        except KeyError:
            raise AdapterError(f"stream {self._arn} was closed: was its table deleted?") from None
        return [{**record, "eventSourceARN": self._arn} for record in got["Records"]]

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        body = json.dumps(arguments).encode()
        headers = self._endpoint.sign(
            "dynamodb",
            "/",
            body,
            {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"{STREAMS}.{operation}",
            },
        )
        url = f"{self._endpoint.url}/"
        async with self._session.post(url, data=body, headers=headers) as answer:
            text = await answer.read()
        if answer.status == 400:  # noqa: PLR2004 (a request that no retry makes right)
            raise AdapterError(f"{operation} of {self._arn}: {text.decode(errors='replace')}")
        answer.raise_for_status()
        return json.loads(text)


class EmulatorFunction:
    """A deployed function, invoked through the Lambda API."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession, arn: str) -> None:
        self._endpoint = endpoint
        self._session = session
        self._path = f"/2015-03-31/functions/{quote(arn, safe='')}/invocations"

    async def __call__(self, records: Sequence[Record], /) -> Answer:
        body = json.dumps({"Records": records}).encode()
        headers = self._endpoint.sign(
            "lambda", self._path, body, {"Content-Type": "application/json"}
        )
        # Encoded already, as it was signed.
        url = URL(self._endpoint.url + self._path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=INVOKE_TIMEOUT_S)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout
            ) as answer:
                payload = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotInvokedError(f"{type(error).__name__}: {error}") from error
        if answer.status >= 300:  # noqa: PLR2004
            text = payload.decode(errors="replace")[:500]
            raise NotInvokedError(f"HTTP {answer.status}: {text}")
        return Answer(
            payload=payload,
            error=answer.headers.get("X-Amz-Function-Error"),
            status=answer.status,
            request_id=answer.headers.get("x-amzn-RequestId", ""),
            version=answer.headers.get("X-Amz-Executed-Version", "$LATEST"),
        )


class QueueDestination:
    """An SQS queue as on-failure destination, by its ARN; keeps trying until the queue has it."""

    def __init__(self, endpoint: Endpoint, arn: str) -> None:
        self._endpoint = endpoint
        self._arn = arn
        self._url: str | None = None

    async def __call__(self, body: str, /) -> None:
        while True:
            try:
                await asyncio.to_thread(self._send, body)
            except Exception:
                # A pointer that is lost here is a change that nobody will ever look for.
                log.exception("on-failure record not sent to %s; trying again", self._arn)
                await asyncio.sleep(RETRY_WAIT_S)
            else:
                return

    def _send(self, body: str) -> None:
        client = self._endpoint.client("sqs")
        if self._url is None:
            name = self._arn.rsplit(":", 1)[-1]
            self._url = client.get_queue_url(QueueName=name)["QueueUrl"]
        client.send_message(QueueUrl=self._url, MessageBody=body)
