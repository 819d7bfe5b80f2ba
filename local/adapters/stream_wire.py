"""The three ends of a stream mapping in MiniStack: the stream, the function and the dead letters.

`stream_mapping` decides what goes where; here are the signed requests that do it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from local.adapters.stream_batches import Answer, NotInvokedError, Record, sequence_number
from local.endpoint import Endpoint
from local.errors import AdapterError

INVOKE_TIMEOUT_S = 900.0
"""AWS: the longest timeout a function can have."""
RETRY_WAIT_S = 0.2
STREAMS = "DynamoDBStreams_20120810"
LAPSED = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})
"""DynamoDB: an iterator lives 15 minutes, which a laptop may sleep, and a record 24 hours."""

log = logging.getLogger(__name__)


class _RefusedError(AdapterError):
    """A request that no retry makes right; `code` is AWS's name for the reason."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


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
        self._read_to: dict[str, str] = {}
        """Shard to the sequence number of the last record that was handed out."""

    async def shards(self) -> Sequence[str]:
        described = await self._call("DescribeStream", {"StreamArn": self._arn})
        return [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]]

    async def read(self, shard: str) -> Sequence[Record]:
        if shard not in self._iterators:
            self._iterators[shard] = await self._iterator(shard)
        try:
            got = await self._call("GetRecords", {"ShardIterator": self._iterators[shard]})
        except _RefusedError as refused:
            if refused.code not in LAPSED:
                raise
            log.warning("%s; going on after the last record", refused)
            del self._iterators[shard]
            return []
        try:
            self._iterators[shard] = got["NextShardIterator"]
        except KeyError:
            raise AdapterError(f"stream {self._arn} was closed: was its table deleted?") from None
        records = [{**record, "eventSourceARN": self._arn} for record in got["Records"]]
        if records:
            self._read_to[shard] = sequence_number(records[-1])
        return records

    async def _iterator(self, shard: str) -> str:
        arguments = {"StreamArn": self._arn, "ShardId": shard}
        start = {"ShardIteratorType": self._start}
        if shard in self._read_to:
            after = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": self._read_to[shard],
            }
            try:
                got = await self._call("GetShardIterator", {**arguments, **after})
                return str(got["ShardIterator"])
            except _RefusedError as refused:
                if refused.code not in LAPSED:
                    raise
                # The last record is no longer there; all that are come after it.
                start = {"ShardIteratorType": "TRIM_HORIZON"}
        got = await self._call("GetShardIterator", {**arguments, **start})
        return str(got["ShardIterator"])

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
        if answer.status == 400:  # noqa: PLR2004
            message = f"{operation} of {self._arn}: {text.decode(errors='replace')}"
            raise _RefusedError(message, error_code(text))
        answer.raise_for_status()
        return json.loads(text)


def error_code(body: bytes) -> str:
    """The error's name in an answer of the JSON protocol; empty if there is none."""
    try:
        return str(json.loads(body)["__type"]).rsplit("#", 1)[-1]
    except (ValueError, KeyError, TypeError):
        return ""


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
