"""The fan-out, fed with real stream events; what counts is what AppSync received and the answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gql.transport.requests import RequestsHTTPTransport
from graphql import parse

from pipeline.appsync import ALIASES_PER_DOCUMENT, AppSync, document
from pipeline.deadline import Deadline
from pipeline.errors import EventShapeError
from pipeline.fanout import Fanout
from tests.support.aws import Aws, always, refusal
from tests.support.fanouts import FanoutBench, fanout_bench, locker, tile
from tests.support.lambda_events import AT, RECEIVED_AT, STREAM_ARN, stream_event

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(aws: Aws) -> Iterator[FanoutBench]:
    with fanout_bench(aws) as running:
        yield running


def test_a_changed_tile_is_published(bench: FanoutBench):
    """One change, one mutation, with every field and the time of publishing."""
    assert bench.publish(tile()) == []
    (batch,) = bench.server.batches()
    assert batch["buildingId"] == "maple-court"
    assert batch["publishedAt"] == RECEIVED_AT + 50
    assert batch["lockers"] == []
    assert batch["tiles"] == [
        {
            "buildingId": "maple-court",
            "lockerId": "l03",
            "doorId": "d01",
            "version": "00000000004294967297",
            "kind": "opened",
            "status": "open",
            "open": True,
            "occupied": False,
            "fault": None,
            "at": AT,
            "receivedAt": RECEIVED_AT,
            "queuedAt": RECEIVED_AT + 1,
            "projectedAt": RECEIVED_AT + 2,
            "trace": "t",
        }
    ]


def test_requests_are_signed_for_appsync(bench: FanoutBench):
    """SigV4, service appsync, for the API's own host."""
    bench.publish(tile())
    (headers,) = bench.server.headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/us-east-1/appsync/aws4_request" in headers["authorization"]
    assert headers["host"] == "example.appsync-api.us-east-1.amazonaws.com"


def test_a_locker_is_published(bench: FanoutBench):
    """Presence goes the same way as doors."""
    assert bench.publish(locker(revision=3)) == []
    (batch,) = bench.server.batches()
    (sent,) = batch["lockers"]
    assert (sent["connected"], sent["revision"], sent["since"]) == (False, 3, RECEIVED_AT)
    assert batch["tiles"] == []


ATTENTION = {"attention": {"S": "forced"}}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [({}, ATTENTION, True), (ATTENTION, {}, True), (ATTENTION, ATTENTION, True), ({}, {}, False)],
    ids=["enters", "leaves", "stays", "never-there"],
)
def test_operators_are_told_what_enters_or_leaves_the_attention_list(
    bench: FanoutBench, before: dict, after: dict, told: bool
):
    """The batch says so for the building concerned, and for no other."""
    event = stream_event([tile("b1") | after, tile("b2")])
    event["Records"][0]["dynamodb"]["OldImage"] = tile("b1", seq=0) | before
    assert bench.fanout.handle(event, Deadline(10.0)) == {"batchItemFailures": []}
    said = {batch["buildingId"]: batch["attention"] for batch in bench.server.batches()}
    assert said == {"b1": told, "b2": False}


def test_a_door_that_was_forced_in_between_is_told_to_operators(bench: FanoutBench):
    """Forced and closed within one batch: its newest state is pushed, and that it left the list."""
    assert bench.publish(tile(seq=1), tile(seq=2) | ATTENTION, tile(seq=3)) == []
    (batch,) = bench.server.batches()
    assert batch["attention"]
    assert len(batch["tiles"]) == 1


def test_a_hundred_tiles_of_ten_buildings_are_one_request(bench: FanoutBench):
    """Aliases: one document, one mutation a building, one request."""
    images = [tile(f"b{n % 10}", f"d{n}") for n in range(100)]
    assert bench.publish(*images) == []
    assert len(bench.server.requests) == 1
    assert sorted(batch["buildingId"] for batch in bench.server.batches()) == [
        f"b{n}" for n in range(10)
    ]
    assert all(len(batch["tiles"]) == 10 for batch in bench.server.batches())


def test_more_buildings_than_a_document_takes(bench: FanoutBench):
    """A hundred buildings are two requests: 0.02 a changed tile."""
    assert bench.publish(*(tile(f"b{n}") for n in range(100))) == []
    assert [len(body["variables"]) for body in bench.server.requests] == [ALIASES_PER_DOCUMENT] * 2


