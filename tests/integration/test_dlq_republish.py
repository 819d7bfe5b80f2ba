"""Pointers into the stream: the current tiles are published again, from the shard or a snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from gql.transport.requests import RequestsHTTPTransport
from moto import mock_aws

from operations.errors import OperationsError
from operations.formats import StreamPointer
from operations.republish import Republisher, Source
from pipeline.appsync import AppSync, IamAuth
from tests.support.aws import REGION, FaultyClient, always, refusal
from tests.support.fanouts import locker, tile
from tests.support.lambda_events import RECEIVED_AT
from tests.support.mutation_server import MutationServer, mutation_server

pytestmark = pytest.mark.integration

TABLE = "latchline-stream"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@dataclass
class Bench:
    """A table with a stream, and a server in AppSync's place."""

    dynamodb: Any
    streams: FaultyClient
    server: MutationServer
    appsync: AppSync
    stream: str

    def write(self, *images: dict[str, Any]) -> None:
        for image in images:
            self.dynamodb.put_item(TableName=TABLE, Item=image)

    def records(self) -> list[dict[str, Any]]:
        """All that the stream holds."""
        request = {"StreamArn": self.stream, "ShardId": self.shard()}
        iterator = self.streams.get_shard_iterator(**request, ShardIteratorType="TRIM_HORIZON")
        found: list[dict[str, Any]] = self.streams.get_records(
            ShardIterator=iterator["ShardIterator"]
        )["Records"]
        return found

    def shard(self) -> str:
        description = self.streams.describe_stream(StreamArn=self.stream)["StreamDescription"]
        return str(description["Shards"][0]["ShardId"])

    def pointer(self, first: int, last: int) -> StreamPointer:
        """To the records by their place in the stream."""
        numbers = [each["dynamodb"]["SequenceNumber"] for each in self.records()]
        return StreamPointer(
            self.stream, self.shard(), numbers[first], numbers[last], last - first + 1
        )

    def republisher(self, *buildings: str) -> Republisher:
        return Republisher(
            streams=self.streams,
            dynamodb=self.dynamodb,
            table=TABLE,
            appsync=self.appsync,
            buildings=lambda: buildings,
            named=len(buildings) == 1,
        )

    def pushed(self) -> set[tuple[str, str, str]]:
        """Building, door and version of every tile that was published."""
        return {
            (batch["buildingId"], each["doorId"], each["version"][-2:])
            for batch in self.server.batches()
            for each in batch["tiles"]
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    with mock_aws(), mutation_server() as server:
        dynamodb = boto3.client("dynamodb", region_name=REGION, **KEYS)
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        stream = dynamodb.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
        streams = FaultyClient(boto3.client("dynamodbstreams", region_name=REGION, **KEYS))
        signer = AppSyncIAMAuthentication(
            host="127.0.0.1", region_name=REGION, credentials=Credentials("AKIDEXAMPLE", "secret")
        )
        transport = RequestsHTTPTransport(server.url, auth=IamAuth(signer))
        appsync = AppSync(transport, lambda: RECEIVED_AT)
        yield Bench(dynamodb, streams, server, appsync, stream)
        transport.close()


def test_the_items_of_the_shard_s_records_are_published_as_they_are_now(bench: Bench):
    """From the first to the last number, each once, with the version that the table holds."""
    bench.write(tile(door="d01", seq=1), tile(door="d02", seq=1), locker(), tile(door="d03", seq=1))
    bench.write(tile(door="d02", seq=9))
    done = bench.republisher().republish(bench.pointer(1, 2))
    assert (done.source, done.items, done.problems) == (Source.SHARD, 2, ())
    assert bench.pushed() == {("maple-court", "d02", "05")}
    (batch,) = bench.server.batches()
    assert batch["tiles"][0]["version"].endswith(f"{2**32 + 9}")
    assert len(batch["lockers"]) == 1
    assert batch["attention"], "operators are told as well: what it was before, nobody knows"


def test_history_in_the_shard_is_not_published(bench: Bench):
    """The fan-out's mapping lets through tiles and lockers only."""
    history = {
        "pk": {"S": "LOCKER#maple-court:l03"},
        "sk": {"S": "EVENT#1"},
        "entity": {"S": "EVENT"},
    }
    bench.write(tile(door="d01"), history, tile(door="d02"))
    done = bench.republisher().republish(bench.pointer(0, 2))
    assert (done.items, done.buildings) == (2, 1)


@pytest.mark.parametrize("code", ["TrimmedDataAccessException", "ResourceNotFoundException"])
def test_when_the_shard_is_gone_the_building_s_snapshot_is_published(bench: Bench, code: str):
    """AWS keeps a stream for 24 h; a person names the building, and nothing else is pushed."""
    bench.write(tile("birch-house"), tile("maple-court", "d01"), tile("maple-court", "d02"))
    pointer = bench.pointer(0, 0)
    bench.streams.faults["get_shard_iterator"] = always(refusal(code, "GetShardIterator"))
    done = bench.republisher("maple-court").republish(pointer)
    assert (done.source, done.items, done.buildings) == (Source.SNAPSHOT, 2, 1)
    assert {building for building, _, _ in bench.pushed()} == {"maple-court"}


def test_without_a_building_all_are_published_once_a_run(bench: Bench):
    """However many pointers need it."""
    bench.write(tile("birch-house"), tile("maple-court"))
    pointer = bench.pointer(0, 0)
    bench.streams.faults["get_shard_iterator"] = always(
        refusal("TrimmedDataAccessException", "GetShardIterator")
    )
    republisher = bench.republisher("birch-house", "maple-court")
    results = [republisher.republish(pointer) for _ in range(3)]
    assert [str(each) for each in results] == [str(results[0])] * 3
    assert (results[0].source, results[0].buildings) == (Source.EVERYWHERE, 2)
    assert len(bench.server.batches()) == 2


def test_a_pointer_to_nowhere_is_no_success(bench: Bench):
    """No shard and no building: a person has to name one, and the letter stays."""
    bench.write(tile())
    pointer = bench.pointer(0, 0)
    bench.streams.faults["get_shard_iterator"] = always(
        refusal("ResourceNotFoundException", "GetShardIterator")
    )
    with pytest.raises(OperationsError, match="--building"):
        bench.republisher().republish(pointer)


def test_a_building_that_is_not_there_is_named(bench: Bench):
    """A slip of the pen at night publishes nothing, and is no success either."""
    bench.write(tile("birch-house"))
    pointer = bench.pointer(0, 0)
    bench.streams.faults["get_shard_iterator"] = always(
        refusal("TrimmedDataAccessException", "GetShardIterator")
    )
    with pytest.raises(OperationsError, match="no tile of building brich-house"):
        bench.republisher("brich-house").republish(pointer)
    assert not bench.server.batches()


def test_the_fan_out_s_own_letter_needs_no_shard(bench: Bench):
    """It has the item's key; what the item holds by now is published."""
    image = tile(door="d04", seq=3)
    bench.write(image)
    keys = {name: image[name] for name in ("pk", "sk")}
    pointer = StreamPointer(bench.stream, None, "1", "1", 1, keys)
    done = bench.republisher().republish(pointer)
    assert (done.source, done.items) == (Source.KEY, 1)


def test_an_item_that_still_cannot_be_read_is_a_problem(bench: Bench):
    """It has no kind: named, and its neighbour is published all the same."""
    broken = tile(door="d01")
    del broken["kind"]
    bench.write(broken, tile(door="d02"))
    done = bench.republisher().republish(bench.pointer(0, 1))
    assert "TILE#l03#d01" in done.problems[0]
    assert {door for _, door, _ in bench.pushed()} == {"d02"}


def test_what_appsync_refuses_is_a_problem(bench: Bench):
    """HTTP 200 with an error for an alias is a failure of it: the letter stays."""
    bench.write(tile())
    bench.server.refused = {"maple-court"}
    done = bench.republisher().republish(bench.pointer(0, 0))
    assert "maple-court" in done.problems[0]


def test_a_refusal_that_is_no_loss_of_the_shard_is_raised(bench: Bench):
    """No right to read the stream is no reason to publish everything."""
    bench.write(tile())
    pointer = bench.pointer(0, 0)
    bench.streams.faults["get_shard_iterator"] = always(
        refusal("AccessDeniedException", "GetShardIterator")
    )
    with pytest.raises(Exception, match="AccessDenied"):
        bench.republisher("maple-court").republish(pointer)
