"""The requests of a stream mapping, against a server that answers as the services do."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from local.adapters.stream_batches import NotInvokedError
from local.adapters.stream_wire import EmulatorFunction, EmulatorStream, QueueDestination
from local.endpoint import Endpoint
from local.errors import AdapterError

pytestmark = pytest.mark.integration

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/now"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:fanout"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:fanout-dlq"


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Any],
) -> AsyncIterator[tuple[Endpoint, aiohttp.ClientSession]]:
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession() as session:
        endpoint = Endpoint(str(server.make_url("")).rstrip("/"), "AKIAROOT", "secret")
        try:
            yield endpoint, session
        finally:
            endpoint.close()


class FakeStreams:
    """DynamoDB Streams with one shard; an iterator is the position of the next record."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.trimmed = 0
        self.expired = False
        self.closed = False
        self.fails = 0
        self.iterator_types: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAROOT")
        operation = request.headers["X-Amz-Target"].rsplit(".", 1)[1]
        if self.fails:
            self.fails -= 1
            return web.Response(status=500)
        return getattr(self, operation)(await request.json())

    def DescribeStream(self, _: dict[str, Any]) -> web.Response:  # noqa: N802
        return web.json_response({"StreamDescription": {"Shards": [{"ShardId": "shard-1"}]}})

    def GetShardIterator(self, asked: dict[str, Any]) -> web.Response:  # noqa: N802
        kind = asked["ShardIteratorType"]
        self.iterator_types.append(kind)
        self.expired = False
        if kind == "AFTER_SEQUENCE_NUMBER":
            number = int(asked["SequenceNumber"])
            if number not in self.numbers[self.trimmed :]:
                return refused("TrimmedDataAccessException")
            position = self.numbers.index(number) + 1
        else:
            position = self.trimmed if kind == "TRIM_HORIZON" else len(self.numbers)
        return web.json_response({"ShardIterator": str(position)})

    def GetRecords(self, asked: dict[str, Any]) -> web.Response:  # noqa: N802
        position = int(asked["ShardIterator"])
        if self.expired:
            return refused("ExpiredIteratorException")
        if position < self.trimmed:
            return refused("TrimmedDataAccessException")
        found = [{"dynamodb": {"SequenceNumber": str(n)}} for n in self.numbers[position:]]
        following = {} if self.closed else {"NextShardIterator": str(len(self.numbers))}
        return web.json_response({"Records": found, **following})


def refused(code: str) -> web.Response:
    return web.json_response(
        {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "on purpose"}, status=400
    )


async def read(stream: EmulatorStream) -> list[int]:
    records = await stream.read("shard-1")
    assert {each["eventSourceARN"] for each in records} <= {STREAM}
    return [int(each["dynamodb"]["SequenceNumber"]) for each in records]


async def test_records_are_read_once_from_the_starting_position():
    """LATEST leaves out what was there before the first read."""
    fake = FakeStreams()
    fake.numbers = [1, 2]
    async with serving(fake.handle) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "LATEST")
        assert await stream.shards() == ["shard-1"]
        assert await read(stream) == []
        fake.numbers += [3, 4]
        assert await read(stream) == [3, 4]
        assert await read(stream) == []


async def test_an_expired_iterator_loses_and_repeats_nothing():
    """A laptop that slept for more than 15 minutes goes on after the last record."""
    fake = FakeStreams()
    async with serving(fake.handle) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "LATEST")
        await read(stream)
        fake.numbers += [1, 2]
        assert await read(stream) == [1, 2]
        fake.numbers += [3]
        fake.expired = True
        assert await read(stream) == []
        assert await read(stream) == [3]
        assert fake.iterator_types == ["LATEST", "AFTER_SEQUENCE_NUMBER"]


