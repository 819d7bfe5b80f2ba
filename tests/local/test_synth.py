"""When the CDK app is run again, and what its failures say; the app here is a toy."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.errors import SynthesisError
from local.synth import SOURCES, synthesize

pytestmark = pytest.mark.unit

APP = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
out.mkdir(exist_ok=True)
with open("runs", "a") as runs:
    runs.write(json.loads(os.environ["CDK_CONTEXT_JSON"])["route"] + "\\n")
(out / "manifest.json").write_text("{}")
(out / "a.template.json").write_text(pathlib.Path("pipeline/handler.py").read_text())
assert not [name for name in os.environ if name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY")]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in SOURCES:
        (tmp_path / name).mkdir()
    (tmp_path / "infra" / "__init__.py").write_text("")
    (tmp_path / "infra" / "app.py").write_text(APP)
    (tmp_path / "pipeline" / "handler.py").write_text("1")
    return tmp_path


def runs(project: Path) -> list[str]:
    """The routes for which the app ran."""
    file = project / "runs"
    return file.read_text().split() if file.exists() else []


def test_nothing_is_done_while_nothing_changes(project: Path):
    """The second time takes the assembly that is there."""
    out = synthesize(project=project)
    assert out == project / "build" / "cdk.out"
    assert synthesize(project=project) == out
    assert runs(project) == ["bus"]


def test_a_cache_of_python_is_no_change(project: Path):
    """Running the tests must not cost a synthesis."""
    synthesize(project=project)
    (project / "pipeline" / "__pycache__").mkdir()
    (project / "pipeline" / "__pycache__" / "handler.pyc").write_text("cache")
    synthesize(project=project)
    assert runs(project) == ["bus"]


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_changes_is_synthesized(project: Path, name: str):
    """Changed, added, renamed and removed."""
    synthesize(project=project)
    first, second = project / name / "one.txt", project / name / "other.txt"
    changes = [
        lambda: first.write_text("1"),
        lambda: first.write_text("2"),
        lambda: first.rename(second),
        second.unlink,
    ]
    for number, change in enumerate(changes, start=2):
        change()
        synthesize(project=project)
        assert len(runs(project)) == number


def test_an_assembly_that_somebody_else_wrote_is_replaced(project: Path):
    """`make synth` for another stage may have been there since."""
    out = synthesize(project=project)
    (out / "a.template.json").write_text("another stage")
    synthesize(project=project)
    assert (out / "a.template.json").read_text() == "1"


def test_each_route_has_its_own_assembly(project: Path):
    """Going back and forth costs nothing."""
    for route in ("bus", "direct", "bus", "direct"):
        synthesize(route, project=project)
    assert runs(project) == ["bus", "direct"]


def test_one_synthesizes_and_the_others_wait(project: Path):
    """Two stacks may start at the same moment."""
    with ThreadPoolExecutor(3) as threads:
        outs = set(threads.map(lambda _: synthesize(project=project), range(3)))
    assert len(outs) == 1
    assert runs(project) == ["bus"]


def test_an_app_that_fails_is_quoted_and_tried_again(project: Path):
    """The end of what it said and what to do; once it is repaired, it runs."""
    app = project / "infra" / "app.py"
    app.write_text("raise SystemExit('route=train: wanted bus or direct')")
    with pytest.raises(SynthesisError, match="wanted bus or direct") as failed:
        synthesize(project=project)
    assert "make synth" in str(failed.value)
    app.write_text("pass")
    with pytest.raises(SynthesisError, match=r"wrote no .*manifest\.json"):
        synthesize(project=project)
    app.write_text(APP)
    synthesize(project=project)
    assert runs(project) == ["bus"]
