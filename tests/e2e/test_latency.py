"""`latchline latency` on the laptop stack."""

import json
from pathlib import Path

import pytest

from simulators.target import Target
from tests.support.cli_stack import CliStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

LOAD = ("--lockers", "6", "--buildings", "2", "--rate", "15", "--duration", "5", "--warm-up", "1")


def test_every_event_of_a_known_load_is_matched(stack: CliStack, tmp_path: Path):
    """Nothing lost, all hops there, the broker alone measured, and its probe gone afterwards."""
    report = tmp_path / "latency.html"
    ran = stack.run("latency", *LOAD, "--json", "--html", str(report))
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    assert figures["events"] > 20
    assert figures["lost"] == 0
    assert sum(figures["shown"].values()) == figures["events"]
    assert set(figures["hops_ms"]) == {
        "device → broker",
        "broker → bus → queue",
        "queue → projector",
        "table → stream → fan-out",
        "AppSync → subscriber",
    }
    assert figures["broker_alone_ms"]["count"] > 3
    assert figures["times_the_broker_alone"] > 1
    assert "<svg" in report.read_text(encoding="utf-8")

    iot = Target.from_info(stack.info).client("iot")
    policies = [each["policyName"] for each in iot.list_policies()["policies"]]
    assert not [name for name in policies if "probe" in name]
    things = [each["thingName"] for each in iot.list_things()["things"]]
    assert not [name for name in things if "probe" in name]
