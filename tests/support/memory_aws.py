# ruff: noqa: N803  (arguments are named as boto3 names them)
"""The few calls of DynamoDB and SQS that the pipeline makes, in memory and a thousand times faster.

For tests that make very many calls. It keeps AWS's rules that a hostile record could break (keys,
sizes, numbers, characters), and refuses what it does not know. tests/fuzz/test_memory_aws.py holds
it to moto's answers.
"""

import operator
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]

ITEM_BYTES = 400 * 1024
"""AWS: an item with its attribute names; what a document adds is left out."""
MESSAGE_BYTES = 1024 * 1024
"""AWS: of a message with its attributes, and of all messages of a batch together."""
NUMBER = re.compile(r"-?\d{1,38}(\.\d{1,38})?")
FORBIDDEN = re.compile("[^\\x09\\x0a\\x0d\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""AWS: SQS takes XML's characters; others are refused in attributes, replaced in bodies."""

_TOKEN = re.compile(r"\s*(attribute_not_exists|AND|OR|[()]|[<>=]|[#:]\w+)")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def refused(code: str, operation: str, message: str = "", **more: Any) -> ClientError:
    """The error that botocore raises for an answer with HTTP status 400."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": message or code},
            "ResponseMetadata": {"HTTPStatusCode": 400},
            **more,
        },
        operation,
    )


class MemoryTable:
    """DynamoDB with one table, as boto3's client; thread-safe."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Item] = {}
        self._lock = threading.Lock()

    def items(self, prefix: str) -> list[Item]:
        """All items whose sort key begins so."""
        with self._lock:
            return [item for (_, sk), item in self.held.items() if sk.startswith(prefix)]

    def batch_write_item(
        self, *, RequestItems: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        ((_, requests),) = RequestItems.items()
        items = [request["PutRequest"]["Item"] for request in requests]
        keys = [key_of(item, "BatchWriteItem") for item in items]
        if len(keys) > 25 or len(set(keys)) < len(keys):
            raise refused("ValidationException", "BatchWriteItem", "duplicates, or more than 25")
        for item in items:
            check(item, "BatchWriteItem")
        with self._lock:
            self.held.update(zip(keys, items, strict=True))
        return {"UnprocessedItems": {}}

    def put_item(
        self, *, TableName: str, Item: Item, ConditionExpression: str = "", **expression: Any
    ) -> dict[str, Any]:
        key = key_of(Item, "PutItem")
        check(Item, "PutItem")
        with self._lock:
            self._require(ConditionExpression, self.held.get(key), expression, "PutItem")
            self.held[key] = Item
        return {}

    def get_item(
        self, *, TableName: str, Key: Item, ConsistentRead: bool = False
    ) -> dict[str, Any]:
        with self._lock:
            found = self.held.get(key_of(Key, "GetItem"))
        return {} if found is None else {"Item": found}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str,
        ConditionExpression: str = "",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
        **expression: Any,
    ) -> dict[str, Any]:
        key = key_of(Key, "UpdateItem")
        names = expression["ExpressionAttributeNames"]
        values = expression["ExpressionAttributeValues"]
        sets, _, removes = UpdateExpression.removeprefix("SET ").partition(" REMOVE ")
        with self._lock:
            held = self.held.get(key)
            old = held if ReturnValuesOnConditionCheckFailure == "ALL_OLD" else None
            self._require(ConditionExpression, held, expression, "UpdateItem", old)
            item = dict(held or Key)
            for part in sets.split(", "):
                name, value = part.split(" = ")
                item[names[name]] = values[value]
            for name in removes.split(", ") if removes else ():
                item.pop(names[name], None)
            check(item, "UpdateItem")
            self.held[key] = item
        return {}

    @staticmethod
    def _require(
        condition: str,
        held: Item | None,
        expression: Mapping[str, Any],
        operation: str,
        old: Item | None = None,
    ) -> None:
        if condition and not _Condition(condition, held or {}, expression).holds():
            more = {"Item": old} if old is not None else {}
            raise refused("ConditionalCheckFailedException", operation, **more)


class _Condition:
    """Evaluates `attribute_not_exists`, comparisons, AND, OR and parentheses, by descent."""

    def __init__(self, text: str, item: Item, expression: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(text)
        assert "".join(self._tokens) == re.sub(r"\s", "", text), f"not understood: {text}"
        self._item = item
        self._names = expression["ExpressionAttributeNames"]
        self._values = expression["ExpressionAttributeValues"]

    def holds(self) -> bool:
        result = self._either()
        assert not self._tokens, f"left over: {self._tokens}"
        return result

    def _either(self) -> bool:
        result = self._both()
        while self._tokens and self._tokens[0] == "OR":
            self._tokens.pop(0)
            result |= self._both()
        return result

    def _both(self) -> bool:
        result = self._term()
        while self._tokens and self._tokens[0] == "AND":
            self._tokens.pop(0)
            result &= self._term()
        return result

    def _term(self) -> bool:
        token = self._tokens.pop(0)
        if token == "(":
            result = self._either()
            assert self._tokens.pop(0) == ")"
            return result
        if token == "attribute_not_exists":
            _, name, _ = (self._tokens.pop(0) for _ in range(3))
            return self._names[name] not in self._item
        compare = _COMPARE[self._tokens.pop(0)]
        held = self._item.get(self._names[token])
        wanted = self._values[self._tokens.pop(0)]
        if held is None or held.keys() != wanted.keys():
            return False
        ((kind, left),), ((_, right),) = held.items(), wanted.items()
        return compare(int(left), int(right)) if kind == "N" else compare(left, right)


def key_of(item: Item, operation: str) -> tuple[str, str]:
    """Raise ClientError unless both keys are strings that AWS takes."""
    try:
        key = item["pk"]["S"], item["sk"]["S"]
    except KeyError as missing:
        raise refused("ValidationException", operation, f"no key {missing}") from None
    if not all(key) or len(key[0].encode()) > 2048 or len(key[1].encode()) > 1024:
        raise refused("ValidationException", operation, "a key is empty or too long")
    return key


def check(item: Item, operation: str) -> None:
    """Raise ClientError for an item that AWS does not store."""
    size = sum(len(name.encode()) + _size(value, operation) for name, value in item.items())
    if size > ITEM_BYTES:
        raise refused("ValidationException", operation, "Item size has exceeded the maximum")


def _size(value: Any, operation: str) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())  # what is no UTF-8 never left botocore
    if kind == "N":
        if NUMBER.fullmatch(content) is None:
            raise refused("ValidationException", operation, f"{content[:50]} is not a number")
        return len(content)
    if kind == "M":
        return sum(len(name.encode()) + _size(each, operation) for name, each in content.items())
    assert kind == "BOOL", f"unknown type {kind}"
    return 1


@dataclass
class MemoryQueue:
    """SQS with one queue, as boto3's client, as far as parking needs it."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    def send_message_batch(
        self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        self.requests += 1
        ids = [entry["Id"] for entry in Entries]
        if not 1 <= len(ids) <= 10 or len(set(ids)) < len(ids):
            raise refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "SendMessageBatch")
        if sum(map(_message_size, Entries)) > MESSAGE_BYTES:
            raise refused("AWS.SimpleQueueService.BatchRequestTooLong", "SendMessageBatch")
        failed = [(entry["Id"], why) for entry in Entries if (why := _refusal(entry))]
        refused_ids = {id_ for id_, _ in failed}
        self.messages += [entry for entry in Entries if entry["Id"] not in refused_ids]
        return {
            "Successful": [{"Id": id_} for id_ in ids if id_ not in refused_ids],
            "Failed": [
                {"Id": id_, "Code": "InvalidParameterValue", "Message": why, "SenderFault": True}
                for id_, why in failed
            ],
        }


def _message_size(entry: Mapping[str, Any]) -> int:
    attributes = entry.get("MessageAttributes", {})
    return len(entry["MessageBody"].encode(errors="surrogatepass")) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in attributes.items()
    )


def _refusal(entry: Mapping[str, Any]) -> str:
    """Why AWS would not take this entry; empty if it would."""
    if not entry["MessageBody"]:
        return "The request must contain the parameter MessageBody."
    attributes = entry.get("MessageAttributes", {})
    if len(attributes) > 10:
        return "more than 10 attributes"
    for name, value in attributes.items():
        if not value["StringValue"] or FORBIDDEN.search(value["StringValue"]):
            return f"attribute {name}: empty, or a character that is not allowed"
    return ""