async def test_after_more_than_a_day_it_goes_on_with_what_is_left():
    """The last record is trimmed: everything that is still there is newer."""
    fake = FakeStreams()
    async with serving(fake.handle) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "LATEST")
        await read(stream)
        fake.numbers += [1]
        assert await read(stream) == [1]
        fake.numbers += [2, 3, 4]
        fake.trimmed = 2
        assert await read(stream) == []
        assert await read(stream) == [3, 4]


async def test_what_no_retry_makes_right_ends_the_adapter():
    """A refusal with the server's words, and a stream whose table is gone."""
    fake = FakeStreams()
    async with serving(fake.handle) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "LATEST")
        fake.closed = True
        with pytest.raises(AdapterError, match="was its table deleted"):
            await read(stream)

    async def refuse(_: web.Request) -> web.Response:
        return refused("ResourceNotFoundException")

    async with serving(refuse) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "LATEST")
        with pytest.raises(AdapterError, match=r"DescribeStream of arn.*ResourceNotFound"):
            await stream.shards()


async def test_a_failing_server_may_be_asked_again():
    """What the adapter retries, without having lost its place."""
    fake = FakeStreams()
    async with serving(fake.handle) as (endpoint, session):
        stream = EmulatorStream(endpoint, session, STREAM, "TRIM_HORIZON")
        fake.numbers = [1]
        fake.fails = 1
        with pytest.raises(aiohttp.ClientError):
            await read(stream)
        assert await read(stream) == [1]


async def test_an_invocation_brings_the_records_and_takes_the_answer():
    """As Lambda's event; an error of the function is its own, not the service's."""
    seen: list[Any] = []

    async def invoke(request: web.Request) -> web.Response:
        seen.append((request.path, await request.json()))
        return web.Response(
            body=b'{"errorMessage": "x"}',
            headers={
                "X-Amz-Function-Error": "Unhandled",
                "X-Amz-Executed-Version": "7",
                "x-amzn-RequestId": "r-1",
            },
        )

    async with serving(invoke) as (endpoint, session):
        answer = await EmulatorFunction(endpoint, session, FUNCTION)([{"eventID": "1"}])
    assert seen == [
        (f"/2015-03-31/functions/{FUNCTION}/invocations", {"Records": [{"eventID": "1"}]})
    ]
    assert (answer.error, answer.version, answer.request_id) == ("Unhandled", "7", "r-1")
    assert json.loads(answer.payload) == {"errorMessage": "x"}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_function_that_was_not_reached_is_told_apart(status: int):
    """Throttled or failed by the service: the function never saw the records."""

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=status, text="on purpose")

    async with serving(fail) as (endpoint, session):
        with pytest.raises(NotInvokedError, match=f"HTTP {status}: on purpose"):
            await EmulatorFunction(endpoint, session, FUNCTION)([])


async def test_a_service_that_is_gone_was_not_reached():
    """A refused connection costs no retry either."""

    async def nothing(_: web.Request) -> web.Response:
        raise AssertionError

    async with serving(nothing) as (endpoint, _):
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(NotInvokedError, match="ClientConnectorError"):
            await EmulatorFunction(endpoint, session, FUNCTION)([])


async def test_an_on_failure_record_is_sent_until_the_queue_has_it():
    """A pointer that is lost is a change that nobody will ever look for."""
    sent: list[str] = []
    refusals = 2

    async def sqs(request: web.Request) -> web.Response:
        nonlocal refusals
        asked = await request.json()
        if request.headers["X-Amz-Target"].endswith("GetQueueUrl"):
            assert asked == {"QueueName": "fanout-dlq"}
            return web.json_response({"QueueUrl": str(request.url.with_path("/q/fanout-dlq"))})
        if refusals:
            refusals -= 1
            return web.json_response({"__type": "InternalError"}, status=500)
        sent.append(asked["MessageBody"])
        return web.json_response({"MessageId": "m-1"})

    async with serving(sqs) as (endpoint, _):
        await QueueDestination(endpoint, QUEUE)('{"a": 1}')
    assert sent == ['{"a": 1}']
