"""The fan-out, fed with real stream events; what counts is what AppSync received and the answer."""

import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from gql.transport.requests import RequestsHTTPTransport
from graphql import parse

from pipeline import items
from pipeline.appsync import ALIASES_PER_DOCUMENT, AppSync, IamAuth, document
from pipeline.contract import DoorEvent, Kind, PresenceEvent, Thing
from pipeline.deadline import Deadline
from pipeline.errors import EventShapeError
from pipeline.fanout import Fanout
from pipeline.merge import presence_of
from pipeline.quarantine import Quarantine
from pipeline.report import FanoutReport
from tests.support.aws import Aws, FaultyClient, always, refusal
from tests.support.lambda_events import AT, RECEIVED_AT, STREAM_ARN, stream_event
from tests.support.mutation_server import MutationServer, mutation_server

pytestmark = pytest.mark.integration


def tile(
    building: str = "maple-court", door: str = "d01", *, seq: int = 1, locker: str = "l03"
) -> dict:
    """A tile's item as the projector writes it."""
    event = DoorEvent(
        thing=Thing(building, locker), door=door, kind=Kind.OPENED, boot=1, seq=seq, at=AT,
        open=True, occupied=False, fault=None, received_at=RECEIVED_AT, trace="t",
        client=None, payload="{}",
    )  # fmt: skip
    update = items.tile_update(event, queued_at=RECEIVED_AT + 1, projected_at=RECEIVED_AT + 2)
    values = update["ExpressionAttributeValues"]
    return {**update["Key"], **{name[1:]: value for name, value in values.items()}}


def locker(building: str = "maple-court", *, revision: int = 1, connected: bool = False) -> dict:
    """A locker's item as the projector writes it."""
    thing = Thing(building, "l03")
    event = PresenceEvent(thing, connected, RECEIVED_AT, "s1", 1, None, RECEIVED_AT, None)
    return items.locker_item(
        thing,
        presence_of(event),
        revision=revision,
        received_at=RECEIVED_AT,
        projected_at=RECEIVED_AT,
    )


class Bench:
    """A fan-out between a real HTTP server and an in-process queue."""

    def __init__(self, server: MutationServer, aws: Aws) -> None:
        self.server = server
        self.aws = aws
        self.sqs = FaultyClient(aws.sqs)
        signer = AppSyncIAMAuthentication(
            host="example.appsync-api.us-east-1.amazonaws.com",
            region_name="us-east-1",
            credentials=Credentials("AKIDEXAMPLE", "secret"),
        )
        self.transport = RequestsHTTPTransport(server.url, auth=IamAuth(signer))
        self._log = io.StringIO()
        self.fanout = Fanout(
            AppSync(self.transport, lambda: RECEIVED_AT + 50),
            Quarantine(self.sqs, aws.queue_url),  # type: ignore[arg-type]
            FanoutReport(
                Logger(service=f"fanout-{uuid.uuid4()}", stream=self._log, level="INFO"),
                Metrics(service="fanout", namespace="Latchline"),
                lambda: RECEIVED_AT + 60,
            ),
        )

    def publish(self, *images: Any, seconds: float = 10.0) -> list[str]:
        """Handle one batch with sequence numbers 100, 101, …; return the checkpoint, if any."""
        response = self.fanout.handle(stream_event(images), Deadline(seconds))
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


@pytest.fixture
def bench(aws: Aws) -> Iterator[Bench]:
    with mutation_server() as server:
        bench = Bench(server, aws)
        yield bench
        bench.transport.close()


def test_a_changed_tile_is_published(bench: Bench):
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


def test_requests_are_signed_for_appsync(bench: Bench):
    """SigV4, service appsync, for the API's own host."""
    bench.publish(tile())
    (headers,) = bench.server.headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/us-east-1/appsync/aws4_request" in headers["authorization"]
    assert headers["host"] == "example.appsync-api.us-east-1.amazonaws.com"


def test_a_locker_is_published(bench: Bench):
    """Presence goes the same way as doors."""
    assert bench.publish(locker(revision=3)) == []
    (batch,) = bench.server.batches()
    (sent,) = batch["lockers"]
    assert (sent["connected"], sent["revision"], sent["since"]) == (False, 3, RECEIVED_AT)
    assert batch["tiles"] == []


def test_a_hundred_tiles_of_ten_buildings_are_one_request(bench: Bench):
    """Aliases: one document, one mutation a building, one request."""
    images = [tile(f"b{n % 10}", f"d{n}") for n in range(100)]
    assert bench.publish(*images) == []
    assert len(bench.server.requests) == 1
    assert sorted(batch["buildingId"] for batch in bench.server.batches()) == [
        f"b{n}" for n in range(10)
    ]
    assert all(len(batch["tiles"]) == 10 for batch in bench.server.batches())


def test_more_buildings_than_a_document_takes(bench: Bench):
    """A hundred buildings are two requests: 0.02 a changed tile."""
    assert bench.publish(*(tile(f"b{n}") for n in range(100))) == []
    assert [len(body["variables"]) for body in bench.server.requests] == [ALIASES_PER_DOCUMENT] * 2


