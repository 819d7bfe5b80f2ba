"""The CDK app as a program: what it writes, and what it says when it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.templates import ROOT, Assembly, end_synthesis, start_synthesis

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]


def test_templates_are_clean_by_cfn_lint(assemblies: dict[str, Assembly]) -> None:
    """Every template of every variant; what is ignored stands in .cfnlintrc with its reason."""
    files = [str(file) for each in assemblies.values() for file in each.template_files]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "cfn-lint"), *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_synthesis_repeats_itself(assemblies: dict[str, Assembly], tmp_path: Path) -> None:
    """The same sources give the same bytes, in another folder; the defaults are dev and bus.

    The folder holds what was synthesized last, all of it, and nothing of an earlier stage.
    """
    stale = [tmp_path / "latchline-old-data.template.json", tmp_path / "asset.0" / "x.py"]
    for file in stale:
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    status, errors = end_synthesis(start_synthesis(tmp_path, {}))
    assert status == 0, errors
    assert not any(file.exists() for file in stale)
    first = assemblies["dev-bus"]
    again = Assembly("dev", "bus", tmp_path)
    assert len(again.template_files) == 6
    assert [file.read_bytes() for file in again.template_files] == [
        file.read_bytes() for file in first.template_files
    ]
    for file in again.template_files:
        text = file.read_text()
        assert str(ROOT) not in text, "a template names this machine's folders"


def test_a_wrong_context_is_told_in_one_line(tmp_path: Path) -> None:
    """No traceback, no template, exit status 1; `test_context` has every value."""
    status, errors = end_synthesis(start_synthesis(tmp_path, {"stage": "Prod_1"}))
    assert status == 1
    assert "synth: context stage='Prod_1': wanted a letter" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("*.template.json"))
