"""How the stream mapping reads and deals records, in virtual time and without a network."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from local.adapters.stream_batches import Answer, MappingConfig, Record
from local.adapters.stream_mapping import (
    AHEAD_BATCHES,
    GIVE_UP_S,
    StreamMappingAdapter,
    lane_of,
)
from local.errors import AdapterError
from tests.support.virtual_time import run

pytestmark = pytest.mark.unit

CONFIG = MappingConfig("arn:function:fanout", "arn:stream", parallelization=4, batch_size=10)
SUCCESS = Answer(b"")


def record(key: str, number: int, event: str = "MODIFY") -> Record:
    return {
        "eventName": event,
        "dynamodb": {
            "Keys": {"pk": {"S": key}},
            "SequenceNumber": str(number),
            "ApproximateCreationDateTime": 1_800_000_000,
        },
    }


def place(each: Record) -> tuple[str, int]:
    return each["dynamodb"]["Keys"]["pk"]["S"], int(each["dynamodb"]["SequenceNumber"])


class FakeStream:
    """One shard; each poll gives at most `page` records, and after them none."""

    def __init__(self, records: Sequence[Record], page: int = 20) -> None:
        self.left = deque(records)
        self.page = page
        self.polls = 0
        self.error: Exception | None = None

    async def shards(self) -> Sequence[str]:
        return ["shard-1"]

    async def read(self, _: str) -> Sequence[Record]:
        self.polls += 1
        if self.error is not None:
            raise self.error
        return [self.left.popleft() for _ in range(min(self.page, len(self.left)))]


class SlowFunction:
    """Takes `seconds` for a batch; remembers what it got and how much at once."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.held = asyncio.Event()
        self.held.set()
        self.done: list[tuple[str, int]] = []
        self.sizes: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def __call__(self, records: Sequence[Record], /) -> Answer:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.sizes.append(len(records))
        await asyncio.sleep(self.seconds)
        await self.held.wait()
        self.done += map(place, records)
        self.in_flight -= 1
        return SUCCESS


async def ignore(_: str, /) -> None: ...


async def deliver(
    config: MappingConfig,
    stream: FakeStream,
    function: SlowFunction,
    *,
    seconds: float = 60,
    **options: Any,
) -> None:
    """Let the adapter run for so long."""
    adapter = StreamMappingAdapter(
        config, stream=stream, invoke=function, discard=ignore, **options
    )
    task = asyncio.create_task(adapter.run())
    await asyncio.wait([task], timeout=seconds)
    if task.done():
        task.result()
    task.cancel()
    await asyncio.wait([task])


def test_lanes_keep_the_order_of_each_item():
    """Lanes run side by side; the records of one item arrive in their order, each once."""
    keys = [f"item-{n}" for n in range(12)]
    sent = [record(keys[n % 12], n) for n in range(240)]
    stream = FakeStream(sent)

    async def main() -> SlowFunction:
        function = SlowFunction()
        await deliver(CONFIG, stream, function, lanes=4)
        return function

    function = run(main())
    assert sorted(function.done) == sorted(map(place, sent))
    for key in keys:
        numbers = [number for each, number in function.done if each == key]
        assert numbers == sorted(numbers)
    assert function.most_in_flight == 4
    assert max(function.sizes) <= 10


@pytest.mark.parametrize(("lanes", "factor", "expected"), [(4, 1, 1), (2, 10, 2), (4, 10, 4)])
def test_never_more_lanes_than_the_mapping_allows(lanes: int, factor: int, expected: int):
    """The smaller of the laptop's limit and the parallelization factor is in flight."""
    stream = FakeStream([record(f"item-{n}", n) for n in range(200)])

    async def main() -> SlowFunction:
        function = SlowFunction()
        await deliver(replace(CONFIG, parallelization=factor), stream, function, lanes=lanes)
        return function

    assert run(main()).most_in_flight == expected


