"""Documents, directives and the matching of results to subscribers, without a network."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from graphql import build_schema, validate

from local.realtime.api import _PRELUDE, DeployedApi
from local.realtime.credentials import COGNITO, IAM, Caller
from local.realtime.operations import BadDocument, parse_operation, refusals, without_fields
from local.realtime.subscriptions import InvalidSubscription, Subscriptions

pytestmark = pytest.mark.unit

SDL = """
interface Named @aws_iam @aws_cognito_user_pools { name: String }
type Door implements Named @aws_iam @aws_cognito_user_pools {
  name: String
  id: ID!
  secret: String @aws_iam
}
type Batch @aws_iam @aws_cognito_user_pools {
  building: ID!
  note: String
  count: Int
  doors: [Door!]!
}
type Plain { value: String }
type Query {
  named: Named! @aws_iam @aws_cognito_user_pools
  plain: Plain @aws_iam @aws_cognito_user_pools
  operators: String @aws_cognito_user_pools(cognito_groups: ["operators"])
  both: String @aws_iam @aws_cognito_user_pools(cognito_groups: ["operators"])
  mine: String
}
type Mutation { publish(note: String): Batch @aws_iam  other: Batch @aws_iam }
type Subscription {
  onBatch(building: ID, note: String, count: Int): Batch
    @aws_subscribe(mutations: ["publish"]) @aws_iam @aws_cognito_user_pools
  onAny: Batch @aws_subscribe(mutations: ["publish", "other"]) @aws_iam
}
"""
API = DeployedApi(
    arn="arn:aws:appsync:us-east-1:000000000000:apis/a",
    schema=build_schema(_PRELUDE + SDL, assume_valid_sdl=True),
    default_mode=COGNITO,
    modes=frozenset([COGNITO, IAM]),
    default_action="ALLOW",
    resolvers={},
)
MACHINE = Caller(IAM, {})
MANAGER = Caller(COGNITO, {}, frozenset(["building:maple-court"]))
OPERATOR = Caller(COGNITO, {}, frozenset(["operators"]))
RESULT = {"building": "b1", "note": None, "doors": [{"id": "d1", "name": "one"}]}


class Inbox:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def push(self, frame: str) -> None:
        self.frames.append(json.loads(frame))


def subscriptions() -> Subscriptions:
    return Subscriptions(API.schema, API.subscription_fields())


def received(query: str, variables: dict[str, Any], result: dict[str, Any]) -> list[Any]:
    """The payloads that one subscriber gets for one result of `publish`."""
    running, inbox = subscriptions(), Inbox()
    running.add(inbox, "1", running.prepare(query, variables, None))
    running.publish("publish", result)
    return [frame["payload"] for frame in inbox.frames]


def denied(query: str, caller: Caller) -> list[tuple[str, str]]:
    found = refusals(API, parse_operation(query, None), caller)
    return [(".".join(one.error["path"]), one.error["message"]) for one in found]


@pytest.mark.parametrize(
    ("query", "caller", "paths"),
    [
        ("{ mine }", MANAGER, []),
        ("{ mine }", MACHINE, ["mine"]),
        ("{ operators both }", OPERATOR, []),
        ("{ operators both }", MANAGER, ["operators", "both"]),
        ("{ operators both }", MACHINE, ["operators"]),
        ("{ plain { value } }", MANAGER, []),
        ("{ p: plain { v: value } }", MACHINE, ["p.v"]),
        ("{ named { name ... on Door { secret } } }", MACHINE, []),
        ("{ __typename __schema { types { name } } }", MACHINE, []),
        ("{ unknown { x } }", MACHINE, []),
        ("mutation { a: publish { building } }", MANAGER, ["a"]),
        ("mutation { a: publish { building } }", MACHINE, []),
        ("mutation { ...f } fragment f on Mutation { publish { note } }", MANAGER, ["publish"]),
        ("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", MACHINE, []),
        ("subscription { onAny { doors { ...d } } } fragment d on Door { secret }", MACHINE, []),
        ("subscription { onBatch { doors { secret } } }", MANAGER, ["onBatch.doors.secret"]),
        ("subscription { onAny { note } }", OPERATOR, ["onAny"]),
    ],
)
def test_directives_decide_field_first_then_type_then_default_mode(
    query: str, caller: Caller, paths: list[str]
) -> None:
    """A field's own directives win, its type's come next, and without any only the default."""
    assert [path for path, _ in denied(query, caller)] == paths


def test_denied_field_is_named_as_appsync_does() -> None:
    """The message names the field and its type."""
    ((_, message),) = denied("{ mine }", MACHINE)
    assert message == "Not Authorized to access mine on type Query"


def test_denied_fields_are_skipped_and_the_document_stays_valid() -> None:
    """Variables and fragments that only a denied field used do not become errors."""
    query = """
      query Q($yes: Boolean!) {
        mine @skip(if: $yes)
        ... on Query { o: operators }
        ...rest
        plain { value }
      }
      fragment rest on Query { both }
    """
    operation = parse_operation(query, None)
    printed = without_fields(operation, "Query", frozenset(["mine", "o", "both"]))
    rewritten = parse_operation(printed, "Q")
    assert validate(API.schema, rewritten.document) == []
    assert printed.count("@skip(if: true)") == 3
    assert "value" in printed


def test_aliases_of_a_mutation_are_turned_back() -> None:
    """A subscriber reads fields by their names in the schema."""
    operation = parse_operation(
        """mutation { a: publish { b: building ...f } }
        fragment f on Batch { d: doors { i: id ... on Door { name } } }""",
        None,
    )
    (nodes,) = operation.root_fields.values()
    assert operation.renamed == {"a"}
    value = {"b": "b1", "d": [{"i": "1", "name": None}, {"i": "2", "name": "x"}]}
    assert operation.by_field_name(value, nodes) == {
        "building": "b1",
        "doors": [{"id": "1", "name": None}, {"id": "2", "name": "x"}],
    }
    plain = parse_operation("mutation { a: publish { building doors { id } } }", None)
    assert plain.renamed == frozenset()


@pytest.mark.parametrize("query", ["{", "", "{ a } query B { b }", "fragment f on Q { a }"])
def test_document_without_one_operation_is_refused(query: str) -> None:
    """A syntax error, none, or several operations without a name."""
    with pytest.raises(BadDocument):
        parse_operation(query, None)


def test_operation_is_picked_by_its_name() -> None:
    """`operationName` chooses among several."""
    operation = parse_operation("query A { a } query B { b }", "B")
    assert list(operation.root_fields) == ["b"]


@pytest.mark.parametrize(
    ("query", "variables", "error_type"),
    [
        ("subscription {", {}, "MalformedRequestException"),
        ("{" * 3000, {}, "MalformedRequestException"),
        ("{ mine }", {}, "UnsupportedOperation"),
        ("mutation { publish { note } }", {}, "UnsupportedOperation"),
        ("subscription { onNothing { note } }", {}, "ValidationError"),
        ("subscription { onAny { nothing } }", {}, "ValidationError"),
        ("subscription { onAny { note } onBatch { note } }", {}, "ValidationError"),
        ("subscription { __typename }", {}, "ValidationError"),
        ("subscription($c: Int!) { onBatch(count: $c) { note } }", {}, "ValidationError"),
        ("subscription($c: Int) { onBatch(count: $c) { note } }", {"c": "x"}, "ValidationError"),
    ],
)
def test_invalid_subscription_says_what_kind_of_error(
    query: str, variables: dict[str, Any], error_type: str
) -> None:
    """Each fault of a document has its error type."""
    with pytest.raises(InvalidSubscription) as invalid:
        subscriptions().prepare(query, variables, None)
    assert invalid.value.errors[0]["errorType"] == error_type


@pytest.mark.parametrize(
    ("arguments", "variables", "result", "matches"),
    [
        ("", {}, RESULT, True),
        ('(building: "b1")', {}, RESULT, True),
        ('(building: "b2")', {}, RESULT, False),
        ('(building: "b1", count: 3)', {}, RESULT | {"count": 3}, True),
        ('(building: "b1", count: 3)', {}, RESULT | {"count": 4}, False),
        ("(count: 3)", {}, RESULT, False),  # the mutation did not select it
        ("(note: null)", {}, RESULT, True),
        ("(note: null)", {}, RESULT | {"note": "x"}, False),
        ("(count: null)", {}, RESULT, True),  # missing counts as null
        ("(note: $n)", {}, RESULT | {"note": "x"}, True),  # a variable left out is no filter
        ("(note: $n)", {"n": None}, RESULT | {"note": "x"}, False),
        ("(note: $n)", {"n": "x"}, RESULT | {"note": "x"}, True),
    ],
)
def test_arguments_filter_on_the_result(
    arguments: str, variables: dict[str, Any], result: dict[str, Any], *, matches: bool
) -> None:
    """Equal values match, null wants null or missing, and what was left out does not filter."""
    head = "subscription S($n: String)" if "$n" in arguments else "subscription S"
    payloads = received(f"{head} {{ onBatch{arguments} {{ building }} }}", variables, result)
    assert payloads == ([{"data": {"onBatch": {"building": "b1"}}}] if matches else [])


def test_subscriber_gets_its_own_selection_under_its_own_aliases() -> None:
    """Fields the mutation did not select are null; aliases and fragments are the subscriber's."""
    query = """subscription { x: onBatch { b: building count ...d __typename } }
    fragment d on Batch { doors { id } }"""
    assert received(query, {}, RESULT) == [
        {"data": {"x": {"b": "b1", "count": None, "doors": [{"id": "d1"}], "__typename": "Batch"}}}
    ]


