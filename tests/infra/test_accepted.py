"""cdk-nag looked at every stack, and what it may not find fault with is accepted with a reason."""

import json
from typing import Any

import pytest

from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

PREFIX = "AwsSolutions::"


def report(assembly: Assembly) -> dict[str, Any]:
    """What cdk-nag said at the synthesis."""
    text = (assembly.folder / "validation-report.json").read_text(encoding="utf-8")
    (found,) = json.loads(text)["pluginReports"]
    result: dict[str, Any] = found
    return result


def test_cdk_nag_finds_no_fault(assembly: Assembly) -> None:
    """Neither an error nor a warning of the pack AwsSolutions."""
    found = report(assembly)
    assert (found["pluginName"], found["conclusion"]) == ("AwsSolutions", "success")
    assert found["violations"] == []


def test_what_is_accepted_has_a_reason_and_is_needed(assembly: Assembly) -> None:
    """Each stands at one resource and is found there: none outlives what it was made for."""
    used = set()
    for violation in report(assembly)["suppressedViolations"]:
        assert len(violation["reason"].split()) >= 4, violation
        place = violation["acknowledgedAt"]
        assert place.count("/") == 1, f"{place}: for a whole stack"
        used.add((place, violation["acknowledgedId"]))
    assert used == set(acknowledged(assembly))


def acknowledged(assembly: Assembly) -> list[tuple[str, str]]:
    """(construct, rule) as the app has written them beside the templates."""
    found = []
    for file in sorted(assembly.folder.glob("*.metadata.json")):
        for path, entries in json.loads(file.read_text(encoding="utf-8")).items():
            for entry in entries:
                if entry["type"] == "aws:cdk:acknowledged-rules":
                    rules = [rule for rule in entry["data"] if rule.startswith(PREFIX)]
                    found += [(path.strip("/"), rule) for rule in rules]
    return found