def test_more_tiles_than_a_push_takes(bench: Bench):
    """A building with very many changes gets several pushes, none above AppSync's limit."""
    assert bench.publish(*(tile(door=f"d{n}") for n in range(250))) == []
    assert [len(batch["tiles"]) for batch in bench.server.batches()] == [100, 100, 50]
    assert max(len(json.dumps(batch)) for batch in bench.server.batches()) < 240_000


def test_only_the_newest_state_of_a_tile_is_published(bench: Bench):
    """A door that moved thrice in a batch is pushed once, whatever the order."""
    assert (
        bench.publish(tile(seq=2), tile(seq=3), tile(seq=1), locker(revision=2), locker(revision=1))
        == []
    )
    (batch,) = bench.server.batches()
    assert [each["version"][-1] for each in batch["tiles"]] == ["9"]  # 2^32 + 3
    assert [each["revision"] for each in batch["lockers"]] == [2]


def test_a_graphql_error_fails_its_building_only(bench: Bench):
    """HTTP 200 with an error is a failure of that alias, from its lowest sequence number on."""
    bench.server.refused = {"b2"}
    assert bench.publish(tile("b1"), tile("b2", seq=1), tile("b3"), tile("b2", seq=2)) == ["101"]
    (failed,) = [line for line in bench.log() if line["message"] == "not published"]
    assert "b2" in failed["detail"]
    assert "MappingTemplate" in failed["detail"]


def test_null_without_an_error_is_a_failure(bench: Bench):
    """No data, no push."""
    bench.server.nulled = {"b1"}
    assert bench.publish(tile("b0"), tile("b1")) == ["101"]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Unauthorized"},
        {"message": "x", "path": ["elsewhere"]},
        {"message": "x", "path": [0]},
    ],
)
def test_an_error_that_names_no_alias_fails_all(bench: Bench, error: dict):
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
        (200, b"<html>"),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"data": null}'),
        (200, b'{"data": {"b7": {}}}'),
    ],
)
def test_an_answer_that_is_no_success_fails_the_batch(bench: Bench, status: int, body: bytes):
    """Whatever AppSync answers that is not each alias' data is a failure of all."""
    bench.server.status, bench.server.body = status, body
    assert bench.publish(tile("b0"), tile("b1")) == ["100"]
    bench.server.status, bench.server.body = 200, None
    assert bench.publish(tile("b0"), tile("b1")) == []


def test_appsync_that_hangs_is_given_up_in_time(bench: Bench):
    """A request that takes longer than the time left is a failure, and the function answers."""
    bench.server.hang.clear()
    assert bench.publish(tile(), seconds=0.3) == ["100"]


def test_no_time_left_sends_nothing(bench: Bench):
    """With its time over it answers at once with the checkpoint."""
    assert bench.publish(tile(), seconds=-1) == ["100"]
    assert bench.server.requests == []


def test_appsync_that_is_not_there(bench: Bench):
    """A refused connection is retried like any failure."""
    gone = AppSync(RequestsHTTPTransport("http://127.0.0.1:9/graphql"), lambda: 0)
    fanout = Fanout(gone, bench.fanout._parking, bench.fanout._report)
    response = fanout.handle(stream_event([tile()]), Deadline(5))
    assert response == {"batchItemFailures": [{"itemIdentifier": "100"}]}


def test_the_second_document_fails_alone(bench: Bench):
    """The checkpoint is the lowest sequence number of what failed, across documents."""
    bench.server.refused = {"b73", "b91"}
    assert bench.publish(*(tile(f"b{n}") for n in range(100))) == ["173"]


def test_an_empty_batch_is_answered_explicitly(bench: Bench):
    """No records, no failures, and still an explicit answer."""
    assert bench.fanout.handle({"Records": []}, Deadline(1)) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "event", [{}, {"Records": [{"messageId": "1", "body": ""}]}, {"Records": 5}, None]
)
def test_an_event_of_another_kind_is_refused(bench: Bench, event: Any):
    """A wrong mapping fails loudly."""
    with pytest.raises(EventShapeError, match="DynamoDB stream batch"):
        bench.fanout.handle(event, Deadline(1))


def test_what_is_no_tile_is_nobodys_news(bench: Bench):
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
def test_an_unreadable_record_is_parked_and_its_neighbours_pass(bench: Bench, broken: dict):
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


def test_an_unreadable_locker_is_parked(bench: Bench):
    """A locker's image is held to the same."""
    assert bench.publish({**locker(), "revision": {"N": "x"}}) == []
    assert len(bench.aws.messages()) == 1


def test_poison_that_cannot_be_parked_is_retried(bench: Bench):
    """Nothing is passed over before it is safe somewhere else."""
    bench.sqs.faults["send_message_batch"] = always(
        refusal("ServiceUnavailable", "SendMessageBatch", 503)
    )
    assert bench.publish(tile(), {**tile(door="d09"), "at": {"N": "1"}}) == ["101"]


def test_the_lowest_number_is_found_by_value(bench: Bench):
    """Sequence numbers are decimal numbers of differing length, not words."""
    bench.server.refused = {"b0", "b1"}
    event = stream_event([tile("b0"), tile("b1")], first=9)
    assert bench.fanout.handle(event, Deadline(5)) == {
        "batchItemFailures": [{"itemIdentifier": "9"}]
    }


def test_metrics_tell_the_coalescing(bench: Bench, capsys: pytest.CaptureFixture[str]):
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