def test_missing_non_null_field_is_an_error_for_the_subscriber() -> None:
    """The message still comes, with null data and the place of the field."""
    (payload,) = received("subscription { onBatch { building } }", {}, {"note": "x"})
    assert payload["data"] == {"onBatch": None}
    assert payload["errors"][0]["path"] == ["onBatch", "building"]


def test_message_above_240_kb_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """As AppSync does, but not without a word."""
    query = "subscription { onBatch { note } }"
    with caplog.at_level(logging.WARNING):
        assert received(query, {}, {"note": "x" * 240 * 1024}) == []
    assert "message dropped" in caplog.text
    assert len(received(query, {}, {"note": "x" * 239 * 1024})) == 1


def test_same_document_and_variables_are_executed_once() -> None:
    """A group shares one payload; another variable makes another group."""
    running, inbox = subscriptions(), Inbox()
    query = "subscription S($b: ID) { onBatch(building: $b) { building } }"
    for id_, building in (("1", "b1"), ("2", "b1"), ("3", "b2")):
        running.add(inbox, id_, running.prepare(query, {"b": building}, None))
    assert running.publish("publish", RESULT) == 2
    assert [frame["id"] for frame in inbox.frames] == ["1", "2"]
    assert inbox.frames[0]["payload"] == inbox.frames[1]["payload"]


def test_only_mutations_that_a_subscription_names_reach_it() -> None:
    """`wants` and `publish` follow `@aws_subscribe`, and removal leaves nothing behind."""
    running, inbox = subscriptions(), Inbox()
    running.add(inbox, "1", running.prepare("subscription { onAny { note } }", {}, None))
    assert running.wants(["other"])
    assert running.publish("other", RESULT) == 1
    running.add(inbox, "2", running.prepare("subscription { onBatch { note } }", {}, None))
    assert running.publish("other", RESULT) == 1
    running.remove(inbox, "1")
    running.remove(inbox, "1")
    assert not running.wants(["other", "unknown"])
    assert running.wants(["publish"])
    running.remove(inbox, "2")
    assert len(running) == 0
    assert not running.wants(["publish"])
