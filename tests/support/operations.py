"""A deployment in process (moto) for the on-call tools: table, queues, registry; no broker."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3

from operations.formats import Queue
from simulators.target import Target
from tests.support.aws import REGION, TABLE, Aws, in_process_aws
from tests.support.projectors import TestBench

SOURCES = ("ingest", "projector")


@dataclass
class Deployment:
    """The target, and ways to fill it as the pipeline would."""

    aws: Aws
    target: Target
    bench: TestBench = field(init=False)

    def __post_init__(self) -> None:
        self.bench = TestBench(self.aws)

    def register(self, *names: str) -> None:
        iot = boto3.client("iot", region_name=REGION)
        for name in names:
            iot.create_thing(thingName=name)

    def project(self, *bodies: Mapping[str, Any]) -> None:
        """Through the real projector."""
        assert self.bench.project(*bodies) == []

    def park(self, queue: Queue, body: Mapping[str, Any]) -> None:
        self.aws.sqs.send_message(QueueUrl=self.target.queues[queue], MessageBody=json.dumps(body))

    def delete(self, item: Mapping[str, Any] | None) -> None:
        assert item is not None
        key = {"pk": item["pk"], "sk": item["sk"]}
        self.aws.dynamodb.delete_item(TableName=TABLE, Key=key)


@contextmanager
def deployment() -> Iterator[Deployment]:
    with in_process_aws() as aws:
        queues = {
            name: aws.sqs.create_queue(QueueName=name)["QueueUrl"] for name in (*SOURCES, *Queue)
        }
        target = Target.from_info(
            {
                "region": REGION,
                "access_key_id": "test",
                "secret_access_key": "test",
                "iot": {"endpoint": "localhost", "port": 1},
                "graphql": {"http": "http://localhost/graphql", "realtime": "ws://localhost"},
                "table": TABLE,
                "device_policy": "p",
                "queues": queues,
            }
        )
        yield Deployment(aws, target)
