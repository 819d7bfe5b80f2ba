"""What a function asks of AWS, counted in its process as it goes over the wire, or kept off it.

Requests are counted where Python's HTTP client sends them, so every attempt counts, whichever
library makes it. What is written, a hook of botocore tells; another can answer every call of
DynamoDB on the spot, so that the SDK is at work and the network is not.
"""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import botocore
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.session import Session

from benchmarks.comparison.errors import ComparisonError

WRITES = {"PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}
"""DynamoDB's operation, and where its request has the item's key."""
OK = 200


@dataclass
class Usage:
    """`requests` by port, `writes` by table and key, `reads` are items read one by one."""

    requests: Counter[int] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    reads: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": [[port, count] for port, count in self.requests.items()],
            "writes": [[table, key, count] for (table, key), count in self.writes.items()],
            "reads": self.reads,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Usage:
        return cls(
            Counter(dict(found["requests"])),
            Counter({(table, key): count for table, key, count in found["writes"]}),
            found["reads"],
        )


class Wire:
    """Counts into `usage` if there is one; while `offline`, DynamoDB answers without being asked.

    Install it before any client is made.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.offline = False

    def install(self) -> None:
        """For good: Python cannot take an audit hook away again."""
        sys.addaudithook(self._audited)
        botocore.register_initializer(self._initialize)

    def _initialize(self, session: Session) -> None:
        session.register("before-call.dynamodb", self._called)
        # The stubs know of no handler that answers.
        session.register("before-send.dynamodb", self._sending)  # type: ignore[arg-type]

    def _audited(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "http.client.send" or self.usage is None:
            return
        connection, data = arguments
        # The head of a request comes first, its body with it or on its own.
        if isinstance(connection, HTTPConnection) and isinstance(data, bytes):
            head = data.split(b"\r\n", 1)[0]
            if head.startswith(b"POST ") and b" HTTP/1." in head:
                self.usage.requests[connection.port] += 1

    def _called(self, **call: Any) -> None:
        if self.usage is None:
            return
        model, body = call["model"], json.loads(call["params"]["body"])
        if model.name in WRITES:
            self.usage.writes[body["TableName"], key_of(body[WRITES[model.name]])] += 1
        elif model.name == "BatchWriteItem":
            for table, requests in body["RequestItems"].items():
                for request in requests:
                    self.usage.writes[table, key_of(request["PutRequest"]["Item"])] += 1
        elif model.name == "GetItem":
            self.usage.reads += 1
        else:
            raise ComparisonError(f"a design calls DynamoDB's {model.name}, which nothing counts")

    def _sending(self, **call: Any) -> AWSResponse | None:
        """Answer that it is done and, to a read, that there is no such item."""
        if not self.offline:
            return None
        return AWSResponse(call["request"].url, OK, HTTPHeaders(), _Body(b"{}"))


class _Body(io.BytesIO):
    """What botocore wants of urllib3's response."""

    def stream(self, _: int = 0, *, decode_content: bool = True) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk


def key_of(item: Mapping[str, Any]) -> str:
    """The key of an item, or the key alone, of any of the tables, as one text."""
    return "|".join(item[name]["S"] for name in ("pk", "sk", "id") if name in item)
