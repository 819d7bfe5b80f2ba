"""What is made of the answers of pip-audit and npm audit, and of their silence."""

import json

import pytest

from infra.dependency_audit import Findings, of_npm_audit, of_pip_audit

pytestmark = pytest.mark.infra


def test_a_vulnerability_is_named_with_its_cure():
    """Package, version, advisory, and where it is fixed; what was not known counts apart."""
    answer = {
        "dependencies": [
            {"name": "good", "version": "1.0", "vulns": []},
            {
                "name": "bad",
                "version": "2.0",
                "vulns": [
                    {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []},
                    {"id": "PYSEC-2", "fix_versions": [], "aliases": []},
                ],
            },
            {"name": "ours", "skip_reason": "not found"},
        ],
        "fixes": [],
    }
    found = of_pip_audit(json.dumps(answer))
    assert found.told("Python").splitlines() == [
        "Python: 2 packages asked for, 1 unknown there, 2 known vulnerabilities",
        "  bad 2.0: PYSEC-1, fixed in 2.1",
        "  bad 2.0: PYSEC-2, fixed in no version",
    ]


def test_npms_answer_is_read_alike():
    """By package, with its severity."""
    answer = {
        "auditReportVersion": 2,
        "vulnerabilities": {"left": {"name": "left", "severity": "high", "range": "<2"}},
        "metadata": {"dependencies": {"total": 7}},
    }
    assert of_npm_audit(json.dumps(answer)).told("dashboard").splitlines() == [
        "dashboard: 7 packages asked for, 1 known vulnerabilities",
        "  left <2: high",
    ]


@pytest.mark.parametrize("answer", ["", "<html>", "[]", '{"message": "405 Method Not Allowed"}'])
def test_silence_is_no_failure_and_no_success(answer: str):
    """It is told as what it is."""
    for read in (of_pip_audit, of_npm_audit):
        found = read(answer)
        assert found == Findings()
        assert found.told("it") == "it: not audited, nobody could be asked"


def test_an_index_that_knows_nothing_is_told_apart():
    """A mirror without advisories skips every package: that is no clean bill."""
    answer = {"dependencies": [{"name": "ours", "skip_reason": "not found"}], "fixes": []}
    found = Findings()
    for _lock in range(2):
        found.add(of_pip_audit(json.dumps(answer)))
    assert found.told("Python") == (
        "Python: not audited, nobody could be asked (2 packages are unknown there)"
    )
