"""docs/security.md claims nothing that no test shows, and its links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"


def test_every_test_it_names_is_there() -> None:
    """In the file that the link leads to."""
    named = re.findall(r"\[(test_\w+)\]\(\.\./(\S+?\.py)\)", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 15
    for name, file in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {node.name for node in tree.body if isinstance(node, kinds)}, (name, file)


def test_every_threat_is_shown_by_a_test() -> None:
    """No row of the table without one."""
    rows = re.findall(r"^\| \*\*.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 10
    for row in rows:
        assert "](../tests/" in row, row


@pytest.mark.parametrize(
    "page", ["security.md", "deploy.md", "operations.md", "contract/README.md"]
)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """Files, and headings of pages."""
    path = ROOT / "docs" / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = re.findall(r'<a (?:id|name)="([^"]+)">', text)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles} | {*named}
