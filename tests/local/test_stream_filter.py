"""Which stream records a mapping's `FilterCriteria` take."""

import json
from typing import Any

import pytest

from local.adapters.event_filter import matches, read_patterns
from local.errors import AdapterError

pytestmark = pytest.mark.unit

RECORD = {
    "eventName": "MODIFY",
    "dynamodb": {
        "Keys": {"sk": {"S": "TILE#l03#d02"}},
        "NewImage": {
            "status": {"S": "open"},
            "fault": {"NULL": True},
            "tags": {"SS": ["a", "b"]},
            "count": {"N": "1"},
        },
    },
}


def takes(*patterns: Any) -> bool:
    criteria = {"Filters": [{"Pattern": json.dumps(each)} for each in patterns]}
    return matches(read_patterns(criteria), RECORD)


def new_image(**fields: Any) -> dict[str, Any]:
    return {"dynamodb": {"NewImage": fields}}


@pytest.mark.parametrize("criteria", [None, {}, {"Filters": []}])
def test_without_patterns_everything_passes(criteria: Any):
    """A mapping without a filter delivers every record."""
    assert matches(read_patterns(criteria), RECORD)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"eventName": ["MODIFY"], **new_image(status={"S": ["vacant"]})}, False),
        ({"eventName": ["MODIFY"], **new_image(status={"S": ["open"]})}, True),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "TILE#"}]}}}}, True),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "EVENT#"}]}}}}, False),
        (new_image(status={"S": [{"anything-but": ["vacant", "offline"]}]}), True),
        (new_image(status={"S": [{"anything-but": "open"}]}), False),
        (new_image(status={"S": [{"anything-but": {"prefix": "op"}}]}), False),
        (new_image(status={"S": [{"anything-but": {"prefix": "va"}}]}), True),
        (new_image(missing={"S": [{"anything-but": ["x"]}]}), False),
        (new_image(status={"S": [{"exists": True}]}), True),
        (new_image(missing={"S": [{"exists": False}]}), True),
        (new_image(missing={"S": [{"exists": True}]}), False),
        (new_image(status=[{"exists": True}]), False),
        (new_image(fault={"NULL": [True]}), True),
        (new_image(fault={"NULL": [1]}), False),
        (new_image(tags={"SS": ["b"]}), True),
        (new_image(tags={"SS": ["c"]}), False),
        (new_image(count={"N": ["1"]}), True),
        (new_image(count={"N": [1]}), False),
        ({"eventName": {"deeper": ["MODIFY"]}}, False),
    ],
)
def test_fields_are_anded_and_their_lists_ored(pattern: dict[str, Any], expected: bool):
    """EventBridge's rules, on the leaves of a record as it is on the wire."""
    assert takes(pattern) is expected


def test_patterns_are_ored():
    """One that takes the record is enough."""
    assert takes({"eventName": ["REMOVE"]}, {"eventName": ["MODIFY"]})
    assert not takes({"eventName": ["REMOVE"]}, {"eventName": ["INSERT"]})


@pytest.mark.parametrize(
    "pattern",
    [
        {"a": [{"suffix": "x"}]},
        {"a": [{"numeric": [">", 1]}]},
        {"a": [{"prefix": 5}]},
        {"a": [{"prefix": {"equals-ignore-case": "x"}}]},
        {"a": [{"prefix": "x", "exists": True}]},
        {"a": [{"exists": "yes"}]},
        {"a": [{"anything-but": {"suffix": "x"}}]},
        {"a": [{"anything-but": {"prefix": ["x", "y"]}}]},
        {"a": [{"anything-but": [["x"]]}]},
        {"a": [{}]},
        {"a": [["x"]]},
        {"$or": [{"a": ["x"]}]},
        {"a": "x"},
        ["a"],
    ],
)
def test_what_is_not_done_here_is_refused_at_once(pattern: Any):
    """When the pattern is read, with its text in the message; never in the middle of a stream."""
    text = json.dumps(pattern)
    with pytest.raises(AdapterError) as refused:
        read_patterns({"Filters": [{"Pattern": text}]})
    assert repr(text) in str(refused.value)


def test_a_pattern_that_is_not_json_is_named():
    """The message has the pattern."""
    with pytest.raises(AdapterError, match="eventName: x"):
        read_patterns({"Filters": [{"Pattern": "eventName: x"}]})
