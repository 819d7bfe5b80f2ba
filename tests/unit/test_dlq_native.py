"""SQS's own move task, against the documented calls (no emulator has them)."""

import threading

import boto3
import pytest
from botocore.stub import Stubber

from operations.errors import OperationsError
from operations.native import MoveUnavailableError, move

pytestmark = pytest.mark.unit

SOURCE_URL = "https://sqs.us-east-1.amazonaws.com/1/latchline-dev-projector-dlq"
SOURCE = "arn:aws:sqs:us-east-1:1:latchline-dev-projector-dlq"
TARGET_URL = "https://sqs.us-east-1.amazonaws.com/1/latchline-dev-projector"
TARGET = "arn:aws:sqs:us-east-1:1:latchline-dev-projector"


@pytest.fixture
def sqs():
    return boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )


def expect_arns(stub: Stubber) -> None:
    for url, arn in ((SOURCE_URL, SOURCE), (TARGET_URL, TARGET)):
        stub.add_response(
            "get_queue_attributes",
            {"Attributes": {"QueueArn": arn}},
            {"QueueUrl": url, "AttributeNames": ["QueueArn"]},
        )


def expect_start(stub: Stubber, rate: int) -> None:
    expect_arns(stub)
    stub.add_response(
        "start_message_move_task",
        {"TaskHandle": "handle"},
        {"SourceArn": SOURCE, "DestinationArn": TARGET, "MaxNumberOfMessagesPerSecond": rate},
    )


def expect_status(stub: Stubber, status: str, **more: str) -> None:
    stub.add_response(
        "list_message_move_tasks",
        {"Results": [{"Status": status, **more}]},
        {"SourceArn": SOURCE, "MaxResults": 1},
    )


@pytest.mark.parametrize(("rate", "asked"), [(200.0, 200), (5_000.0, 500)])
def test_a_whole_queue_is_moved_at_a_rate(sqs, rate: float, asked: int):
    """To the end of the task; AWS allows 500 messages a second."""
    with Stubber(sqs) as stub:
        expect_start(stub, asked)
        expect_status(stub, "RUNNING")
        expect_status(stub, "COMPLETED")
        move(sqs, SOURCE_URL, TARGET_URL, rate=rate, stop=threading.Event())
        stub.assert_no_pending_responses()


def test_ctrl_c_cancels_the_task(sqs):
    """What it has moved stays moved; it returns when SQS has stopped."""
    stop = threading.Event()
    stop.set()
    with Stubber(sqs) as stub:
        expect_start(stub, 10)
        expect_status(stub, "RUNNING")
        stub.add_response(
            "cancel_message_move_task",
            {"ApproximateNumberOfMessagesMoved": 3},
            {"TaskHandle": "handle"},
        )
        expect_status(stub, "CANCELLED")
        move(sqs, SOURCE_URL, TARGET_URL, rate=10, stop=stop)
        stub.assert_no_pending_responses()


def test_a_task_that_fails_is_told_with_its_reason(sqs):
    """AWS's own words."""
    with Stubber(sqs) as stub:
        expect_start(stub, 10)
        expect_status(stub, "FAILED", FailureReason="CouldNotDetermineMessageSource")
        with pytest.raises(OperationsError, match="CouldNotDetermineMessageSource"):
            move(sqs, SOURCE_URL, TARGET_URL, rate=10, stop=threading.Event())


@pytest.mark.parametrize("code", ["InvalidAction", "UnsupportedOperation", "AccessDenied"])
def test_where_there_is_no_move_task_the_caller_is_told(sqs, code: str):
    """It then sends one by one."""
    with Stubber(sqs) as stub:
        expect_arns(stub)
        stub.add_client_error("start_message_move_task", code)
        with pytest.raises(MoveUnavailableError, match=code):
            move(sqs, SOURCE_URL, TARGET_URL, rate=10, stop=threading.Event())
