"""In-process AWS (moto) with the table and a queue, and clients that fail on purpose."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

TABLE = "latchline-test"
REGION = "us-east-1"


@dataclass
class Aws:
    """A DynamoDB and an SQS client, the table's name and a queue's URL."""

    dynamodb: Any
    sqs: Any
    queue_url: str

    def items(self, prefix: str) -> list[dict[str, Any]]:
        """All items whose sort key begins so."""
        found = self.dynamodb.scan(TableName=TABLE)["Items"]
        return [item for item in found if item["sk"]["S"].startswith(prefix)]

    def tile(self, locker: str = "l03", door: str = "d02") -> dict[str, Any] | None:
        key = {"pk": {"S": "BUILDING#maple-court"}, "sk": {"S": f"TILE#{locker}#{door}"}}
        return self.dynamodb.get_item(TableName=TABLE, Key=key).get("Item")

    def locker(self, locker: str = "l03") -> dict[str, Any] | None:
        key = {"pk": {"S": "BUILDING#maple-court"}, "sk": {"S": f"LOCKER#{locker}"}}
        return self.dynamodb.get_item(TableName=TABLE, Key=key).get("Item")

    def messages(self) -> list[dict[str, Any]]:
        """Everything in the queue, taken out of it."""
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += batch
        return found


@contextmanager
def in_process_aws() -> Iterator[Aws]:
    """Start empty; nothing outlives it."""
    with mock_aws():
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        dynamodb = boto3.client("dynamodb", region_name=REGION, **keys)
        sqs = boto3.client("sqs", region_name=REGION, **keys)
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        yield Aws(dynamodb, sqs, sqs.create_queue(QueueName="parked")["QueueUrl"])


def refusal(code: str, operation: str, status: int = 400) -> ClientError:
    """The error that botocore raises when AWS refuses with this code."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": "on purpose"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )


Fault = Callable[[dict[str, Any]], Any]
"""Gets a call's arguments; raises, returns an answer, or None to let the call through."""


class FaultyClient:
    """A boto3 client whose calls can be made to fail; counts every call.

    `faults[operation]` is asked before each call of that operation.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.faults: dict[str, Fault] = {}
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._counting = threading.Lock()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with self._counting:
                self.calls[operation] += 1
            fault = self.faults.get(operation)
            answer = fault(arguments) if fault else None
            return getattr(self._client, operation)(**arguments) if answer is None else answer

        return call


def always(error: Exception) -> Fault:
    """Fail every call."""

    def fault(_: dict[str, Any]) -> None:
        raise error

    return fault


def first(times: int, error: Exception) -> Fault:
    """Fail the first calls, then let them through."""
    left = iter(range(times))

    def fault(_: dict[str, Any]) -> None:
        if next(left, None) is not None:
            raise error

    return fault
