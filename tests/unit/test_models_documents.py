"""The documentation's tables are what the models compute."""

import pytest

from models import documents
from models.charts import cost_against_volume, waterfalls
from models.choices import Preset
from models.documents import DOCS, PAGES, PARTS, PICTURES, computed, table
from models.errors import ModelError
from models.forecast import forecast
from models.workload import preset

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_tables_of_today(page: str):
    """What is computed from prices, figures and the pipeline's own items has not moved on."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "<!-- computed: " in text
    assert computed(text) == text, "outdated: run python -m models.documents"


def test_every_part_has_its_place():
    """What is computed is also shown."""
    pages = "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    for name in PARTS:
        assert f"<!-- computed: {name} -->" in pages
    for name in PICTURES:
        assert f"]({name})" in pages
        assert (DOCS / name).is_file()


def test_a_part_nobody_computes_is_refused():
    """With those that there are."""
    with pytest.raises(ModelError, match="no computed part 'weather'; there are days"):
        computed("<!-- computed: weather -->\n<!-- end -->")


def test_check_writes_nothing():
    """And says by its status that all is as it should be."""
    before = {page: (DOCS / page).read_bytes() for page in PAGES}
    assert documents.main(["--check"]) == 0
    assert before == {page: (DOCS / page).read_bytes() for page in PAGES}


def test_a_table_keeps_numbers_at_the_right():
    """So that their digits stand below each other."""
    assert table(["a", "b"], [["x", "1.5"], ["y", 20]]) == (
        "| a | b |\n| --- | ---: |\n| x | 1.5 |\n| y | 20 |\n"
    )


def test_the_same_figures_give_the_same_picture():
    """No date, no random id: a committed picture changes only with what it shows."""
    day, found = preset(Preset.DECEMBER), [forecast("direct", draws=1_000)]
    for draw in (lambda: cost_against_volume(day), lambda: waterfalls(found)):
        first, again = draw(), draw()
        assert first == again
        assert first.startswith("<svg")
