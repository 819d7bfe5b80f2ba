"""The partial-batch contract of a stream mapping, as AWS documents it, without a network."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    DynamoDBStreamLambdaOnFailureDestinationModel,
)

from local.adapters.stream_batches import (
    LONGEST_WAIT_S,
    Answer,
    BatchProcessor,
    Failure,
    MappingConfig,
    NotInvokedError,
    Record,
    read_failure,
)

pytestmark = pytest.mark.unit

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:fanout"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:fanout-dlq"
NOW = 1_800_000_000.0
SUCCESS = Answer(b'{"batchItemFailures": []}')
ERROR = Answer(b'{"errorMessage": "on purpose"}', error="Unhandled", request_id="r-1")
CONFIG = MappingConfig(FUNCTION, STREAM, reports_failures=True, destination=QUEUE)


def records(*numbers: int, created: float = NOW) -> list[Record]:
    return [
        {"dynamodb": {"SequenceNumber": str(number), "ApproximateCreationDateTime": created}}
        for number in numbers
    ]


def failing_from(number: int | str | None) -> Answer:
    failures = [{"itemIdentifier": None if number is None else str(number)}]
    return Answer(json.dumps({"batchItemFailures": failures}).encode(), request_id="r-1")


@dataclass
class World:
    """The function, the on-failure destination and the clock of a batch processor."""

    behaviour: Callable[[list[int], int], Answer]
    """Sequence numbers and how many calls were before, to the answer."""
    now: float = NOW
    batches: list[list[int]] = field(default_factory=list)
    discarded: list[dict[str, Any]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def invoke(self, batch: Sequence[Record], /) -> Answer:
        numbers = [int(each["dynamodb"]["SequenceNumber"]) for each in batch]
        self.batches.append(numbers)
        return self.behaviour(numbers, len(self.batches) - 1)

    async def discard(self, body: str, /) -> None:
        self.discarded.append(json.loads(body))

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    @property
    def discarded_ranges(self) -> list[tuple[int, int, str]]:
        return [
            (
                int(each["DDBStreamBatchInfo"]["startSequenceNumber"]),
                int(each["DDBStreamBatchInfo"]["endSequenceNumber"]),
                each["requestContext"]["condition"],
            )
            for each in self.discarded
        ]


def process(
    config: MappingConfig, batch: list[Record], behaviour: Callable[[list[int], int], Answer]
) -> World:
    world = World(behaviour)
    processor = BatchProcessor(
        config,
        "shard-1",
        invoke=world.invoke,
        discard=world.discard,
        clock=lambda: world.now,
        wait=world.wait,
    )
    asyncio.run(processor.process(batch))
    return world


def poison(*bad: int) -> Callable[[list[int], int], Answer]:
    """Reports the first bad record of each batch."""

    def behaviour(numbers: list[int], _: int) -> Answer:
        found = [each for each in numbers if each in bad]
        return failing_from(found[0]) if found else SUCCESS

    return behaviour


def raising(*bad: int) -> Callable[[list[int], int], Answer]:
    """Fails as a whole if a bad record is in the batch."""
    return lambda numbers, _: ERROR if set(numbers) & set(bad) else SUCCESS


@pytest.mark.parametrize(
    "payload",
    [b"", b" \n", b"null", b"{}", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}'],
)
def test_what_aws_calls_a_complete_success(payload: bytes):
    """An empty or null list, an empty or null response."""
    assert read_failure(Answer(payload), records(1, 2), reports_failures=True) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemId": "2"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "99"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": 2}]}',
        b'{"batchItemFailures": [{"itemIdentifier": ["2"]}]}',
        b'{"batchItemFailures": ["2"]}',
        b'{"batchItemFailures": "2"}',
        b'{"batchItemFailures": 2}',
        b'"failed"',
        b"[1]",
        b"not JSON",
        b"\xff\xfe",
    ],
)
def test_what_aws_calls_a_complete_failure(payload: bytes):
    """An identifier that is empty, null, under a wrong key or unknown, or what is not JSON."""
    failure = read_failure(Answer(payload), records(1, 2), reports_failures=True)
    assert failure == Failure(0, whole=True)


def test_the_lowest_sequence_number_is_the_checkpoint():
    """As a number: 9 is before 10, whatever the order in the answer."""
    payload = b'{"batchItemFailures": [{"itemIdentifier": "10"}, {"itemIdentifier": "9"}]}'
    failure = read_failure(Answer(payload), records(8, 9, 10), reports_failures=True)
    assert failure == Failure(1, whole=False)


def test_without_the_setting_only_an_error_is_a_failure():
    """`batchItemFailures` means nothing to a mapping that did not ask for it."""
    batch = records(1, 2)
    assert read_failure(failing_from(1), batch, reports_failures=False) is None
    assert read_failure(ERROR, batch, reports_failures=False) == Failure(0, whole=True)


def test_a_partial_failure_is_retried_from_the_checkpoint():
    """Records before the failed one are done, all from it on come again, in order."""
    world = process(
        CONFIG, records(1, 2, 3, 4), lambda numbers, n: SUCCESS if n else poison(3)(numbers, n)
    )
    assert world.batches == [[1, 2, 3, 4], [3, 4]]
    assert world.discarded == []


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_exhausted_retries_discard_the_rest_of_the_batch(retries: int):
    """Without bisect, what follows the poison is discarded with it: a pointer says which."""
    config = replace(CONFIG, max_retries=retries)
    world = process(config, records(1, 2, 3, 4), poison(3))
    assert world.batches == [[1, 2, 3, 4], *[[3, 4]] * retries]
    assert world.discarded_ranges == [(3, 4, "RetryAttemptsExhausted")]


def test_bisect_on_an_error_isolates_the_poison():
    """Halves, first half first; only the one poisonous record is discarded."""
    config = replace(CONFIG, bisect=True, max_retries=2)
    world = process(config, records(*range(1, 9)), raising(6))
    assert world.discarded_ranges == [(6, 6, "RetryAttemptsExhausted")]
    assert world.batches == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [5, 6],
        [5],
        *[[6]] * 3,
        [7, 8],
    ]


def test_bisect_with_reported_failures_cuts_at_the_checkpoint():
    """Progress costs no retry: what is left has its one retry still."""
    config = replace(CONFIG, bisect=True, max_retries=1)
    world = process(config, records(1, 2, 3, 4, 5), poison(2))
    assert world.batches[:2] == [[1, 2, 3, 4, 5], [2, 3, 4, 5]]
    assert world.batches.count([2, 3, 4, 5]) == 2
    assert world.discarded_ranges == [(2, 5, "RetryAttemptsExhausted")]


def test_splitting_costs_no_retry():
    """With no retries allowed at all a batch is still taken apart down to its poison."""
    config = replace(CONFIG, bisect=True, max_retries=0)
    world = process(config, records(1, 2, 3, 4), raising(2, 3))
    assert world.discarded_ranges == [
        (2, 2, "RetryAttemptsExhausted"),
        (3, 3, "RetryAttemptsExhausted"),
    ]
    done = {number for batch in world.batches for number in batch if not {2, 3} & set(batch)}
    assert done == {1, 4}


def test_records_succeed_in_order_whatever_fails():
    """Each record is done after all those before it, and none is lost."""
    done: list[int] = []

    def flaky(numbers: list[int], call: int) -> Answer:
        if call % 3 == 0:
            return ERROR
        if call % 3 == 1 and len(numbers) > 1:
            done.extend(numbers[:1])
            return failing_from(numbers[1])
        done.extend(numbers)
        return SUCCESS

    world = process(replace(CONFIG, bisect=True), records(*range(1, 20)), flaky)
    assert done == list(range(1, 20))
    assert world.discarded == []


def test_a_function_that_was_not_reached_costs_no_retry():
    """Throttled ten times with no retry allowed: the batch still succeeds, and the wait grows."""

    def throttled(_: list[int], call: int) -> Answer:
        if call < 10:
            raise NotInvokedError("HTTP 429")
        return SUCCESS

    world = process(replace(CONFIG, max_retries=0), records(1), throttled)
    assert len(world.batches) == 11
    assert world.discarded == []
    assert world.waits == sorted(world.waits)
    assert world.waits[-1] <= LONGEST_WAIT_S


def test_no_limit_means_no_limit():
    """-1 retries for ever, AWS's default."""
    world = process(CONFIG, records(1), lambda _, call: SUCCESS if call == 200 else ERROR)
    assert len(world.batches) == 201
    assert world.discarded == []


