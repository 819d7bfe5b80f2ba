"""DynamoDB stream to AppSync: Powertools' batch processor, a signed mutation for each record.

https://docs.powertools.aws.dev/lambda/python/latest/utilities/batch/
https://docs.aws.amazon.com/appsync/latest/devguide/aws-appsync-real-time-data.html
"""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import boto3
import requests
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

TIMEOUT_S = (1.0, 5.0)
"""To connect, to answer."""
MUTATION = """
mutation Publish($batch: TileBatchInput!) {
  publishTiles(batch: $batch) {
    buildingId
    publishedAt
    tiles {
      buildingId lockerId doorId version kind status open occupied fault at
      receivedAt queuedAt projectedAt trace
    }
  }
}
"""

logger = Logger()
metrics = Metrics(namespace="Textbook")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
url = os.environ["GRAPHQL_URL"]
region = os.environ["AWS_REGION"]
signer = SigV4Auth(boto3.Session().get_credentials(), "appsync", region)  # type: ignore[arg-type]
connection = requests.Session()


class MutationError(Exception):
    """AppSync answered, and the answer is no success."""


def tile_input(image: Mapping[str, Any]) -> dict[str, Any]:
    """`TileInput` of the schema, from the item as Powertools reads it."""
    return {
        "buildingId": image["building"],
        "lockerId": image["locker"],
        "doorId": image["door"],
        "version": image["version"],
        "kind": image["kind"],
        "status": image["status"],
        "open": image["open"],
        "occupied": image["occupied"],
        "fault": image.get("fault"),
        "at": image["at"],
        "receivedAt": int(image["received_at"]),
        "queuedAt": int(image["queued_at"]),
        "projectedAt": int(image["projected_at"]),
        "trace": image.get("trace"),
    }


def mutate(variables: Mapping[str, Any]) -> None:
    """Send the mutation, signed with the function's role."""
    body = json.dumps({"query": MUTATION, "variables": variables})
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    signer.add_auth(request)
    answer = connection.post(url, data=body, headers=dict(request.headers), timeout=TIMEOUT_S)
    answer.raise_for_status()
    errors = answer.json().get("errors")
    if errors:
        raise MutationError(json.dumps(errors))


def record_handler(record: DynamoDBRecord) -> None:
    image = record.dynamodb.new_image if record.dynamodb is not None else None
    if not image:
        return
    tile = tile_input(image)
    mutate(
        {
            "batch": {
                "buildingId": tile["buildingId"],
                "publishedAt": time.time_ns() // 1_000_000,
                "tiles": [tile],
                "lockers": [],
            }
        }
    )


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Lambda's entry point."""
    response = process_partial_response(event, record_handler, processor, context)
    records, failed = len(event["Records"]), len(response["batchItemFailures"])
    metrics.add_metric("Published", MetricUnit.Count, records - failed)
    logger.info("published", extra={"records": records, "failed": failed})
    return response
