"""Curves as pictures, in the terminal and in the documentation."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scripts.fleet_pictures import curve_svg
from scripts.sparkline import sparkline
from simulators.scenario import shipped

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documentation_shows_the_curves_as_they_are() -> None:
    """A changed scenario is drawn again: latchline fleet scenarios --pictures docs/simulator."""
    page = (DOCS / "simulator.md").read_text(encoding="utf-8")
    for name, scenario in shipped():
        drawn = (DOCS / "simulator" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawn == curve_svg(scenario.title, scenario.plan()), name
        assert f"simulator/{name}.svg" in page
        assert f"`{name}` | {scenario.lockers} |" in page


def test_a_picture_is_a_document_with_hours_below() -> None:
    """Well-formed, with the run's own time of day."""
    scenario = dict(shipped())["bad-night"]
    root = ET.fromstring(curve_svg(scenario.title, scenario.plan()))
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert texts[3:] == [
        "22:00",
        "23:00",
        "00:00",
        "01:00",
        "02:00",
        "03:00",
        "04:00",
        "05:00",
        "06:00",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [([0, 1, 2, 7], "▁▂▃█"), ([0, 0], "▁▁"), ([], ""), ([5], "█"), ([-1, 1], "▁█")],
)
def test_a_sparkline_is_scaled_to_its_greatest(values: list[float], line: str) -> None:
    """Nothing is lowest, the greatest is full."""
    assert sparkline(values) == line