def test_records_that_are_too_old_are_discarded_before_an_attempt():
    """They are never given to the function again; the younger ones are."""
    config = replace(CONFIG, max_age_s=60)
    batch = [*records(1, 2, created=NOW - 61), *records(3, created=NOW - 59)]
    world = process(config, batch, lambda *_: SUCCESS)
    assert world.batches == [[3]]
    assert world.discarded_ranges == [(1, 2, "RecordAgeExceeded")]
    (body,) = world.discarded
    assert body["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in body


def test_records_grow_too_old_between_attempts():
    """A function that is never reached holds a record no longer than its age allows."""

    def unreachable(*_: object) -> Answer:
        raise NotInvokedError("connection refused")

    world = process(replace(CONFIG, max_age_s=60), records(1, 2), unreachable)
    assert world.discarded_ranges == [(1, 2, "RecordAgeExceeded")]
    assert 60 < world.now - NOW <= 60 + LONGEST_WAIT_S


def test_the_on_failure_record_has_the_documented_shape():
    """Powertools' model of it, made from AWS's documentation, reads every field."""
    batch = [*records(7, created=NOW - 2.5), *records(8, created=NOW - 1)]
    world = process(replace(CONFIG, max_retries=1), batch, lambda *_: ERROR)
    (body,) = world.discarded
    read = DynamoDBStreamLambdaOnFailureDestinationModel.model_validate(body)
    assert read.request_context.request_id == "r-1"
    assert read.request_context.function_arn == FUNCTION
    assert read.request_context.condition == "RetryAttemptsExhausted"
    assert read.request_context.approximate_invoke_count == 2
    assert read.response_context.status_code == 200
    assert read.response_context.executed_version == "$LATEST"
    assert read.response_context.function_error == "Unhandled"
    assert read.version == "1.0"
    info = read.ddb_stream_batch_info
    assert (info.start_sequence_number, info.end_sequence_number) == ("7", "8")
    assert (info.batch_size, info.shard_id, info.stream_arn) == (2, "shard-1", STREAM)
    assert body["timestamp"].endswith("Z")
    first = datetime.fromtimestamp(NOW - 2.5, UTC).replace(microsecond=0)
    assert info.approximate_arrival_of_first_record == first


def test_a_reported_failure_has_no_function_error():
    """The function returned, so the on-failure record does not claim that it raised."""
    world = process(replace(CONFIG, max_retries=0), records(1), poison(1))
    (body,) = world.discarded
    assert body["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


def test_without_a_destination_discarded_records_are_only_logged(caplog: pytest.LogCaptureFixture):
    """The mapping goes on, as on AWS; the log has the number of records and the reason."""
    world = process(
        replace(CONFIG, destination=None, max_retries=0), records(1, 2), lambda *_: ERROR
    )
    assert world.discarded == []
    assert "2 records discarded" in caplog.text
    assert "RetryAttemptsExhausted" in caplog.text


def test_settings_come_from_the_api_and_defaults_from_aws():
    """What GetEventSourceMapping leaves out is AWS's default: retry for ever, no bisect."""
    least = MappingConfig.from_api({"FunctionArn": FUNCTION, "EventSourceArn": STREAM})
    assert least == MappingConfig(FUNCTION, STREAM)
    assert (least.max_retries, least.max_age_s, least.bisect, least.batch_size) == (
        -1,
        -1,
        False,
        100,
    )
    full = MappingConfig.from_api(
        {
            "FunctionArn": FUNCTION,
            "EventSourceArn": STREAM,
            "BatchSize": 25,
            "ParallelizationFactor": 3,
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": 5,
            "MaximumRecordAgeInSeconds": 3600,
            "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "StartingPosition": "TRIM_HORIZON",
            "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["MODIFY"]}'}]},
        }
    )
    assert full == MappingConfig(
        FUNCTION, STREAM, 25, 3, True, 5, 3600, QUEUE, True, "TRIM_HORIZON",
        ({"eventName": ["MODIFY"]},),
    )  # fmt: skip
