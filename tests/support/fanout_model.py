"""What can happen to the fan-out, and a dashboard that watches: parts of its state machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportProtocolError,
    TransportServerError,
)
from graphql import ExecutionResult
from hypothesis import strategies as st
from requests import Timeout

from pipeline.items import graphql_locker, graphql_tile
from simulators.observation import Picture, SeenLocker, SeenTile
from tests.support.aws import refusal

BUILDINGS = ("birch-house", "cedar-tower", "maple-court")


class Fault(Enum):
    REFUSED = "GraphQL errors for some aliases"
    SERVER_ERROR = "HTTP 500"
    NONSENSE = "an answer that is not GraphQL"
    TIMEOUT = "no answer; AppSync published all the same"
    ALL_FAILED = "an error that names no alias"
    KILLED_BEFORE = "the process ends before the mutation"
    KILLED_AFTER = "the process ends after the mutation"
    NOT_INVOKED = "Lambda throttles the mapping"
    LATE = "no time is left"


class Parking(Enum):
    THROTTLED = "the dead-letter queue refuses the request"
    FAILED = "HTTP 200, and every entry is `Failed`"


class KilledError(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Plan:
    """What happens to one invocation."""

    fault: Fault | None
    buildings: frozenset[str]
    """Whose aliases are refused."""
    parking: Parking | None
    """What happens to the next letter of ours."""


PLANS = st.lists(
    st.none()
    | st.builds(
        Plan,
        st.none() | st.sampled_from(Fault),
        st.frozensets(st.sampled_from(BUILDINGS)),
        st.none() | st.sampled_from(Parking),
    ),
    max_size=5,
)
Shown = dict[str, tuple[str | int, ...]]
"""By item: what orders its states."""


def item_of(fields: Mapping[str, Any]) -> str:
    return f"{fields['buildingId']}/{fields['lockerId']}/{fields.get('doorId', '')}"


def order_of(fields: Mapping[str, Any]) -> tuple[str | int, ...]:
    if "doorId" in fields:
        return str(fields["version"]), -int(fields["receivedAt"])
    return (int(fields["revision"]),)


def fields_of(image: Mapping[str, Any]) -> dict[str, Any]:
    reader = graphql_tile if image["entity"]["S"] == "TILE" else graphql_locker
    return reader(image)


@dataclass
class Dashboard:
    """A subscriber: what it shows, what is on its way, and what it has ever shown."""

    picture: Picture = field(default_factory=Picture)
    pushes: list[dict[str, Any]] = field(default_factory=list)
    best: Shown = field(default_factory=dict)

    def take(self, batch: Mapping[str, Any]) -> None:
        for fields in batch["tiles"]:
            self.picture.put(SeenTile.model_validate(fields))
        for fields in batch["lockers"]:
            self.picture.put_locker(SeenLocker.model_validate(fields))
        shown = self.shown()
        for item, order in self.best.items():
            assert shown[item] >= order, f"{item} flipped back"
        self.best = shown

    def shown(self) -> Shown:
        seen: list[SeenTile | SeenLocker] = [
            *self.picture.tiles.values(),
            *self.picture.lockers.values(),
        ]
        fields = [each.model_dump(by_alias=True) for each in seen]
        return {item_of(each): order_of(each) for each in fields}


def _server_error() -> None:
    raise TransportServerError("500 Server Error", 500)


def _nonsense() -> None:
    raise TransportProtocolError("Server did not return a GraphQL result")


def _time_out() -> None:
    raise TransportConnectionFailed("read timed out") from Timeout("read timed out")


def _killed() -> None:
    raise KilledError


def _all_failed() -> ExecutionResult:
    error: Any = {"errorType": "Throttled", "message": "rate exceeded"}
    return ExecutionResult(data=None, errors=[error])


def park(how: Parking, request: Mapping[str, Any]) -> dict[str, Any]:
    """The dead-letter queue's answer; nothing is in it."""
    if how is Parking.THROTTLED:
        raise refusal("ThrottlingException", "SendMessageBatch")
    failed = [{"Id": entry["Id"], "Code": "InternalError"} for entry in request["Entries"]]
    return {"Successful": [], "Failed": failed}


BEFORE = {
    Fault.SERVER_ERROR: _server_error,
    Fault.NONSENSE: _nonsense,
    Fault.ALL_FAILED: _all_failed,
    Fault.KILLED_BEFORE: _killed,
}
AFTER = {Fault.TIMEOUT: _time_out, Fault.KILLED_AFTER: _killed}
