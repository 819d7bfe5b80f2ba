"""How full queues are."""

from collections.abc import Mapping
from typing import Any


def queue_depths(sqs: Any, urls: Mapping[str, str]) -> dict[str, int]:
    """Messages waiting or in flight, by name (AWS: approximate). `sqs` is a boto3 client."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    depths = {}
    for name, url in urls.items():
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        depths[name] = sum(int(found[attribute]) for attribute in names)
    return depths
