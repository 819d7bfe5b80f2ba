"""The short form of the soak: every fault once or twice, while lockers are used."""

import asyncio
from pathlib import Path

import pytest

from local.faults.plan import Fault
from local.faults.switch import FaultSwitch
from simulators.fleet import FleetPlan
from simulators.target import Target
from tests.chaos.campaign import Campaign
from tests.chaos.weather import Incident, squall
from tests.support.cli_stack import cli_stack

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]

RATE = 20.0
TRAFFIC_S = 20.0
SEED = len(Incident)
"""Incidents begin with the first: the table that is down, while there is most to write."""


@pytest.mark.timeout(900)
def test_no_fault_loses_an_event_or_paints_a_wrong_tile(tmp_path: Path):
    """All kinds of faults happen; history, tiles, quarantine and subscriber are as they must be."""
    weather = squall()
    plan = FleetPlan(
        lockers=12,
        buildings=3,
        doors=4,
        rate=RATE,
        duration_s=TRAFFIC_S,
        seed=SEED,
        faults=weather.fleet,
    )
    with cli_stack(tmp_path, "chaos", "--faults") as stack:
        (faults,) = tmp_path.rglob("faults")
        result = asyncio.run(
            Campaign(
                Target.from_info(stack.info),
                FaultSwitch(faults),
                plan,
                weather,
                command=stack.run,
                folder=tmp_path,
                say=print,
            ).run()
        )
    assert not result.complaints, result.complaints[:20]
    assert result.verdict.ok
    assert result.verdict.acknowledged > RATE * TRAFFIC_S / 2
    assert set(result.report.injected) == set(Fault)
    assert set(result.incidents) == set(Incident)
