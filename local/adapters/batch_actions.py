"""Lets a role that may send one message to a queue send ten.

Gap: IAM has no action of its own for the batch calls of SQS; whoever may `sqs:SendMessage` may call
SendMessageBatch, and so for DeleteMessage and ChangeMessageVisibility. MiniStack under `AUTH=true`
asks the policies for `sqs:SendMessageBatch` and so refuses what AWS allows. Seen in MiniStack
1.5.33; delete this file when upstream asks for the action that AWS asks for.

So the templates are deployed as they are, and then the batch calls are added by API to exactly
those statements of the roles' policies that name the single ones. (AWS: service authorization
reference, "Actions, resources, and condition keys for Amazon SQS".)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.adapters.policies import statements
from local.endpoint import Endpoint

BATCH_CALLS: Mapping[str, str] = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
}
"""IAM action to the call that it allows, too."""


def allow_batch_calls(endpoint: Endpoint) -> None:
    """Add the batch calls to the inline policies of every role (blocking)."""
    client = endpoint.client("iam")
    for page in client.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            name = role["RoleName"]
            for policy in client.list_role_policies(RoleName=name)["PolicyNames"]:
                document = client.get_role_policy(RoleName=name, PolicyName=policy)[
                    "PolicyDocument"
                ]
                extended = with_batch_calls(document)
                if extended != document:
                    client.put_role_policy(
                        RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(extended)
                    )


def with_batch_calls(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy document with the batch call beside each single one."""
    return {**document, "Statement": [_extended(each) for each in statements(document)]}


def _extended(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = statement.get("Action", [])
    if isinstance(actions, str):
        actions = [actions]
    added = [BATCH_CALLS[each] for each in actions if each in BATCH_CALLS]
    missing = [each for each in added if each not in actions]
    return {**statement, "Action": [*actions, *missing]} if missing else statement
