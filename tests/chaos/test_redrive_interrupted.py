"""The short form of `tests.chaos.redrive`: some hundred letters, SIGINT and SIGKILL."""

from pathlib import Path

import pytest

from tests.chaos.redrive import TOLERANCE, Redriving
from tests.support.cli_stack import cli_stack

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]

RATE = 40.0


@pytest.mark.timeout(900)
def test_no_interruption_loses_a_letter(tmp_path: Path):
    """Every version is in history, the queue is empty, and the last run has said so."""
    with cli_stack(tmp_path, "redrive") as stack:
        outcome = Redriving(stack, rate=RATE, seed=1, say=print).interrupted(300, times=4)
    assert outcome.ok, outcome
    assert outcome.lost == 0
    assert sum(outcome.interruptions.values()) > 0
    assert outcome.rate is None or outcome.rate <= RATE * (1 + TOLERANCE)
