"""SQS's own redrive: a message move task, which needs no client while it runs.

AWS: only from a queue that is some queue's dead-letter queue, everything in it, at 500 messages a
second at most; one task a queue at a time. What it has moved when it is cancelled stays moved.
"""

import threading
from typing import Any

from botocore.exceptions import ClientError

from operations.errors import OperationsError
from operations.letters import Queue
from pipeline.aws_errors import error_code

MOVABLE = frozenset({Queue.INGEST_DLQ, Queue.PROJECTOR_DLQ})
MAX_RATE = 500
POLL_S = 1.0
UNAVAILABLE = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AWS.SimpleQueueService.UnsupportedOperation",
        "InvalidAction",
        "InvalidParameterValue",
        "ResourceNotFoundException",
        "UnknownOperationException",
        "UnsupportedOperation",
    }
)
"""No such call here, not allowed to us, or SQS does not take the queue for a dead-letter queue."""


class MoveUnavailableError(OperationsError):
    """SQS would not start a task: the letters have to be sent one by one."""


def unavailable(sqs: Any, source_url: str) -> str | None:
    """Why there can be no task for the queue, by AWS's code; None if there may be. Reads only."""
    try:
        sqs.list_message_move_tasks(SourceArn=_arn(sqs, source_url), MaxResults=1)
    except ClientError as error:
        if error_code(error) not in UNAVAILABLE:
            raise
        return error_code(error)
    return None


def move(
    sqs: Any, source_url: str, destination_url: str, *, rate: float | None, stop: threading.Event
) -> None:
    """Move everything and wait for the end; cancel when told to stop.

    Raises
    ------
    MoveUnavailableError
        Nothing was moved.
    OperationsError
        The task failed under way; what it has moved stays moved.
    """
    source = _arn(sqs, source_url)
    request: dict[str, Any] = {"SourceArn": source, "DestinationArn": _arn(sqs, destination_url)}
    if rate is not None:
        request["MaxNumberOfMessagesPerSecond"] = min(MAX_RATE, int(rate))
    try:
        handle = sqs.start_message_move_task(**request)["TaskHandle"]
    except ClientError as error:
        if error_code(error) not in UNAVAILABLE:
            raise
        raise MoveUnavailableError(error_code(error)) from error
    cancelled = False
    while (task := _newest(sqs, source))["Status"] in {"RUNNING", "CANCELLING"}:
        if stop.is_set() and not cancelled:
            sqs.cancel_message_move_task(TaskHandle=handle)
            cancelled = True
        threading.Event().wait(POLL_S) if cancelled else stop.wait(POLL_S)
    if task["Status"] == "FAILED":
        why = task.get("FailureReason", "SQS does not say why")
        raise OperationsError(f"the move task of {source} failed: {why}")


def _newest(sqs: Any, source: str) -> dict[str, Any]:
    """AWS lists the task started last first."""
    task: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=source, MaxResults=1)["Results"][0]
    return task


def _arn(sqs: Any, url: str) -> str:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])
