"""The viewer's documents fit the schema that is deployed."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from simulators.viewer import SNAPSHOT, SUBSCRIPTION

pytestmark = pytest.mark.unit

APPSYNC = """
scalar AWSDateTime
directive @aws_iam on FIELD_DEFINITION | OBJECT
directive @aws_cognito_user_pools(cognito_groups: [String!]) on FIELD_DEFINITION | OBJECT
directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION
"""
"""What AppSync adds to every schema."""


@pytest.mark.parametrize("document", [SUBSCRIPTION, SNAPSHOT], ids=["subscription", "snapshot"])
def test_a_document_is_valid_against_the_deployed_schema(document: str) -> None:
    """Every field that the viewer asks for exists, with the arguments it gives."""
    sdl = (Path(__file__).parents[2] / "infra" / "schema.graphql").read_text()
    assert validate(build_schema(APPSYNC + sdl), parse(document)) == []
