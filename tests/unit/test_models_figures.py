"""The data files of the models: every figure says where it is from and of when."""

from datetime import date
from pathlib import Path

import pytest

from models.figures import hops, price_region, prices, quotas, routes

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ROWS = {
    f"{kind}.{name}": row
    for kind, rows in (("prices", prices()), ("hops", hops()), ("quotas", quotas()))
    for name, row in rows.items()
}


@pytest.mark.parametrize("name", ROWS)
def test_a_figure_has_a_source_and_a_date(name: str):
    """A source is a page or a file of ours that exists; a date is not in the future."""
    row = ROWS[name]
    assert row.source.startswith("https://") or (ROOT / row.source).is_file()
    assert date(2020, 1, 1) < row.date <= date(2026, 11, 30)
    assert row.confidence


def test_an_assumption_of_ours_does_not_pretend_a_source():
    """What is assumed or set by us names our file, and what is published names a page."""
    for row in [*hops().values(), *quotas().values()]:
        ours = row.confidence in ("assumed", "ours")
        assert row.source.startswith("https://") is not ours, row.title


def test_prices_are_of_one_region_and_have_a_unit():
    """A price without region or unit means nothing."""
    assert price_region() == "us-east-1"
    assert all(price.unit and price.service and price.each >= 0 for price in prices().values())


def test_the_two_routes_of_the_deployment_are_known():
    """`bus` and `direct` are what one can deploy; all of their hops have figures."""
    assert {"bus", "direct"} <= set(routes())
    assert all(hop in hops() for route in routes().values() for _, hop in route.way())
