"""SQS to DynamoDB: Powertools' batch processor around its idempotency, record by record.

For each event the idempotency record (a conditional put before, an update after), one read of the
tile, one write of the tile, one of the history.

https://docs.powertools.aws.dev/lambda/python/latest/utilities/batch/
https://docs.powertools.aws.dev/lambda/python/latest/utilities/idempotency/
"""

import base64
import os
import time
from collections.abc import Callable
from typing import Any, Literal

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import BaseModel, Field

HISTORY_DAYS = 90
DUPLICATES_S = 24 * 3600
"""How long a duplicate is known as one; the utility's default is an hour."""
NEWER = "attribute_not_exists(version) OR version < :version"

Handler = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]


class Payload(BaseModel):
    """What the controller sends."""

    schema_version: Literal[1] = Field(alias="schema")
    boot: int
    seq: int
    at: str
    open: bool
    occupied: bool
    fault: str | None


class Envelope(BaseModel):
    """What the IoT rule makes of it."""

    payload: str
    thing: str
    door: str
    kind: str
    client: str | None = None
    received_at: int
    trace: str | None = None


def status(kind: str, payload: Payload) -> str:
    if payload.fault is not None:
        return "fault"
    if payload.open:
        return "forced" if kind == "forced" else "open"
    return "occupied" if payload.occupied else "vacant"


def state(envelope: Envelope, payload: Payload) -> dict[str, Any]:
    """Attributes that tile and history share."""
    building, locker = envelope.thing.split(":")
    found = {
        "building": building,
        "locker": locker,
        "door": envelope.door,
        "version": f"{(payload.boot << 32) + payload.seq:020d}",
        "kind": envelope.kind,
        "open": payload.open,
        "occupied": payload.occupied,
        "status": status(envelope.kind, payload),
        "at": payload.at,
        "received_at": envelope.received_at,
    }
    optional = {"fault": payload.fault, "trace": envelope.trace}
    return found | {name: value for name, value in optional.items() if value is not None}


def build(table: Any, persistence: DynamoDBPersistenceLayer) -> Handler:
    """Make the handler; `table` is a boto3 Table resource."""
    logger = Logger()
    metrics = Metrics(namespace="Textbook")
    processor = BatchProcessor(event_type=EventType.SQS)
    idempotency = IdempotencyConfig(expires_after_seconds=DUPLICATES_S)

    @idempotent_function(  # type: ignore[untyped-decorator]
        data_keyword_argument="event_id", config=idempotency, persistence_store=persistence
    )
    def project(
        *,
        event_id: str,  # noqa: ARG001  (the decorator's)
        envelope: Envelope,
        payload: Payload,
        queued_at: int,
    ) -> str:
        event = state(envelope, payload)
        table.put_item(
            Item={
                "pk": f"LOCKER#{envelope.thing}",
                "sk": f"EVENT#{event['version']}",
                "entity": "EVENT",
                **event,
                "boot": payload.boot,
                "seq": payload.seq,
                "payload": envelope.payload,
                "client": envelope.client,
                "expires_at": envelope.received_at // 1000 + HISTORY_DAYS * 86_400,
            }
        )
        key = {
            "pk": f"BUILDING#{event['building']}",
            "sk": f"TILE#{event['locker']}#{event['door']}",
        }
        held = table.get_item(Key=key, ConsistentRead=True).get("Item")
        if held is not None and held["version"] >= event["version"]:
            return "stale"
        tile = {
            **key,
            "entity": "TILE",
            **event,
            "queued_at": queued_at,
            "projected_at": time.time_ns() // 1_000_000,
        }
        if event["status"] in {"fault", "forced"}:
            tile["attention"] = event["status"]
        try:
            table.put_item(
                Item=tile,
                ConditionExpression=NEWER,
                ExpressionAttributeValues={":version": event["version"]},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return "stale"
        return "applied"

    def record_handler(record: SQSRecord) -> str:
        envelope = Envelope.model_validate_json(record.body)
        payload = Payload.model_validate_json(base64.b64decode(envelope.payload))
        outcome: str = project(
            event_id=f"{envelope.thing}/{envelope.door}@{payload.boot}.{payload.seq}",
            envelope=envelope,
            payload=payload,
            queued_at=int(record.attributes.sent_timestamp or 0),
        )
        return outcome

    @logger.inject_lambda_context
    @metrics.log_metrics
    def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        idempotency.register_lambda_context(context)
        response = process_partial_response(event, record_handler, processor, context)
        records, failed = len(event["Records"]), len(response["batchItemFailures"])
        metrics.add_metric("Projected", MetricUnit.Count, records - failed)
        logger.info("projected", extra={"records": records, "failed": failed})
        return response

    return handler


config = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)
handler = build(
    boto3.resource("dynamodb", config=config).Table(os.environ["TABLE_NAME"]),
    DynamoDBPersistenceLayer(os.environ["IDEMPOTENCY_TABLE_NAME"], boto_config=config),
)
"""Lambda's entry point."""
