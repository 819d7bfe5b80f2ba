"""GraphQL documents as the gateway needs them: which fields, who may, what was renamed.

Pure: nothing here talks to the API. Documents are parsed once and kept by their text, because a
fan-out sends the same few over and over.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_non_null_type,
    parse,
    print_ast,
)
from graphql.error import GraphQLError

from local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from local.realtime.api import DeployedApi
    from local.realtime.credentials import Caller

Composite = GraphQLObjectType | GraphQLInterfaceType

_SKIP = DirectiveNode(
    name=NameNode(value="skip"),
    arguments=(ArgumentNode(name=NameNode(value="if"), value=BooleanValueNode(value=True)),),
)


class BadDocument(LocalStackError):
    """A document that does not parse, or that has no such operation."""


@dataclass(frozen=True)
class Operation:
    """One operation of a parsed document; what is asked of it often is worked out once."""

    document: DocumentNode
    node: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]

    @property
    def kind(self) -> OperationType:
        return self.node.operation

    @cached_property
    def root_fields(self) -> dict[str, list[FieldNode]]:
        """Response key → the nodes that ask for it, fragments followed."""
        return _by_key(self.fields(self.node.selection_set))

    def fields(
        self, selection_set: SelectionSetNode | None, inside: frozenset[str] = frozenset()
    ) -> Iterator[FieldNode]:
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from self.fields(selection.selection_set, inside)
            else:
                name = selection.name.value  # type: ignore[attr-defined]
                fragment = self.fragments.get(name)
                if fragment and name not in inside:  # a cycle is refused by validation
                    yield from self.fields(fragment.selection_set, inside | {name})

    def by_field_name(self, value: Any, nodes: Sequence[FieldNode]) -> Any:
        """Turn a response value back from aliases to field names.

        Subscribers ask for fields by the schema's names, whatever the mutation called them.
        """
        if isinstance(value, list):
            return [self.by_field_name(item, nodes) for item in value]
        if not isinstance(value, dict):
            return value
        asked = _by_key(field for node in nodes for field in self.fields(node.selection_set))
        return {
            same[0].name.value: self.by_field_name(value[key], same)
            for key, same in asked.items()
            if key in value
        }

    @cached_property
    def renamed(self) -> frozenset[str]:
        """The keys of the root fields below which anything has an alias."""
        return frozenset(key for key, nodes in self.root_fields.items() if self._renames(nodes))

    def _renames(self, nodes: Sequence[FieldNode]) -> bool:
        return any(
            field.alias is not None or self._renames([field])
            for node in nodes
            for field in self.fields(node.selection_set)
        )


@lru_cache(maxsize=512)
def parse_operation(text: str, operation_name: str | None) -> Operation:
    """Parse a document and pick its operation.

    Raises
    ------
    BadDocument
        A syntax error, no operation of that name, or several and no name.
    """
    try:
        document = parse(text, no_location=True)
    except GraphQLError as error:
        raise BadDocument(error.message) from None
    except RecursionError:
        raise BadDocument("the document is nested too deeply") from None
    operations = [
        node
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
        and (not operation_name or (node.name and node.name.value == operation_name))
    ]
    if len(operations) != 1:
        found = f"{len(operations)} operations"
        raise BadDocument(f"{found} match; 'operationName' must name one of the document")
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    return Operation(document, operations[0], fragments)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A top-level field that the caller may not have, as AppSync reports it."""

    key: str
    error: Mapping[str, Any]
    nulls_data: bool
    """The field is non-null, so that its null takes the whole `data` with it."""


def refusals(api: DeployedApi, operation: Operation, caller: Caller) -> list[Refusal]:
    """Return the top-level fields that the auth directives deny this caller.

    AppSync nulls a denied field below the top at its own place. Here it denies the top-level field
    it stands in: in this schema everything on the way is non-null, so the null would climb there
    anyway, and a mutation whose result cannot be read should not run unnoticed.
    """
    root = api.schema.get_root_type(operation.kind)
    if root is None:  # validation says so
        return []
    may = partial(api.may, caller)
    found = []
    for key, nodes in operation.root_fields.items():
        denied = _denied(may, operation, root, nodes, (key,))
        if denied is not None:
            field = root.fields[nodes[0].name.value]
            found.append(Refusal(key, denied, is_non_null_type(field.type)))
    return found


def _denied(
    may: Callable[[Composite, str], bool],
    operation: Operation,
    parent: Composite,
    nodes: Sequence[FieldNode],
    path: tuple[str, ...],
) -> Mapping[str, Any] | None:
    name = nodes[0].name.value
    field = parent.fields.get(name)
    if field is None:  # introspection, or unknown: validation says so
        return None
    if not may(parent, name):
        return {
            "path": list(path),
            "data": None,
            "errorType": "Unauthorized",
            "errorInfo": None,
            "message": f"Not Authorized to access {name} on type {parent.name}",
        }
    below = get_named_type(field.type)
    if not isinstance(below, GraphQLObjectType | GraphQLInterfaceType):
        return None
    for key, same in _by_key(
        inner for node in nodes for inner in operation.fields(node.selection_set)
    ).items():
        denied = _denied(may, operation, below, same, (*path, key))
        if denied is not None:
            return denied
    return None


def without_fields(operation: Operation, root_type: str, keys: frozenset[str]) -> str:
    """Print the document with these top-level fields skipped.

    Each is wrapped in `... @skip(if: true) { }` and stays: to remove them could leave a variable
    or a fragment unused, which is an error of its own.
    """

    def skipping(selection_set: SelectionSetNode) -> SelectionSetNode:
        return SelectionSetNode(selections=tuple(map(skip, selection_set.selections)))

    def skip(node: SelectionNode) -> SelectionNode:
        if isinstance(node, FieldNode) and _key(node) in keys:
            alone = SelectionSetNode(selections=(node,))
            return InlineFragmentNode(directives=(_SKIP,), selection_set=alone)
        if isinstance(node, InlineFragmentNode):
            changed = copy.copy(node)
            changed.selection_set = skipping(node.selection_set)
            return changed
        return node

    definitions = []
    for node in operation.document.definitions:
        changed = copy.copy(node)
        if isinstance(changed, OperationDefinitionNode | FragmentDefinitionNode) and (
            node is operation.node
            or (
                isinstance(changed, FragmentDefinitionNode)
                and changed.type_condition.name.value == root_type
            )
        ):
            changed.selection_set = skipping(changed.selection_set)
        definitions.append(changed)
    return print_ast(DocumentNode(definitions=tuple(definitions)))


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _by_key(fields: Iterator[FieldNode]) -> dict[str, list[FieldNode]]:
    found: dict[str, list[FieldNode]] = {}
    for field in fields:
        found.setdefault(_key(field), []).append(field)
    return found
