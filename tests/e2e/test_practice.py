"""The runbook's practice, walked as it says: an outage while a bad night goes on, and the way back.

AppSync, which takes a minute to give up on (`RetryAttemptsExhausted`), is left to the short soak.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_stack import COMMAND, ROOT, CliStack, cli_stack, environment, latchline
from tests.support.wait import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("practice")]

FLEET = ("--scenario", "bad-night", "--lockers", "16", "--rate", "0.25")
WHY = ("--why", "bad firmware, practice")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[CliStack]:
    with cli_stack(tmp_path, "practice", "--faults") as running:
        yield running


@contextmanager
def night(stack: CliStack, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A fleet in a terminal of its own; it is connected."""
    with log.open("wb") as out:
        fleet = subprocess.Popen(
            [*COMMAND, "fleet", "run", *FLEET, "--name", stack.name],
            cwd=ROOT,
            env=environment(stack.home),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(
                lambda: "running at" in log.read_text(), timeout_s=60, what="lockers connected"
            )
            yield fleet
        finally:
            fleet.kill()
            fleet.wait()


def letters(stack: CliStack) -> dict[str, int]:
    listed: list[dict[str, Any]] = json.loads(stack.run("dlq", "ls", "--json").stdout)
    return {each["queue"]: each["depth"] for each in listed if each["depth"]}


@pytest.mark.timeout(600)
def test_from_an_outage_to_nothing_lost(stack: CliStack, tmp_path: Path):
    """Two queues fill; redrive and park empty all six; verify finds nothing lost or wrong."""
    log, file = tmp_path / "fleet.log", tmp_path / "parked.jsonl"
    with night(stack, log) as fleet:
        outage = stack.run("outage", "dynamodb", "events", timeout_s=300)
        assert outage.returncode == 0, outage.stdout + outage.stderr
        assert letters(stack).keys() >= {"projector_dlq", "ingest_dlq"}
        queues = ("projector_dlq", "ingest_dlq", "fanout_dlq")
        redriven = json.loads(stack.run("dlq", "redrive", *queues, "--yes", "--json").stdout)
        fates = {each["fate"] for each in redriven["letters"]}
        assert "arrived" in fates
        assert fates <= {"arrived", "refused"}, redriven
        for queue in ("projector_dlq", "ingest_dlq"):
            parked = stack.run("dlq", "park", queue, *WHY, "--yes")
            assert parked.returncode == 0, parked.stdout + parked.stderr
        fleet.send_signal(signal.SIGINT)
        fleet.wait(120)
    assert "up to date: all" in log.read_text()
    assert letters(stack).keys() <= {"quarantine"}
    parked = stack.run("dlq", "park", "quarantine", *WHY, "--export", str(file), "--yes")
    assert parked.returncode == 0, parked.stdout + parked.stderr
    assert stack.run("dlq", "ls").returncode == 0
    verdict = stack.run("verify", "--parked", str(file))
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "0 lost, 0 wrong, 0 extra" in verdict.stdout


def test_what_cannot_go_down_is_said_clearly(tmp_path: Path):
    """One line that names the value and what there is, before anything is looked for."""
    refused = latchline("outage", "dynamo", home=tmp_path)
    assert refused.returncode == 2
    assert "'dynamo' is no part that can go down: events, dynamodb, appsync" in refused.stderr
