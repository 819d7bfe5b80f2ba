"""The pipe's body: moves a batch of SQS messages to an event bus. Deployed by `pipe`.

It runs as a function in MiniStack, with the credentials of the pipe's own role, so that role must
allow `events:PutEvents` as on AWS. Answers with the messages that were not accepted; MiniStack's
SQS mapping deletes the others.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import boto3
from botocore.config import Config

from local.adapters.pipe_template import render, source_event

PUT_EVENTS_MAX = 10
"""AWS: entries of one PutEvents request."""
CONFIG = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
    proxies={},
)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """SQS batch in, `batchItemFailures` out."""
    failures = move(event["Records"], _client(), os.environ)
    # A line of output saves 50 ms: MiniStack waits that long for one.
    print(f"{len(event['Records'])} received, {len(failures)} not accepted", *failures.values())  # noqa: T201
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failures]}


@functools.cache
def _client() -> Any:
    return boto3.client("events", config=CONFIG)


def move(records: list[dict[str, Any]], client: Any, environ: Any) -> dict[str, str]:
    """Put every record on the bus; return message id to reason of those that were refused.

    AWS: of a batch of which only a part was accepted, Pipes delivers the rest again.
    """
    failures: dict[str, str] = {}
    entries: list[tuple[str, dict[str, Any]]] = []
    for record in records:
        detail = render(environ["INPUT_TEMPLATE"], source_event(record))
        if is_object(detail):
            entries.append((record["messageId"], _entry(detail, environ)))
        else:
            # AWS: PutEvents refuses a detail that is no JSON object (MalformedDetail).
            failures[record["messageId"]] = "MalformedDetail"
    for start in range(0, len(entries), PUT_EVENTS_MAX):
        part = entries[start : start + PUT_EVENTS_MAX]
        answer = client.put_events(Entries=[entry for _, entry in part])
        for (message_id, _), result in zip(part, answer["Entries"], strict=True):
            if "EventId" not in result:
                failures[message_id] = result.get("ErrorCode", "InternalException")
    return failures


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _entry(detail: str, environ: Any) -> dict[str, Any]:
    return {
        "EventBusName": environ["EVENT_BUS_NAME"],
        "Source": environ["EVENT_SOURCE"],
        "DetailType": environ["DETAIL_TYPE"],
        "Detail": detail,
        "Resources": json.loads(environ["RESOURCES"]),
    }
