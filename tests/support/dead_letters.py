"""Dead letters as AWS documents them, one maker a queue, as boto3 hands them out."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.support.lambda_events import RECEIVED_AT, STREAM_ARN, door_envelope, payload

FAILED_AT = RECEIVED_AT + 1_500
BUS_ATTRIBUTES = {
    "RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/latchline-dev-lockers/projector",
    "TARGET_ARN": "arn:aws:sqs:us-east-1:123456789012:latchline-dev-projector",
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "The target queue does not allow events.amazonaws.com",
    "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    "RETRY_ATTEMPTS": "185",
}


def message(
    body: Any, *, attributes: Mapping[str, str] | None = None, number: int = 0, receives: int = 1
) -> dict[str, Any]:
    """What SQS hands out for a body; `number` makes message ids m0, m1, …"""
    return {
        "MessageId": f"m{number}",
        "ReceiptHandle": f"AQEB{number}",
        "Body": body if isinstance(body, str) else json.dumps(body),
        "Attributes": {
            "SentTimestamp": str(FAILED_AT),
            "ApproximateReceiveCount": str(receives),
        },
        "MessageAttributes": string_attributes(attributes or {}),
    }


def string_attributes(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def iot_error(
    content: Mapping[str, Any] | bytes | None = None,
    *,
    topic: str = "lockers/v1/maple-court:l03/doors/d02/opened",
    client: str = "maple-court:l03",
    resources: tuple[str, ...] = ("https://sqs.us-east-1.amazonaws.com/1/latchline-dev-ingest",),
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html"""
    raw = content if isinstance(content, bytes) else json.dumps(content or payload()).encode()
    return {
        "ruleName": "door_events",
        "topic": topic,
        "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
        "clientId": client,
        "base64OriginalPayload": base64.b64encode(raw).decode(),
        "failures": [
            {
                "failedAction": "SqsAction",
                "failedResource": resource,
                "errorMessage": "Failed to send SQS message. The error was AccessDenied",
            }
            for resource in resources
        ],
    }


def bus_event(detail: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "event",
        "source": "latchline.iot",
        "account": "123456789012",
        "time": "2026-11-20T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": detail or door_envelope(),
    }


def stream_failure(
    *,
    first: str = "800000000003126276362",
    last: str = "800000000003126276363",
    shard: str = "shardId-00000001573689847184-864758bb",
    stream: str = STREAM_ARN,
    size: int = 2,
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    return {
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:latchline-dev-fanout",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 9,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "2026-11-20T12:00:10.000Z",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "approximateArrivalOfFirstRecord": "2026-11-20T12:00:00Z",
            "approximateArrivalOfLastRecord": "2026-11-20T12:00:05Z",
            "batchSize": size,
            "streamArn": stream,
        },
    }
