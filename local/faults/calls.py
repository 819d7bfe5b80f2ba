"""Requests of the functions as data, and the answers that AWS gives when something is wrong.

Pure. The codes are those of the services' API references, "Common errors" and "Errors" of each
operation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

Subjects = frozenset[str]
Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
OK = 200
CONDITION_FAILED = "ConditionalCheckFailedException"
WORKER = re.compile(r"\bapp/latchline-(\d+)\b")
"""How the SDK of a marked worker calls itself (`AWS_SDK_UA_APP_ID`)."""


def worker_number(headers: Mapping[str, str]) -> int | None:
    """Which worker made the request; None if it was none of ours."""
    found = WORKER.search(headers.get("user-agent", ""))
    return None if found is None else int(found[1])


def operation_of(service: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
    """`UpdateItem` and the like; `publishTiles` for AppSync; empty for what nobody asks about."""
    if service == "appsync":
        is_graphql = path == "/graphql" or path.endswith("/graphql")
        return "publishTiles" if is_graphql and b"publishTiles" in body else ""
    return headers.get("x-amz-target", "").rpartition(".")[2]


def subjects_of(operation: str, request: Mapping[str, Any]) -> list[Subjects]:
    """What each entry of the request is about: items, messages, events, what is on a dashboard."""
    read = SUBJECTS.get(operation)
    return [] if read is None else read(request)


def done_by(operation: str, entries: Sequence[Subjects], answer: Answer) -> Subjects:
    """Which subjects the answer says are done."""
    status, _, body = answer
    everything = frozenset().union(*entries)
    if status != OK:
        # Whoever holds the tile has a newer version, so this one need not come again.
        over = operation == "UpdateItem" and CONDITION_FAILED.encode() in body
        return everything if over else frozenset()
    match operation:
        case "BatchWriteItem":
            left = json.loads(body).get("UnprocessedItems") or {}
            return everything - {_item(put["PutRequest"]["Item"]) for put in _puts(left)}
        case "PutEvents":
            results = json.loads(body)["Entries"]
            failed = {n for n, result in enumerate(results) if "EventId" not in result}
        case "SendMessageBatch":
            failed = {int(each["Id"]) for each in json.loads(body).get("Failed") or ()}
        case "publishTiles":
            data = json.loads(body).get("data") or {}
            failed = {n for n in range(len(entries)) if data.get(f"b{n}") is None}
        case _:
            failed = set()
    return frozenset().union(*(each for n, each in enumerate(entries) if n not in failed))


def _puts(tables: Mapping[str, Sequence[Any]]) -> Iterable[Any]:
    return (put for puts in tables.values() for put in puts)


def _aliases(request: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """`b0`, `b1`, … in this order, which is not that of the letters."""
    variables = request.get("variables") or {}
    return sorted(variables.items(), key=lambda each: int(each[0][1:]))


def _item(attributes: Mapping[str, Any]) -> str:
    return f"item {attributes['pk']['S']} {attributes['sk']['S']}"


def _digest(kind: str, text: str) -> str:
    return f"{kind} {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def service_error(code: str, message: str, status: int) -> Answer:
    """An error of a service that speaks AWS's JSON protocol."""
    body = {"__type": code, "message": message}
    headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": code}
    return status, headers, json.dumps(body).encode()


def throttled(*, table: bool) -> Answer:
    """400, as DynamoDB does it: `table` for the table's own limit, else the account's."""
    if table:
        message = (
            "The level of configured provisioned throughput for the table was exceeded. Consider "
            "increasing your provisioning level with the UpdateTable API."
        )
        return service_error("ProvisionedThroughputExceededException", message, 400)
    return service_error("ThrottlingException", "Rate of requests exceeds the allowed", 400)


def internal_error(service: str) -> Answer:
    code = {"dynamodb": "InternalServerError", "events": "InternalException"}.get(
        service, "InternalFailure"
    )
    return service_error(code, "The request failed because of an internal error.", 500)


def condition_failed() -> Answer:
    return service_error(CONDITION_FAILED, "The conditional request failed", 400)


