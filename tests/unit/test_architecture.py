"""The dependency rules of the house, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "pipeline",
    "operations",
    "simulators",
    "iot_rules",
    "infra",
    "local",
    "scripts",
    "benchmarks",
    "latency",
    "models",
)
PURE = ("contract", "deadline", "errors", "items", "merge", "metrics", "outcomes", "settings")


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, dotted."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def package_imports(package: str) -> set[str]:
    """Top-level names that a package imports."""
    files = (ROOT / package).rglob("*.py")
    return {module.split(".")[0] for file in files for module in imports(file)}


def test_pipeline_imports_none_of_the_other_packages():
    """What runs in Lambda stands alone."""
    assert not package_imports("pipeline") & (set(PACKAGES) - {"pipeline"})


@pytest.mark.parametrize(
    "package", [name for name in PACKAGES if (ROOT / name).is_dir() and name != "scripts"]
)
def test_nothing_imports_scripts(package: str):
    """The command line is the outermost layer."""
    assert "scripts" not in package_imports(package)


def test_simulators_stand_beside_operations():
    """Who judges what a fleet did may know the fleet; the fleet does not know the tools."""
    assert "operations" not in package_imports("simulators")


def test_pipeline_knows_no_emulator():
    """What runs on the laptop is what runs on AWS."""
    for file in (ROOT / "pipeline").rglob("*.py"):
        assert "ministack" not in file.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_reach_no_sdk(module: str):
    """The pure core imports the standard library, pydantic and itself."""
    allowed = set(sys.stdlib_module_names) | {"pydantic", "pipeline"}
    found = set(imports(ROOT / "pipeline" / f"{module}.py"))
    assert {name.split(".")[0] for name in found} <= allowed
    inner = {name.split(".")[1] for name in found if name.startswith("pipeline.")}
    assert inner <= set(PURE)
