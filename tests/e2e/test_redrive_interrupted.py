"""The short form of `tests.chaos.redrive`: some hundred letters, and all that ends a command."""

import signal

import pytest

from tests.chaos.redrive import Redriving
from tests.support.cli_stack import CliStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

RATE = 50.0


@pytest.mark.timeout(900)
def test_no_interruption_loses_or_hides_a_letter(stack: CliStack):
    """A look puts back what it saw, whatever ends it; a redrive that goes on has all arrive."""
    redriving = Redriving(stack, rate=RATE, seed=1, say=print)
    redriving.fill(150)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert redriving.look_interrupted(number) == 0, number
    outcome = redriving.interrupted(times=2)
    assert outcome.ok, outcome
    assert outcome.lost == 0
    assert outcome.interruptions
