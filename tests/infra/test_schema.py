"""The GraphQL schema: who may see which type, and that its parts say the same thing."""

from pathlib import Path

import pytest
from graphql import (
    DirectiveNode,
    FieldDefinitionNode,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    build_schema,
    parse,
    validate,
)

from infra.resolver_code import resolver_fields
from pipeline.appsync import document
from pipeline.contract import Kind, TileStatus

pytestmark = pytest.mark.infra

SDL = (Path(__file__).parent.parent.parent / "infra" / "schema.graphql").read_text()
APPSYNC = """
scalar AWSDateTime
directive @aws_iam on OBJECT | FIELD_DEFINITION
directive @aws_cognito_user_pools(cognito_groups: [String]) on OBJECT | FIELD_DEFINITION
directive @aws_subscribe(mutations: [String]) on FIELD_DEFINITION
"""
ROOTS = {"Query", "Mutation", "Subscription"}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(SDL + APPSYNC)


def directives(node: FieldDefinitionNode | ObjectTypeDefinitionNode) -> set[str]:
    found: tuple[DirectiveNode, ...] = tuple(node.directives)
    return {directive.name.value for directive in found}


def objects() -> dict[str, ObjectTypeDefinitionNode]:
    return {
        node.name.value: node
        for node in parse(SDL).definitions
        if isinstance(node, ObjectTypeDefinitionNode)
    }


def object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = schema.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def test_types_are_open_to_people_and_machines() -> None:
    """AWS: a type without both directives is null for whoever came by the other mode."""
    both = {"aws_iam", "aws_cognito_user_pools"}
    for name, node in objects().items():
        if name not in ROOTS:
            assert directives(node) == both, name


def test_only_machines_publish() -> None:
    """`publishTiles` is for IAM callers alone; every other root field is for both."""
    for name in ROOTS:
        for field in objects()[name].fields:
            expected = {"aws_iam"} if name == "Mutation" else {"aws_iam", "aws_cognito_user_pools"}
            assert directives(field) - {"aws_subscribe"} == expected, field.name.value


def test_every_root_field_has_a_resolver(schema: GraphQLSchema) -> None:
    """By the name of its file; and no resolver is left of a field that has gone."""
    fields = {(name, field) for name in ROOTS for field in object_type(schema, name).fields}
    assert fields == set(resolver_fields())


@pytest.mark.parametrize("name", ["Tile", "Locker", "TileBatch"])
def test_inputs_mirror_their_types(schema: GraphQLSchema, name: str) -> None:
    """Else the mutation could not hand back what it was given."""
    given = schema.type_map[f"{name}Input"]
    assert isinstance(given, GraphQLInputObjectType)
    shape = {key: str(field.type) for key, field in object_type(schema, name).fields.items()}
    mirrored = {key: str(field.type).replace("Input", "") for key, field in given.fields.items()}
    assert mirrored == shape


def test_the_fan_out_selects_every_field(schema: GraphQLSchema) -> None:
    """AWS: subscribers get what the mutation selected; a field it forgets is null for all."""
    request = document(2).document
    assert validate(schema, request) == []
    selected = str(request.loc.source.body) if request.loc else ""
    for name in ("Tile", "Locker", "TileBatch"):
        for field in object_type(schema, name).fields:
            assert field in selected, f"{name}.{field}"


def test_enums_are_the_contracts(schema: GraphQLSchema) -> None:
    """Kinds and statuses are named once, in `pipeline.contract`."""
    assert set(schema.type_map["DoorEventKind"].values) == set(Kind)  # type: ignore[attr-defined]
    assert set(schema.type_map["TileStatus"].values) == set(TileStatus)  # type: ignore[attr-defined]
