"""AppSync in memory behind gql's transport interface: executes infra/schema.graphql itself.

A document and its variables are validated against the deployed schema by graphql-core, so what
AppSync would refuse is refused here, with the errors in the same places. Pushes go to `pushed`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gql import GraphQLRequest
from graphql import ExecutionResult, GraphQLScalarType, GraphQLSchema, build_schema, execute_sync
from graphql.error import GraphQLError

import infra
from local.realtime.api import _PRELUDE

AWS_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d(:\d\d)?)"
)
"""AWS: scalar types in AppSync, AWSDateTime."""

Fault = Callable[[], ExecutionResult | None]
"""Raises, or returns the answer, or None to let the request through."""


def deployed_schema() -> GraphQLSchema:
    """The schema as AppSync has it, with AWSDateTime checked."""
    sdl = (Path(infra.__file__).parent / "schema.graphql").read_text(encoding="utf-8")
    schema = build_schema(_PRELUDE + sdl, assume_valid_sdl=True)
    moment = schema.get_type("AWSDateTime")
    assert isinstance(moment, GraphQLScalarType)
    moment.parse_value = _date_time  # type: ignore[method-assign]
    return schema


def _date_time(value: Any) -> str:
    if not isinstance(value, str) or AWS_DATE_TIME.fullmatch(value) is None:
        raise GraphQLError(f"Can't parse {value!r} as AWSDateTime")
    return value


class MemoryAppSync:
    """A transport for `pipeline.appsync.AppSync`.

    `refused` are buildings answered with an error of their alias, `before` and `after` are asked
    around each execution: a fault in `after` comes when subscribers have been told already.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.refused: set[str] = set()
        self.before: Fault | None = None
        self.after: Fault | None = None
        self.pushed: list[dict[str, Any]] = []
        """Each TileBatch that subscribers get, in order."""

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def execute(self, request: GraphQLRequest, timeout: int | None = None) -> ExecutionResult:
        if self.before is not None and (answer := self.before()) is not None:
            return answer
        done = execute_sync(
            self._schema,
            request.document,
            root_value={"publishTiles": self._publish},
            variable_values=request.variable_values,
        )
        for key, batch in (done.data or {}).items():
            if batch is not None and [key] not in [error.path for error in done.errors or ()]:
                self.pushed.append(batch)
        if self.after is not None and (answer := self.after()) is not None:
            return answer
        errors: Any = [
            {"errorType": "MappingTemplate", "message": error.message, "path": error.path}
            for error in done.errors or ()
        ]
        return ExecutionResult(data=done.data, errors=errors or None)

    def _publish(self, _: Any, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["buildingId"] in self.refused:
            raise GraphQLError("on purpose")
        return batch
