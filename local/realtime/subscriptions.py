"""Who is subscribed to what, and what each of them gets after a mutation.

Gap: MiniStack has no GraphQL subscriptions. Seen in MiniStack 1.5.33.

Subscribers that sent the same document with the same variables form a group: a result is executed
and serialised once a group, and only the subscription's id differs on the wire.

AppSync's rules kept here: arguments are compared with the *result's* field of that name (so it
must be among the fields that the mutation selected); an argument left out does not filter, an
explicit `null` wants a null or missing field; fields that the mutation did not select come as
null, and are an error where the schema says non-null; a message above 240 KB is dropped. (AWS:
AppSync developer guide, "Real-time data".)
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from graphql import FieldNode, GraphQLError, GraphQLSchema, OperationType, execute_sync, validate
from graphql.execution.values import get_argument_values, get_variable_values

from local.errors import LocalStackError
from local.realtime.operations import BadDocument, Operation, parse_operation
from local.realtime.protocol import data_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_MESSAGE = 240 * 1024
"""AWS quota: bytes of a message to a subscriber; larger ones vanish."""
_NOT_A_SUBSCRIPTION = (
    "query and mutations are not supported through the realtime channel, make sure you are only "
    "sending subscription operations to this endpoint."
)

logger = logging.getLogger(__name__)


class InvalidSubscription(LocalStackError):
    """A `start` whose document cannot be subscribed to; `errors` go to the client."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class Subscriber(Protocol):
    """Takes a frame for one client; must not block and must not raise."""

    def push(self, frame: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A valid subscription document with its variables."""

    key: tuple[str, str | None, str]
    operation: Operation
    variables: Mapping[str, Any]
    field: str
    arguments: Mapping[str, Any]
    """As coerced by the schema; only those that were given."""


@dataclass(slots=True)
class _Group:
    subscription: Subscription
    members: dict[tuple[Subscriber, str], None] = field(default_factory=dict)


class Subscriptions:
    """All running subscriptions of one API.

    Parameters
    ----------
    schema
        The API's schema.
    triggered
        Mutation field → the subscription fields that name it in `@aws_subscribe`.
    """

    def __init__(self, schema: GraphQLSchema, triggered: Mapping[str, tuple[str, ...]]) -> None:
        self._schema = schema
        self._triggered = triggered
        self._by_field: dict[str, dict[tuple[str, str | None, str], _Group]] = {}
        self._groups: dict[tuple[Subscriber, str], _Group] = {}
        self._valid = lru_cache(maxsize=256)(self._validate)

    def __len__(self) -> int:
        return len(self._groups)

    def prepare(
        self, query: str, variables: Mapping[str, Any], operation_name: str | None
    ) -> Subscription:
        """Parse and validate a document.

        Raises
        ------
        InvalidSubscription
            A syntax error, an error against the schema, wrong variables, not a subscription.
        """
        operation, node = self._valid(query, operation_name)
        coerced = get_variable_values(
            self._schema, operation.node.variable_definitions, dict(variables)
        )
        if isinstance(coerced, list):
            raise InvalidSubscription([_error("ValidationError", e.message) for e in coerced])
        root = self._schema.subscription_type
        assert root is not None  # the document was validated against it
        try:
            arguments = get_argument_values(root.fields[node.name.value], node, coerced)
        except GraphQLError as error:  # a null variable with a default, for a non-null argument
            raise InvalidSubscription([_error("ValidationError", error.message)]) from None
        return Subscription(
            key=(query, operation_name, json.dumps(variables, sort_keys=True)),
            operation=operation,
            variables=variables,
            field=node.name.value,
            arguments=arguments,
        )

    def _validate(self, query: str, operation_name: str | None) -> tuple[Operation, FieldNode]:
        try:
            operation = parse_operation(query, operation_name)
        except BadDocument as bad:
            message = f"Unable to parse GraphQL query: {bad}"
            raise InvalidSubscription([_error("MalformedRequestException", message)]) from None
        if operation.kind is not OperationType.SUBSCRIPTION:
            raise InvalidSubscription([_error("UnsupportedOperation", _NOT_A_SUBSCRIPTION)])
        errors = validate(self._schema, operation.document)
        if errors:
            raise InvalidSubscription([_error("ValidationError", e.message) for e in errors])
        roots = list(operation.root_fields.values())
        if len(roots) != 1 or roots[0][0].name.value.startswith("__"):
            raise InvalidSubscription(
                [_error("ValidationError", "a subscription must have exactly one field")]
            )
        return operation, roots[0][0]

    def add(self, subscriber: Subscriber, id_: str, subscription: Subscription) -> None:
        """From now on `subscriber` gets what matches."""
        groups = self._by_field.setdefault(subscription.field, {})
        group = groups.setdefault(subscription.key, _Group(subscription))
        group.members[subscriber, id_] = None
        self._groups[subscriber, id_] = group

    def remove(self, subscriber: Subscriber, id_: str) -> None:
        """Forget one subscription; unknown ones are fine."""
        group = self._groups.pop((subscriber, id_), None)
        if group is None:
            return
        del group.members[subscriber, id_]
        if not group.members:
            del self._by_field[group.subscription.field][group.subscription.key]

    def wants(self, mutations: Iterable[str]) -> bool:
        """Whether anybody listens to one of these mutation fields."""
        return any(
            self._by_field.get(name)
            for mutation in mutations
            for name in self._triggered.get(mutation, ())
        )

    def publish(self, mutation: str, result: Mapping[str, Any]) -> int:
        """Push the result of one mutation field; return the number of frames pushed."""
        pushed = 0
        for name in self._triggered.get(mutation, ()):
            for group in tuple(self._by_field.get(name, {}).values()):
                if not _matches(group.subscription.arguments, result):
                    continue
                payload = self._payload(group.subscription, result)
                if len(payload) > MAX_MESSAGE:
                    logger.warning(
                        "message dropped: %d bytes for %s, AppSync's limit is %d",
                        len(payload),
                        name,
                        MAX_MESSAGE,
                    )
                    continue
                # A copy: a subscriber whose outbox is full leaves while we iterate.
                for subscriber, id_ in tuple(group.members):
                    subscriber.push(data_frame(id_, payload))
                    pushed += 1
        return pushed

    def _payload(self, subscription: Subscription, result: Mapping[str, Any]) -> str:
        executed = execute_sync(
            self._schema,
            subscription.operation.document,
            root_value={subscription.field: result},
            variable_values=dict(subscription.variables),
            operation_name=subscription.key[1],
        )
        payload: dict[str, Any] = {"data": executed.data}
        if executed.errors:
            payload["errors"] = [
                {"message": error.message, "path": error.path} for error in executed.errors
            ]
        # ASCII only, so that the length is the length in bytes.
        return json.dumps(payload, separators=(",", ":"))


def _matches(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    return all(result.get(name) == value for name, value in arguments.items())


def _error(error_type: str, message: str) -> dict[str, str]:
    return {"errorType": error_type, "message": message}
