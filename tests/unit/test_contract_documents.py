"""The published contract is what the pipeline does: same acceptance, same addresses, no drift."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from iot_rules import DOOR_EVENTS, PRESENCE
from iot_rules.contract_documents import FOLDER, asyncapi, documents, main, schema
from pipeline.contract import parse_envelope
from pipeline.errors import Poison
from tests.support.lambda_events import door_envelope, payload
from tests.support.rule_samples import samples

pytestmark = pytest.mark.unit


def accepts(name: str, document: Any) -> bool:
    validator = Draft202012Validator(schema(name))
    validator.check_schema(schema(name))
    return bool(validator.is_valid(document))


def test_the_documents_are_those_of_today() -> None:
    """Generated: a change of the models that is not written out fails here."""
    assert main(["--check"]) == 0, "run python -m iot_rules.contract_documents"
    known = {path.name for path, _ in documents()} | {"README.md"}
    assert {path.name for path in FOLDER.iterdir()} == known


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"extra": [1]},
        {"fault": "motor"},
        {"seq": 2**32 - 1},
        {"seq": 0},
        {"boot": 2**32},
        {"boot": "7"},
        {"schema": 2},
        {"open": 1},
        {"open": None},
        {"occupied": ...},
        {"fault": ...},
        {"fault": ""},
        {"fault": "x" * 65},
        {"fault": "line\nbreak"},
        {"at": 1763640000},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_pipeline_parks(fields: dict[str, Any]) -> None:
    """And accepts what becomes a tile."""
    document = payload(**fields)
    try:
        parse_envelope(json.dumps(door_envelope(document)))
    except Poison:
        assert not accepts("payload", document)
    else:
        assert accepts("payload", document)


@pytest.mark.parametrize(
    ("rule", "name"), [(DOOR_EVENTS, "door-envelope"), (PRESENCE, "presence-envelope")]
)
def test_what_the_rules_emit_is_of_the_schema(rule: str, name: str) -> None:
    """Every sample that is an event; the others are for the quarantine."""
    good = [each for each in samples(rule) if each.envelope is not None and each.poison is None]
    assert good
    for sample in good:
        assert accepts(name, sample.envelope), sample.name


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    """To a file beside it or a part of itself."""
    document = asyncapi()
    found = list(references(document))
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert (FOLDER / reference).is_file(), reference
            continue
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [each for item in node for each in references(item)]
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [each for item in node.values() for each in references(item)]
    return []