def test_reading_pauses_when_a_lane_is_full():
    """What waits in memory is bounded, although other lanes are idle; nothing is lost."""
    # All of one item, so that one lane is full and three have nothing to do.
    sent = [record("item", n) for n in range(1000)]
    stream = FakeStream(sent, page=50)

    async def main() -> SlowFunction:
        function = SlowFunction()
        function.held.clear()
        task = asyncio.create_task(deliver(CONFIG, stream, function, seconds=1000, lanes=4))
        await asyncio.sleep(100)
        taken = 1000 - len(stream.left)
        assert taken <= (AHEAD_BATCHES + 1) * CONFIG.batch_size + stream.page
        polls = stream.polls
        await asyncio.sleep(100)
        assert stream.polls == polls
        function.held.set()
        await task
        return function

    assert run(main()).done == [place(each) for each in sent]


def test_nobody_polls_while_all_lanes_are_busy():
    """A poll costs the emulator time, and nothing could be done with a record."""
    stream = FakeStream([record(f"item-{n}", n) for n in range(40)], page=40)

    async def main() -> int:
        function = SlowFunction()
        function.held.clear()
        task = asyncio.create_task(deliver(CONFIG, stream, function, seconds=1000, lanes=4))
        await asyncio.sleep(10)
        assert function.in_flight == 4
        polls = stream.polls
        await asyncio.sleep(100)
        assert stream.polls == polls
        function.held.set()
        await task
        return stream.polls - polls

    assert run(main()) > 0, "polling goes on when a lane is free"


def test_the_filter_decides_what_is_delivered():
    """Records that no pattern takes never reach the function."""
    stream = FakeStream([record("item", n, "REMOVE" if n % 2 else "MODIFY") for n in range(10)])
    config = replace(CONFIG, patterns=({"eventName": ["MODIFY"]},))

    async def main() -> SlowFunction:
        function = SlowFunction()
        await deliver(config, stream, function)
        return function

    assert [number for _, number in run(main()).done] == [0, 2, 4, 6, 8]


def test_a_stream_that_recovers_in_time_is_read_on():
    """Twenty seconds of errors cost nothing but time."""
    stream = FakeStream([record("item", 1)])
    stream.error = aiohttp.ClientConnectionError("refused")

    async def main() -> SlowFunction:
        function = SlowFunction()
        task = asyncio.create_task(deliver(CONFIG, stream, function))
        await asyncio.sleep(20)
        stream.error = None
        await task
        return function

    assert run(main()).done == [("item", 1)]


@pytest.mark.parametrize("error", [aiohttp.ClientConnectionError("refused"), TimeoutError("slow")])
def test_a_stream_that_stays_away_is_an_error(error: Exception):
    """After 30 s the adapter ends, naming itself and what it met."""
    stream = FakeStream([])
    stream.error = error

    async def main() -> float:
        started = asyncio.get_running_loop().time()
        with pytest.raises(ExceptionGroup) as raised:
            await deliver(CONFIG, stream, SlowFunction(), seconds=1000)
        (only,) = raised.value.exceptions
        assert isinstance(only, AdapterError)
        assert "stream mapping to fanout" in str(only)
        assert str(error) in str(only)
        return asyncio.get_running_loop().time() - started

    assert GIVE_UP_S <= run(main()) <= GIVE_UP_S + 1


def test_a_defect_in_a_lane_ends_the_adapter():
    """No lane dies silently while the others go on."""
    stream = FakeStream([record("item", 1)])

    class Broken(SlowFunction):
        async def __call__(self, records: Sequence[Record], /) -> Answer:
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            await deliver(CONFIG, stream, Broken())
        assert raised.group_contains(ZeroDivisionError)

    run(main())


def test_an_item_has_one_lane_whatever_the_order_of_its_keys():
    """The lane is a matter of the key alone."""
    one = {"dynamodb": {"Keys": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}
    other = {"dynamodb": {"Keys": {"sk": {"S": "b"}, "pk": {"S": "a"}}}}
    assert lane_of(one, 7) == lane_of(other, 7)
    assert {lane_of(record(f"item-{n}", n), 4) for n in range(50)} == {0, 1, 2, 3}
