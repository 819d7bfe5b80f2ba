"""What time it is for SQS, whose timestamps tell what is younger than a run."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

SLACK_MS = 2_000
"""A Date header has whole seconds, so a clock that is off by less is believed."""
HALF_A_SECOND_MS = 500


def sqs_now_ms(sqs: Any, url: str) -> int:
    """Epoch ms by SQS's clock: a laptop's may be off by minutes."""
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    now = time.time_ns() // 1_000_000
    text = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    if text is None:
        return now
    theirs = int(parsedate_to_datetime(text).timestamp() * 1000) + HALF_A_SECOND_MS
    return now if abs(theirs - now) <= SLACK_MS else theirs
