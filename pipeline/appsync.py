"""AppSync, as the fan-out calls it: many `publishTiles` in one request, each with its own answer.

AWS: a mutation pushes to subscribers what its own selection set names and nothing else, so the
fragment below names every field of `TileBatch`. HTTP 200 with an `errors` entry is a failure of
that alias.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from gql import GraphQLRequest, gql
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.requests import RequestsHTTPTransport
from graphql import ExecutionResult
from requests import PreparedRequest, Timeout
from requests.auth import AuthBase

from pipeline.deadline import Deadline, out_of_time
from pipeline.errors import Retryable

ALIASES_PER_DOCUMENT = 50
"""AWS: a document may have 15,000 tokens and run 30 s; an alias takes about 15 tokens."""
CONNECT_TIMEOUT_S = 1.0
TIMEOUT_S = 5.0
DETAIL_MAX_CHARS = 300
"""Of a failure: an answer that is not GraphQL may be the whole of an error page."""
TILE_FIELDS = (
    "buildingId lockerId doorId version kind status open occupied fault at "
    "receivedAt queuedAt projectedAt trace"
)
LOCKER_FIELDS = "buildingId lockerId connected since reason revision receivedAt projectedAt"
FRAGMENT = (
    "fragment Pushed on TileBatch { buildingId publishedAt attention "
    f"tiles {{ {TILE_FIELDS} }} lockers {{ {LOCKER_FIELDS} }} }}"
)


@dataclass(frozen=True, slots=True)
class Publication:
    """One `publishTiles`: what has changed in one building. Tiles and lockers as GraphQL inputs.

    `attention` says that some of it is, or was until now, forced, faulted or offline: operators are
    told as well.
    """

    building: str
    tiles: Sequence[Mapping[str, Any]]
    lockers: Sequence[Mapping[str, Any]]
    attention: bool = False

    def variables(self, published_at: int) -> dict[str, Any]:
        return {
            "buildingId": self.building,
            "publishedAt": published_at,
            "attention": self.attention,
            "tiles": list(self.tiles),
            "lockers": list(self.lockers),
        }


class PublishError(Retryable):
    """AppSync did not publish: it could not be reached, refused, or answered something else."""


Failures = dict[int, PublishError]
"""Index of a publication → why it was not published."""


class Transport(Protocol):
    """The part of gql's synchronous transports that we need."""

    def connect(self) -> None: ...

    def execute(self, request: GraphQLRequest, timeout: int | None = None) -> ExecutionResult: ...

    def close(self) -> None: ...


class AppSync:
    """Publishes; keeps its connection for the container's life.

    Parameters
    ----------
    transport
        A fresh one, not connected yet.
    now_ms
        Epoch milliseconds, for `publishedAt`.
    """

    def __init__(self, transport: Transport, now_ms: Callable[[], int]) -> None:
        self._transport = transport
        self._now_ms = now_ms
        self.requests = 0
        transport.connect()

    def publish(self, publications: Sequence[Publication], deadline: Deadline) -> Failures:
        """Publish all, in as few requests as AppSync allows; return those that failed."""
        failures: Failures = {}
        for start in range(0, len(publications), ALIASES_PER_DOCUMENT):
            chunk = publications[start : start + ALIASES_PER_DOCUMENT]
            failed = self._publish_chunk(chunk, deadline)
            failures.update({start + index: error for index, error in failed.items()})
        return failures

    def _publish_chunk(self, chunk: Sequence[Publication], deadline: Deadline) -> Failures:
        published_at = self._now_ms()
        request = GraphQLRequest(
            document(len(chunk)).document,
            variable_values={
                f"b{index}": publication.variables(published_at)
                for index, publication in enumerate(chunk)
            },
        )
        try:
            return failed_aliases(chunk, self._execute(request, deadline))
        except Retryable as error:
            return _all_failed(chunk, str(error))
        except Exception as error:  # noqa: BLE001  (JSON that is not GraphQL breaks gql anywhere)
            return _all_failed(chunk, f"{type(error).__name__}: {error}")

    def _execute(self, request: GraphQLRequest, deadline: Deadline) -> ExecutionResult:
        """Send it; if the connection breaks, once more on a new one.

        While AWS keeps the container frozen nobody notices that AppSync closes the idle connection:
        the next request finds out. Publishing twice is harmless. A time-out is left to the stream:
        who is slow is not helped by a second request.
        """
        try:
            return self._send(request, deadline)
        except TransportConnectionFailed as error:
            if isinstance(error.__cause__, Timeout):
                raise
            return self._send(request, deadline)

    def _send(self, request: GraphQLRequest, deadline: Deadline) -> ExecutionResult:
        remaining = deadline.remaining_s
        if not remaining:
            raise out_of_time()
        self.requests += 1
        # gql says int and hands it to requests, which takes seconds to connect and to read.
        timeout: Any = (min(CONNECT_TIMEOUT_S, remaining), min(TIMEOUT_S, remaining))
        return self._transport.execute(request, timeout=timeout)


def failed_aliases(chunk: Sequence[Publication], answer: ExecutionResult) -> Failures:
    """Which aliases have an error, or no data; an error that names no alias is everybody's."""
    failures: Failures = {}
    for entry in answer.errors or ():
        error: Any = entry
        path = error.get("path") or ()
        message = f"{error.get('errorType') or 'error'}: {error.get('message')}"
        index = _alias_index(path[0] if path else None, len(chunk))
        if index is None:
            return _all_failed(chunk, message)
        failures[index] = _failed(chunk[index], message)
    data = answer.data if isinstance(answer.data, dict) else {}
    for index, publication in enumerate(chunk):
        if data.get(f"b{index}") is None and index not in failures:
            failures[index] = _failed(publication, "no data in the answer")
    return failures


def _alias_index(alias: object, count: int) -> int | None:
    names = {f"b{index}": index for index in range(count)}
    return names.get(alias) if isinstance(alias, str) else None


def _all_failed(chunk: Sequence[Publication], why: str) -> Failures:
    return {index: _failed(publication, why) for index, publication in enumerate(chunk)}


def _failed(publication: Publication, why: str) -> PublishError:
    return PublishError(f"{publication.building}: {why}"[:DETAIL_MAX_CHARS])


@lru_cache(maxsize=ALIASES_PER_DOCUMENT)
def document(aliases: int) -> GraphQLRequest:
    """One mutation with so many aliases `b0`, `b1`, …; parsed once a container."""
    variables = ", ".join(f"$b{index}: TileBatchInput!" for index in range(aliases))
    fields = " ".join(
        f"b{index}: publishTiles(batch: $b{index}) {{ ...Pushed }}" for index in range(aliases)
    )
    return gql(f"mutation Publish({variables}) {{ {fields} }} {FRAGMENT}")


class IamAuth(AuthBase):
    """Signs a request of the `requests` library as AppSync wants it, with gql's own signer."""

    def __init__(self, signer: AppSyncIAMAuthentication) -> None:
        self._signer = signer

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body
        if not isinstance(body, bytes):
            raise TypeError(f"cannot sign a body of {type(body).__name__}")
        request.headers.update(self._signer.get_headers(data=body.decode()))
        return request


def iam_transport(url: str, region: str) -> RequestsHTTPTransport:
    """Reach the API with the function's own role; the signature names the URL's host."""
    signer = AppSyncIAMAuthentication(host=urlsplit(url).netloc, region_name=region)
    return RequestsHTTPTransport(url, auth=IamAuth(signer))
