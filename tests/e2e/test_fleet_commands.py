"""`latchline fleet` against a whole stack: ended, recorded and replayed, registered and removed."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.contract import Kind
from simulators.ground_truth import GroundTruth, read_ground_truth
from simulators.target import Target
from tests.support.cli_stack import COMMAND, ROOT, CliStack, environment, latchline
from tests.support.wait import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

SMALL = ("--lockers", "4", "--buildings", "2", "--doors", "2")
ENDED_S = 30
"""Two seconds on a machine with nothing else to do."""


@contextmanager
def endless_fleet(
    stack: CliStack, printed: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A fleet that runs until it is told not to; what it prints goes to a file."""
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [*COMMAND, "fleet", "run", "--name", stack.name, *options],
            cwd=ROOT,
            env=environment(stack.home),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def made(truth: GroundTruth) -> list[tuple[str, str, str, bool, bool]]:
    """What happened at the doors, in order; reconnects are the network's affair."""
    return [
        (str(each.thing), each.door, each.kind, each.open, each.occupied)
        for each in truth.events.values()
        if each.kind is not Kind.REPORTED
    ]


def registered(target: Target) -> tuple[list[str], list[str]]:
    """Things and certificates, as the emulator's IoT has them."""
    iot = target.client("iot")
    things = [each["thingName"] for each in iot.list_things()["things"]]
    certificates = iot.list_certificates(pageSize=250)["certificates"]
    return things, [each["certificateId"] for each in certificates]


@pytest.mark.parametrize("moment", ["running at", "connecting"])
def test_ctrl_c_ends_a_run_with_a_verdict_on_what_was_sent(
    stack: CliStack, tmp_path: Path, moment: str
):
    """At any moment: a summary, exit status 0, a complete truth, and verify agrees with it."""
    truth, printed = tmp_path / "truth.jsonl", tmp_path / "printed"
    options = (*SMALL, "--rate", "20", "--connect-rate", "4", "--truth", str(truth))
    with endless_fleet(stack, printed, *options) as process:
        wait_for(lambda: moment in printed.read_text(), timeout_s=60, what=moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDED_S) == 0
    last = printed.read_text()
    assert "acknowledged" in last
    assert "up to date: all" in last or "do not show their last acknowledged event" in last
    assert "Traceback" not in last
    assert read_ground_truth(truth).complete
    verified = stack.run("verify", "--truth", str(truth))
    assert verified.returncode == 0, verified.stdout


def test_a_replay_makes_the_same_events(stack: CliStack, tmp_path: Path):
    """A script recorded without a stack, played twice: the same at every door, and nothing lost."""
    script = tmp_path / "script.jsonl"
    fixed = (*SMALL, "--rate", "20", "--duration", "3", "--seed", "7")
    recorded = latchline("fleet", "record", str(script), *fixed, home=stack.home)
    assert recorded.returncode == 0, recorded.stderr
    told = []
    for turn in ("first", "second"):
        truth = tmp_path / f"{turn}.jsonl"
        played = stack.run("fleet", "replay", str(script), "--truth", str(truth))
        assert played.returncode == 0, played.stdout + played.stderr
        told.append(made(read_ground_truth(truth)))
        verified = stack.run("verify", "--truth", str(truth))
        assert verified.returncode == 0, verified.stdout
    assert told[0] == told[1]
    assert len(told[0]) > 20


def test_a_run_that_is_recorded_can_be_replayed(stack: CliStack, tmp_path: Path):
    """`fleet run --record` writes the script of what it plays."""
    script, truths = tmp_path / "script.jsonl", [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    fixed = (*SMALL, "--rate", "20", "--duration", "3", "--seed", "8")
    ran = stack.run("fleet", "run", *fixed, "--record", str(script), "--truth", str(truths[0]))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    played = stack.run("fleet", "replay", str(script), "--truth", str(truths[1]))
    assert played.returncode == 0, played.stdout + played.stderr
    assert made(read_ground_truth(truths[0])) == made(read_ground_truth(truths[1]))


def test_deprovisioned_lockers_leave_nothing_and_can_come_back(
    stack: CliStack, target: Target, tmp_path: Path
):
    """No thing, certificate or key is left; the same names, registered anew, paint right."""
    stack.run("fleet", "deprovision")  # other tests' lockers of this stack
    things, certificates = registered(target)
    size = ("--lockers", "6", "--buildings", "3")
    provisioned = stack.run("fleet", "provision", *size)
    assert provisioned.returncode == 0, provisioned.stderr
    assert "6 lockers in 3 buildings can connect" in provisioned.stdout
    now = registered(target)
    assert len(now[0]) == len(things) + 6
    assert len(now[1]) == len(certificates) + 6
    assert len(keys_of(stack)) == 6

    for turn in ("before", "after"):
        truth = tmp_path / f"{turn}.jsonl"
        run = (*size, "--rate", "20", "--duration", "2", "--truth", str(truth), "--json")
        ran = stack.run("fleet", "run", *run)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["doors_behind"] == 0
        verified = stack.run("verify", "--truth", str(truth))
        assert verified.returncode == 0, verified.stdout

        removed = stack.run("fleet", "deprovision")
        assert removed.returncode == 0, removed.stderr
        assert "6 lockers removed" in removed.stdout
        assert registered(target) == (things, certificates)
        assert keys_of(stack) == []


def keys_of(stack: CliStack) -> list[Path]:
    """Private keys of lockers below the stack's folder."""
    return list(stack.home.rglob("fleet/**/key.pem"))
