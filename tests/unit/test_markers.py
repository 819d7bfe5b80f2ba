"""Parts of pages that commands write."""

from pathlib import Path

import pytest

from benchmarks.markers import Part
from tests.chaos.report import PART as SOAK
from tests.chaos.soak import DOCUMENT

pytestmark = pytest.mark.unit

PART = Part("table")


def test_what_is_between_the_markers_is_replaced(tmp_path: Path):
    """What people wrote around it stays."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
    PART.write_into(page, "new")
    assert page.read_text() == (
        "before\n<!-- table: begin -->\n\nnew\n\n<!-- table: end -->\nafter\n"
    )


@pytest.mark.parametrize("text", [None, "nothing", "<!-- table: end --><!-- table: begin -->"])
def test_a_page_without_both_in_order_is_left_as_it_is(tmp_path: Path, text: str | None):
    """The message names page and markers."""
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md has no markers <!-- table: begin --> and"):
        PART.write_into(page, "new")
    assert not page.exists() or page.read_text() == text


def test_the_soak_has_its_place():
    """`make soak WRITE_DOCS=1` can write what it found an hour later."""
    SOAK.check(DOCUMENT)
