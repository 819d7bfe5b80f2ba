"""Where quotas bind: demand grows with the fleet, or does not, as the quota is counted."""

import pytest

from models.capacity import DEMANDS, FACTORS, Demand, load
from models.figures import quotas
from models.workload import DAY_S, DECEMBER_EVENTS
from simulators.scenario import load_scenario

pytestmark = pytest.mark.unit
NAMES = [f"{demand.quota}: {demand.what}" for demand in DEMANDS]


def test_the_load_is_decembers_spike():
    """The mean of 2.8 M events a day, times the scenario's busiest moment."""
    peak = load_scenario("december").plan().curve.peak
    assert load(1).events == pytest.approx(DECEMBER_EVENTS / DAY_S * peak)
    assert load(10).events == pytest.approx(10 * load(1).events)
    assert load(10).lockers / load(10).buildings == pytest.approx(
        load(1).lockers / load(1).buildings
    )


@pytest.mark.parametrize("demand", DEMANDS, ids=NAMES)
def test_a_quota_binds_where_its_demand_reaches_it(demand: Demand):
    """Just below it is not used up, just above it is; or it never is."""
    binds_at = demand.binds_at
    uses = [demand.use(factor) for factor in FACTORS]
    if binds_at is None:
        assert max(uses) < 1
    else:
        assert demand.use(0.98 * binds_at) < 1 <= demand.use(1.02 * binds_at)
        assert uses == sorted(uses)


def test_nothing_binds_at_december():
    """The customer's busiest day fits in default quotas."""
    assert all(demand.use(1) < 1 for demand in DEMANDS)


def test_every_quota_is_asked_for():
    """A row that nothing is held against would be decoration."""
    assert {demand.quota for demand in DEMANDS} == set(quotas())


def test_what_is_counted_by_connection_does_not_grow():
    """More buildings make no locker and no building busier."""
    for demand in DEMANDS:
        if "busiest" in demand.what:
            assert demand.use(10_000) == pytest.approx(demand.use(1))