def graphql_error(status: int) -> Answer:
    """What AppSync answers to a request that it did not execute."""
    kind = {429: "TooManyRequestsException", 503: "ServiceUnavailableException"}.get(
        status, "InternalFailure"
    )
    body = {"errors": [{"errorType": kind, "message": "not executed"}]}
    headers = {"Content-Type": "application/json", "x-amzn-errortype": kind}
    return status, headers, json.dumps(body).encode()


def without_aliases(answer: Answer, failed: Collection[int]) -> Answer:
    """HTTP 200 with an error for some aliases: their data is null, nothing is pushed for them."""
    status, headers, body = answer
    result = json.loads(body)
    data = result.get("data") or {}
    for n in failed:
        data[f"b{n}"] = None
    errors = [
        {"path": [f"b{n}"], "errorType": "InternalFailure", "message": "not resolved"}
        for n in sorted(failed)
    ]
    changed = {**result, "data": data, "errors": [*(result.get("errors") or ()), *errors]}
    return status, _sized(headers), json.dumps(changed).encode()


def without_entries(operation: str, request: Mapping[str, Any], refused: Collection[int]) -> bytes:
    """The request without some of its entries."""
    if operation == "BatchWriteItem":
        ((table, puts),) = request["RequestItems"].items()
        kept = [put for n, put in enumerate(puts) if n not in refused]
        return json.dumps({**request, "RequestItems": {table: kept}}).encode()
    kept = [each for n, each in enumerate(request["Entries"]) if n not in refused]
    return json.dumps({**request, "Entries": kept}).encode()


def with_refused(
    operation: str, request: Mapping[str, Any], refused: Collection[int], answer: Answer | None
) -> Answer:
    """The answer to the rest of a batch, and for the refused entries what AWS says of them.

    `answer` is None if nothing was left to execute.
    """
    result = {} if answer is None else json.loads(answer[2])
    headers = {} if answer is None else _sized(answer[1])
    match operation:
        case "BatchWriteItem":
            ((table, puts),) = request["RequestItems"].items()
            left = [puts[n] for n in sorted(refused)]
            result["UnprocessedItems"] = {table: left}
        case "PutEvents":
            rest = iter(result.get("Entries", ()))
            code = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
            count = len(request["Entries"])
            result["Entries"] = [code if n in refused else next(rest) for n in range(count)]
            result["FailedEntryCount"] = len(refused)
        case "SendMessageBatch":
            result["Failed"] = [
                {
                    "Id": request["Entries"][n]["Id"],
                    "Code": "InternalError",
                    "Message": "not sent",
                    "SenderFault": False,
                }
                for n in sorted(refused)
            ]
            result.setdefault("Successful", [])
    headers.setdefault("Content-Type", "application/x-amz-json-1.0")
    return OK, headers, json.dumps(result).encode()


def _sized(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for a body of another length, with another checksum."""
    stale = {"content-length", "x-amz-crc32"}
    return {name: value for name, value in headers.items() if name.lower() not in stale}


def _shown(batch: Mapping[str, Any]) -> Subjects:
    """The tiles and lockers of one `publishTiles`."""
    building = batch["buildingId"]
    tiles = [f"tile {building} {each['lockerId']} {each['doorId']}" for each in batch["tiles"]]
    lockers = [f"locker {building} {each['lockerId']}" for each in batch["lockers"]]
    return frozenset(tiles + lockers)


SUBJECTS: Mapping[str, Callable[[Mapping[str, Any]], list[Subjects]]] = {
    "UpdateItem": lambda request: [frozenset({_item(request["Key"])})],
    "GetItem": lambda request: [frozenset({_item(request["Key"])})],
    "PutItem": lambda request: [frozenset({_item(request["Item"])})],
    "BatchWriteItem": lambda request: [
        frozenset({_item(put["PutRequest"]["Item"])}) for put in _puts(request["RequestItems"])
    ],
    "PutEvents": lambda request: [
        frozenset({_digest("event", each["Detail"])}) for each in request["Entries"]
    ],
    "SendMessageBatch": lambda request: [
        frozenset({_digest("parked", each["MessageBody"])}) for each in request["Entries"]
    ],
    "publishTiles": lambda request: [_shown(batch) for _, batch in _aliases(request)],
}
"""By operation: what each entry of a request is about, in its order."""
