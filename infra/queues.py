"""Queues: encrypted, TLS only, and each with a place for what nobody could process."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deployment import Deployment

MAX_RECEIVES = 5
"""AWS: at least 5, for a poller also receives what Lambda then throttles."""
DEAD_LETTER_RETENTION = Duration.days(14)
"""AWS's maximum. A message keeps its age when SQS moves it, so the source's must be shorter."""
SOURCE_RETENTION = Duration.days(4)


def dead_letter_queue(scope: Construct, deployment: Deployment, part: str) -> sqs.Queue:
    """A queue that a person empties. Holds state: kept in production when its stack goes."""
    return sqs.Queue(
        scope,
        _id(part),
        queue_name=deployment.name(part),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=DEAD_LETTER_RETENTION,
        removal_policy=deployment.removal_policy,
    )


def source_queue(
    scope: Construct, deployment: Deployment, part: str, visibility: Duration
) -> tuple[sqs.Queue, sqs.Queue]:
    """A queue that a machine empties, and its dead-letter queue `<part>-dlq`."""
    dead_letters = dead_letter_queue(scope, deployment, f"{part}-dlq")
    queue = sqs.Queue(
        scope,
        _id(part),
        queue_name=deployment.name(part),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=SOURCE_RETENTION,
        visibility_timeout=visibility,
        receive_message_wait_time=Duration.seconds(20),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=MAX_RECEIVES),
        removal_policy=deployment.removal_policy,
    )
    return queue, dead_letters


def _id(part: str) -> str:
    """`projector-dlq` → `ProjectorDlq`: also how the stack's outputs are called."""
    return "".join(word.capitalize() for word in part.split("-"))
