"""The fleet's commands that need no stack, as their user meets them."""

import json
from pathlib import Path

import pytest

from simulators.plan import FleetPlan
from simulators.script import read_script
from tests.support.cli_stack import latchline

pytestmark = pytest.mark.integration


def test_scenarios_are_listed_for_people_and_machines(tmp_path: Path) -> None:
    """Names, sizes, titles; the JSON has every key of a scenario."""
    listed = latchline("fleet", "scenarios", home=tmp_path)
    assert listed.returncode == 0, listed.stderr
    for word in ("desk", "july", "december", "flash-crowd", "bad-night", "24,192", "10 min"):
        assert word in listed.stdout
    known = json.loads(latchline("fleet", "scenarios", "--json", home=tmp_path).stdout)
    assert {each["name"]: each["lockers"] for each in known}["december"] == 200


def test_a_script_is_recorded_without_a_stack_and_always_the_same(tmp_path: Path) -> None:
    """Two recordings are equal byte for byte; flags override the scenario."""
    files = [tmp_path / name for name in ("one.jsonl", "two.jsonl", "other.jsonl")]
    for file, seed in zip(files, ("5", "5", "6"), strict=True):
        recorded = latchline(
            "fleet", "record", str(file), "--scenario", "bad-night", "--lockers", "8",
            "--duration", "1800", "--seed", seed, home=tmp_path,
        )  # fmt: skip
        assert recorded.returncode == 0, recorded.stderr
        assert "1800 s of 8 lockers" in recorded.stdout
    one, two, other = (file.read_bytes() for file in files)
    assert one == two != other
    parameters, _ = read_script(files[0])
    assert FleetPlan.from_parameters(parameters).lockers == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--scenario", "decembr"), "no scenario 'decembr': there are bad-night"),
        (("run", "--scenario", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("run", "--speed", "0"), "speed must be above 0, not 0"),
        (("run", "--scenario", "desk", "--buildings", "9"), "9 buildings need at least as many"),
        (("record", "x.jsonl"), "a script needs an end"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl: cannot be read"),
        (("provision", "--name", "nobody"), "nobody"),
        (("deprovision", "--name", "nobody"), "nobody"),
        (("revoke", "maple-court"), "'maple-court' is not <building>:<locker>"),
        (("revoke", "maple-court:l03", "--name", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_said_clearly(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    """One message that names the value, exit status 2, no traceback."""
    refused = latchline("fleet", *arguments, home=tmp_path)
    message = refused.stdout + refused.stderr
    assert refused.returncode == 2, message
    assert words in message
    assert "Traceback" not in message