def test_more_tiles_than_a_push_takes(bench: FanoutBench):
    """A building with very many changes gets several pushes, none above AppSync's limit."""
    assert bench.publish(*(tile(door=f"d{n}") for n in range(250))) == []
    assert [len(batch["tiles"]) for batch in bench.server.batches()] == [100, 100, 50]
    assert max(len(json.dumps(batch)) for batch in bench.server.batches()) < 240_000


def test_only_the_newest_state_of_a_tile_is_published(bench: FanoutBench):
    """A door that moved thrice in a batch is pushed once, whatever the order."""
    assert (
        bench.publish(tile(seq=2), tile(seq=3), tile(seq=1), locker(revision=2), locker(revision=1))
        == []
    )
    (batch,) = bench.server.batches()
    assert [each["version"][-1] for each in batch["tiles"]] == ["9"]  # 2^32 + 3
    assert [each["revision"] for each in batch["lockers"]] == [2]


def test_a_graphql_error_fails_its_building_only(bench: FanoutBench):
    """HTTP 200 with an error is a failure of that alias, from its lowest sequence number on."""
    bench.server.refused = {"b2"}
    assert bench.publish(tile("b1"), tile("b2", seq=1), tile("b3"), tile("b2", seq=2)) == ["101"]
    (failed,) = [line for line in bench.log() if line["message"] == "not published"]
    assert "b2" in failed["detail"]
    assert "MappingTemplate" in failed["detail"]


def test_null_without_an_error_is_a_failure(bench: FanoutBench):
    """No data, no push."""
    bench.server.nulled = {"b1"}
    assert bench.publish(tile("b0"), tile("b1")) == ["101"]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Unauthorized"},
        {"message": "x", "path": ["elsewhere"]},
        {"message": "x", "path": [0]},
        {"message": "x", "path": None},
        {"message": "x", "path": []},
        {"message": "x", "path": "b1"},
        {"message": None},
        {},
    ],
)
def test_an_error_that_names_no_alias_fails_all(bench: FanoutBench, error: dict):
    """If nobody knows whom it concerns, it concerns everybody."""
    bench.server.errors = [error]
    assert bench.publish(tile("b0"), tile("b1")) == ["100"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (503, b"unavailable"),
        (429, b'{"errors": []}'),
        (401, b'{"errors": [{"errorType": "UnauthorizedException", "message": "no"}]}'),
        (403, b'{"message": "Forbidden"}'),
        (413, b"too large"),
        (200, b"null"),
        (200, b"7"),
        (200, b'"data"'),
        (200, b'{"data": {"b0": {}, "b1": {}}, "errors": "no"}'),
        (200, b'{"data": {"b0": {}, "b1": {}}, "errors": [7]}'),
        (200, b'{"data": {"b0": {}, "b1": {}}, "errors": [{"message": "x", "path": 7}]}'),
        (200, b'{"data": ["b0", "b1"]}'),
        (200, b"<html>"),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"data": null}'),
        (200, b'{"data": {"b7": {}}}'),
    ],
)
def test_an_answer_that_is_no_success_fails_the_batch(bench: FanoutBench, status: int, body: bytes):
    """Whatever AppSync answers that is not each alias' data is a failure of all."""
    bench.server.status, bench.server.body = status, body
    assert bench.publish(tile("b0"), tile("b1")) == ["100"]
    bench.server.status, bench.server.body = 200, None
    assert bench.publish(tile("b0"), tile("b1")) == []


def test_appsync_that_hangs_is_given_up_in_time(bench: FanoutBench):
    """A request that takes longer than the time left is a failure, and the function answers."""
    bench.server.hang.clear()
    assert bench.publish(tile(), seconds=0.3) == ["100"]


def test_no_time_left_sends_nothing(bench: FanoutBench):
    """With its time over it answers at once with the checkpoint."""
    assert bench.publish(tile(), seconds=-1) == ["100"]
    assert bench.server.requests == []


def test_appsync_that_is_not_there(bench: FanoutBench):
    """A refused connection is retried like any failure."""
    gone = AppSync(RequestsHTTPTransport("http://127.0.0.1:9/graphql"), lambda: 0)
    fanout = Fanout(gone, bench.fanout._parking, bench.fanout._report)
    response = fanout.handle(stream_event([tile()]), Deadline(5))
    assert response == {"batchItemFailures": [{"itemIdentifier": "100"}]}


