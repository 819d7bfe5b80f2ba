"""The short form of `python -m tests.fuzz.malformed`."""

import pytest

from pipeline.errors import PoisonReason
from tests.fuzz.malformed import main, run, table

pytestmark = pytest.mark.property


def test_every_malformed_message_is_parked_once_or_still_valid():
    """2,000 of them: none lost, none retried for nothing, none retried twice, good ones applied."""
    fates = run(2_000)
    assert fates.wrong == []
    assert sum(fates.parked.values()) + fates.applied == fates.messages == 2_000
    assert fates.again > 0, "the quarantine queue was to refuse something"
    assert set(PoisonReason) - set(fates.parked) == {PoisonReason.IMAGE_UNREADABLE}
    assert f"{'payload_not_json':<22}{fates.parked[PoisonReason.PAYLOAD_NOT_JSON]:>8}" in table(
        fates
    )


def test_the_same_seed_gives_the_same_messages():
    """A finding can be looked at again."""
    assert run(200, seed=3).parked == run(200, seed=3).parked != run(200, seed=4).parked


def test_the_command_answers_with_its_exit_status(capsys: pytest.CaptureFixture[str]):
    """0, and the table, if nothing is wrong."""
    assert main(["--count", "100", "--seed", "5"]) == 0
    assert "100 malformed messages" in capsys.readouterr().out
