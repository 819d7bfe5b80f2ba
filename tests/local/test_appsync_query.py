"""A resolver's Query against MiniStack's DynamoDB, in this process."""

import json
from types import ModuleType
from typing import Any

import pytest

from local.adapters.appsync_query import DYNAMODB, QueryError, install, run_query, to_dynamodb

pytestmark = pytest.mark.unit


def request(**fields: Any) -> dict[str, Any]:
    query = {
        "expression": "#pk = :pk",
        "expressionNames": {"#pk": "pk"},
        "expressionValues": {":pk": {"S": "BUILDING#a"}},
    }
    return {"operation": "Query", "query": query, **fields}


def answering(status: int, **body: Any) -> Any:
    def run(_: dict[str, Any]) -> tuple[int, Any, bytes]:
        return status, {}, json.dumps(body).encode()

    return run


def test_a_request_is_translated_and_nothing_is_added():
    """Key condition, index, order, limit and filter go where DynamoDB wants them."""
    kept = {"expression": "#k = :k", "expressionNames": {"#k": "k"}, "expressionValues": {":k": 1}}
    asked = request(index="i", limit=3, scanIndexForward=False, filter=kept, nextToken=None)
    assert to_dynamodb("t", asked) == {
        "TableName": "t",
        "KeyConditionExpression": "#pk = :pk",
        "FilterExpression": "#k = :k",
        "ExpressionAttributeNames": {"#pk": "pk", "#k": "k"},
        "ExpressionAttributeValues": {":pk": {"S": "BUILDING#a"}, ":k": 1},
        "IndexName": "i",
        "Limit": 3,
        "ScanIndexForward": False,
    }


def test_the_token_leads_on_where_the_page_ended():
    """What comes back as nextToken is the start of the next page."""
    last = {"pk": {"S": "BUILDING#a"}, "sk": {"S": "TILE#l01#d01"}}
    page = run_query("t", request(), answering(200, Items=[], LastEvaluatedKey=last), dict)
    assert to_dynamodb("t", request(nextToken=page["nextToken"]))["ExclusiveStartKey"] == last
    assert run_query("t", request(), answering(200, Items=[]), dict)["nextToken"] is None


@pytest.mark.parametrize("token", ["x", "!!!", "W10=", "ä"])
def test_a_strange_token_is_refused(token: str):
    """As AppSync does; never a page from somewhere else."""
    with pytest.raises(QueryError, match="pagination token"):
        to_dynamodb("t", request(nextToken=token))


def test_what_dynamodb_refuses_has_its_name():
    """AppSync: the type is DynamoDB's, behind its service's name."""
    run = answering(400, __type="com.amazonaws#ValidationException", message="no such index")
    with pytest.raises(QueryError, match="no such index") as refused:
        run_query("t", request(), run, dict)
    assert refused.value.error_type == "DynamoDB:ValidationException"


def test_only_queries_are_taken_over_and_the_region_is_put_back():
    """Other operations stay MiniStack's own; it is the installed version that is tried here."""
    from ministack.services import appsync, dynamodb

    copy = ModuleType("appsync")
    vars(copy).update(vars(appsync))
    theirs: list[Any] = []
    copy._DATA_SOURCE_HANDLERS = {DYNAMODB: lambda *call: theirs.append(call)}
    install(copy, dynamodb)
    handle = copy._DATA_SOURCE_HANDLERS[DYNAMODB]
    handle("api", {}, {"operation": "GetItem"}, {})
    assert len(theirs) == 1
    region = appsync.get_region()
    source = {"dynamodbConfig": {"tableName": "no-such-table", "awsRegion": "eu-west-1"}}
    with pytest.raises(appsync._AppSyncResolverError) as refused:
        handle("api", source, request(), {})
    assert refused.value.error_type == "DynamoDB:ResourceNotFoundException"
    assert appsync.get_region() == region
