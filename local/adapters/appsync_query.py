"""Runs a resolver's DynamoDB Query as the query that it is.

Gap: MiniStack's AppSync answers a resolver's Query with the first 100 items of the table, whatever
key condition, index, order, limit and token the resolver asked for: a building's snapshot would
hold other buildings' tiles and miss its own. Seen in MiniStack 1.5.33; delete this file when
upstream runs the query.

How: `local.ministack_main` puts this handler before MiniStack's own for DynamoDB data sources, in
MiniStack's process. A Query goes to MiniStack's DynamoDB, everything else to its own handler.

AWS: AppSync developer guide, "DynamoDB function reference: Query". `nextToken` is opaque; here it
is the last evaluated key in base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Run = Callable[[dict[str, Any]], tuple[int, Any, bytes]]
"""DynamoDB's Query: request in, status, headers and body out."""
DYNAMODB = "AMAZON_DYNAMODB"


class QueryError(Exception):
    """DynamoDB refused the query; `error_type` as AppSync names it."""

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def install(appsync: ModuleType, dynamodb: ModuleType) -> None:
    """Put the handler into MiniStack's table of data sources.

    Raises
    ------
    KeyError, AttributeError
        This version of MiniStack has no such table, or none of the functions used here.
    """
    theirs = appsync._DATA_SOURCE_HANDLERS[DYNAMODB]  # noqa: SLF001
    plain, failure, query = appsync._ddb_plain, appsync._AppSyncResolverError, dynamodb._query  # noqa: SLF001

    def handle(api_id: str, data_source: Any, request: Any, ctx: Any) -> Any:
        if not isinstance(request, dict) or request.get("operation") != "Query":
            return theirs(api_id, data_source, request, ctx)
        config = data_source.get("dynamodbConfig", {})
        region = appsync.get_region()
        appsync.set_request_region(config.get("awsRegion") or region)
        try:
            return run_query(config.get("tableName", ""), request, query, plain)
        except QueryError as error:
            raise failure(str(error), error.error_type) from error
        finally:
            appsync.set_request_region(region)

    appsync._DATA_SOURCE_HANDLERS[DYNAMODB] = handle  # noqa: SLF001


def run_query(
    table: str, request: Mapping[str, Any], run: Run, plain: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return AppSync's result of the query: `items`, `nextToken`, `scannedCount`.

    Raises
    ------
    QueryError
        The token is none of ours, or DynamoDB refuses the request.
    """
    status, _, body = run(to_dynamodb(table, request))
    answer = json.loads(body)
    if status != 200:  # noqa: PLR2004
        kind = str(answer.get("__type", "UnknownError")).rsplit("#", 1)[-1]
        message = answer.get("message") or answer.get("Message") or "the query was refused"
        raise QueryError(str(message), f"DynamoDB:{kind}")
    last = answer.get("LastEvaluatedKey")
    return {
        "items": [plain(item) for item in answer.get("Items", [])],
        "nextToken": None if last is None else _token(last),
        "scannedCount": answer.get("ScannedCount", 0),
    }


def to_dynamodb(table: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a resolver's request into DynamoDB's; what is not given is left out."""
    condition, kept = request.get("query") or {}, request.get("filter") or {}
    names = {**(condition.get("expressionNames") or {}), **(kept.get("expressionNames") or {})}
    values = {**(condition.get("expressionValues") or {}), **(kept.get("expressionValues") or {})}
    fields = {
        "KeyConditionExpression": condition.get("expression"),
        "FilterExpression": kept.get("expression"),
        "ExpressionAttributeNames": names or None,
        "ExpressionAttributeValues": values or None,
        "IndexName": request.get("index"),
        "Limit": request.get("limit"),
        "ScanIndexForward": request.get("scanIndexForward"),
        "ConsistentRead": request.get("consistentRead"),
        "Select": request.get("select"),
        "ExclusiveStartKey": _key(request["nextToken"]) if request.get("nextToken") else None,
    }
    return {"TableName": table} | {
        name: value for name, value in fields.items() if value is not None
    }


def _token(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _key(token: str) -> dict[str, Any]:
    try:
        key = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        key = None
    if not isinstance(key, dict):
        raise QueryError("Invalid pagination token given.", "BadRequestException")
    return key
