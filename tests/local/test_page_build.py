"""Building the page: once, again when a source changes, and a clear line when it cannot be."""

import json
from pathlib import Path

import pytest

from local.errors import PageError
from local.page_build import build

pytestmark = pytest.mark.integration

BUILD = """
const fs = require('node:fs');
fs.mkdirSync('dist', { recursive: true });
fs.writeFileSync('dist/index.html', fs.readFileSync('src/page.html'));
fs.appendFileSync('node_modules/builds', '.');
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page without dependencies, so that npm needs no network."""
    page = tmp_path / "page"
    (page / "src").mkdir(parents=True)
    package = {"name": "page", "version": "1.0.0", "scripts": {"build": "node build.cjs"}}
    (page / "package.json").write_text(json.dumps(package))
    lock = {
        "name": "page", "version": "1.0.0", "lockfileVersion": 3,
        "packages": {"": {"name": "page", "version": "1.0.0"}},
    }  # fmt: skip
    (page / "package-lock.json").write_text(json.dumps(lock))
    (page / "build.cjs").write_text(BUILD)
    (page / "src" / "page.html").write_text("one")
    return page


def builds(folder: Path) -> int:
    return len((folder / "node_modules" / "builds").read_text())


def test_it_is_built_once_until_a_source_changes(folder: Path):
    """Neither time stamps nor what it wrote itself count."""
    told: list[str] = []
    assert (build(folder, on_progress=told.append) / "index.html").read_text() == "one"
    assert len(told) == 2
    (folder / "src" / "page.html").touch()
    build(folder, on_progress=told.append)
    assert (builds(folder), len(told)) == (1, 2)
    (folder / "src" / "page.html").write_text("two")
    assert (build(folder, on_progress=told.append) / "index.html").read_text() == "two"
    assert (builds(folder), told[2:]) == (2, ["dashboard: building"])


def test_a_page_that_was_removed_is_built_again(folder: Path):
    """The stamp alone is no page."""
    dist = build(folder, on_progress=lambda _: None)
    (dist / "index.html").unlink()
    assert (build(folder, on_progress=lambda _: None) / "index.html").exists()


def test_a_failed_build_says_what_npm_said_and_is_tried_again(folder: Path):
    """The next run does not take it for done."""
    (folder / "build.cjs").write_text("console.error('no such tile'); process.exit(3);")
    for _ in range(2):
        with pytest.raises(PageError, match=r"(?s)npm run build failed.*no such tile"):
            build(folder, on_progress=lambda _: None)


def test_packages_that_cannot_be_fetched_are_told_in_one_message(folder: Path):
    """With what to look at; nothing is listened on the registry's port."""
    package = {**json.loads((folder / "package.json").read_text()), "dependencies": {"x": "1.0.0"}}
    (folder / "package.json").write_text(json.dumps(package))
    lock = json.loads((folder / "package-lock.json").read_text())
    lock["packages"][""]["dependencies"] = {"x": "1.0.0"}
    lock["packages"]["node_modules/x"] = {"version": "1.0.0"}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    (folder / ".npmrc").write_text("registry=http://127.0.0.1:9/\nfetch-retries=0\n")
    with pytest.raises(PageError, match="is there a network") as raised:
        build(folder, on_progress=lambda _: None)
    assert "Traceback" not in str(raised.value)


def test_a_folder_without_a_page_is_named(tmp_path: Path):
    """The path that was looked at stands in the message."""
    with pytest.raises(PageError, match=str(tmp_path)):
        build(tmp_path)