def test_the_second_document_fails_alone(bench: FanoutBench):
    """The checkpoint is the lowest sequence number of what failed, across documents."""
    bench.server.refused = {"b73", "b91"}
    assert bench.publish(*(tile(f"b{n}") for n in range(100))) == ["173"]


def test_an_empty_batch_is_answered_explicitly(bench: FanoutBench):
    """No records, no failures, and still an explicit answer."""
    assert bench.fanout.handle({"Records": []}, Deadline(1)) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "event", [{}, {"Records": [{"messageId": "1", "body": ""}]}, {"Records": 5}, None]
)
def test_an_event_of_another_kind_is_refused(bench: FanoutBench, event: Any):
    """A wrong mapping fails loudly."""
    with pytest.raises(EventShapeError, match="DynamoDB stream batch"):
        bench.fanout.handle(event, Deadline(1))


def test_what_is_no_tile_is_nobodys_news(bench: FanoutBench):
    """History, deletions and foreign items that slip past the filter are done."""
    removed = stream_event([tile()])
    del removed["Records"][0]["dynamodb"]["NewImage"]
    assert bench.fanout.handle(removed, Deadline(1)) == {"batchItemFailures": []}
    foreign = {**tile(), "entity": {"S": "EVENT"}}
    assert bench.publish(foreign, {"pk": {"S": "x"}, "sk": {"S": "y"}}) == []
    assert bench.server.requests == []


@pytest.mark.parametrize(
    "broken",
    [
        {"version": {"S": "7"}},
        {"building": {"S": "Not An Id"}},
        {"open": {"S": "yes"}},
        {"open": {"BOOL": "yes"}},
        {"received_at": {"N": "soon"}},
        {"status": {"S": "ajar"}},
        {"at": ...},
    ],
)
def test_an_unreadable_record_is_parked_and_its_neighbours_pass(bench: FanoutBench, broken: dict):
    """A poison record goes to the dead-letter queue as a pointer and holds nothing up."""
    image = {
        name: value for name, value in {**tile(door="d09"), **broken}.items() if value is not ...
    }
    assert bench.publish(tile(), image, tile(door="d02")) == []
    assert len(bench.server.batches()[0]["tiles"]) == 2
    (message,) = bench.aws.messages()
    body = json.loads(message["Body"])
    assert body["requestContext"] == {"condition": "PoisonRecord"}
    assert body["DDBStreamBatchInfo"]["startSequenceNumber"] == "101"
    assert body["DDBStreamBatchInfo"]["streamArn"] == STREAM_ARN
    assert body["keys"]["sk"]["S"] == "TILE#l03#d09"
    assert message["MessageAttributes"]["reason"]["StringValue"] == "image_unreadable"


def test_an_unreadable_locker_is_parked(bench: FanoutBench):
    """A locker's image is held to the same."""
    assert bench.publish({**locker(), "revision": {"N": "x"}}) == []
    assert len(bench.aws.messages()) == 1


def test_poison_that_cannot_be_parked_is_retried(bench: FanoutBench):
    """Nothing is passed over before it is safe somewhere else."""
    bench.sqs.faults["send_message_batch"] = always(
        refusal("ServiceUnavailable", "SendMessageBatch", 503)
    )
    assert bench.publish(tile(), {**tile(door="d09"), "at": {"N": "1"}}) == ["101"]


def test_the_lowest_number_is_found_by_value(bench: FanoutBench):
    """Sequence numbers are decimal numbers of differing length, not words."""
    bench.server.refused = {"b0", "b1"}
    event = stream_event([tile("b0"), tile("b1")], first=9)
    assert bench.fanout.handle(event, Deadline(5)) == {
        "batchItemFailures": [{"itemIdentifier": "9"}]
    }


def test_metrics_tell_the_coalescing(bench: FanoutBench, capsys: pytest.CaptureFixture[str]):
    """Published items, publications, requests and latency, embedded in the log."""
    bench.publish(tile("b0"), tile("b0", "d02"), tile("b1"))
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["Published"], line["Publications"], line["AppSyncRequests"]) == (
        [3.0],
        [2.0],
        [1.0],
    )
    assert line["DoorToPublished"] == [60.0] * 3
    (summary,) = bench.log()
    assert (summary["message"], summary["items"], summary["failed"]) == ("published", 3, 0)


def test_documents_are_parsed_once():
    """The document of n aliases is the same object each time."""
    assert document(7) is document(7)
    (operation, _fragment) = parse(document(2).document.loc.source.body).definitions
    assert len(operation.selection_set.selections) == 2
