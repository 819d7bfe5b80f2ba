"""Lets clients without TLS reach the queues of the laptop.

Gap: the queues' policies refuse every call that does not come over TLS, as they should; MiniStack
enforces that under `AUTH=true`, and its endpoint speaks plain HTTP. Its `USE_SSL` would need every
client to be told of a CA, for which the hand-over (`latchline info --json`) has no place. Seen in
MiniStack 1.5.33.

So the templates are deployed as they are, and then just these statements are taken out of the
queues by API; all other statements stay and are enforced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.adapters.policies import statements
from local.endpoint import Endpoint


def allow_plain_http(endpoint: Endpoint) -> list[str]:
    """Take the demand for TLS out of every queue's policy; return the queues' URLs (blocking)."""
    # A client of its own, because to the queues it says that TLS ended before the emulator.
    client = endpoint.make_client("sqs")
    client.meta.events.register("before-sign.sqs", _say_https)
    try:
        return [
            url
            for page in client.get_paginator("list_queues").paginate()
            for url in page.get("QueueUrls", [])
            if _relax(client, url)
        ]
    finally:
        client.close()


def _say_https(request: Any, **_: Any) -> None:
    request.headers["X-Forwarded-Proto"] = "https"


def _relax(client: Any, url: str) -> bool:
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    text = answer.get("Attributes", {}).get("Policy")
    if not text:
        return False
    policy = json.loads(text)
    present = statements(policy)
    kept = [each for each in present if not demands_tls(each)]
    if len(kept) == len(present):
        return False
    relaxed = json.dumps({**policy, "Statement": kept}) if kept else ""
    client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": relaxed})
    return True


def demands_tls(statement: Mapping[str, Any]) -> bool:
    """Whether a policy statement does nothing but refuse calls without TLS."""
    condition = statement.get("Condition", {})
    return (
        statement.get("Effect") == "Deny"
        and condition.keys() == {"Bool"}
        and condition["Bool"].keys() == {"aws:SecureTransport"}
        and str(condition["Bool"]["aws:SecureTransport"]).lower() == "false"
    )
