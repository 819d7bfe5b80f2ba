"""The guard ends what it started, with all descendants, however its parent goes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.state import is_held
from tests.support.processes import Process, process
from tests.support.wait import wait_for

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
# Tells its own process id and that of a grandchild, which ignores the polite signal.
FAMILY = (
    "import subprocess, sys; "
    "child = subprocess.Popen([sys.executable, '-c', '''import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    'open(__import__("sys").argv[1], "w").write("ready")\n'
    "time.sleep(600)''', sys.argv[1] + '.ready']); "
    "open(sys.argv[1], 'w').write(str(child.pid) + '\\n'); child.wait()"
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "guard.lock"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Guards of a test; whatever happens, none outlives it."""
    guards: list[subprocess.Popen[bytes]] = []
    yield guards
    for guard in guards:
        with guard:
            guard.kill()


def guarded(
    lock: Path, started: list[subprocess.Popen[bytes]], *command: str
) -> subprocess.Popen[bytes]:
    guard = subprocess.Popen(
        [sys.executable, "-m", "local.guard", str(lock), "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    started.append(guard)
    return guard


def family(
    lock: Path, started: list[subprocess.Popen[bytes]], note: Path
) -> tuple[subprocess.Popen[bytes], list[Process]]:
    """A guard over a child and a grandchild, as processes."""
    guard = guarded(lock, started, sys.executable, "-c", FAMILY, str(note))
    assert guard.stdout is not None
    child = process(int(guard.stdout.readline()))
    wait_for(lambda: note.with_name(note.name + ".ready").exists(), what="the grandchild")
    grandchild = process(int(wait_for(note.read_text)))
    assert child.lives()
    assert grandchild.lives()
    return guard, [child, grandchild]


def test_the_end_of_its_input_ends_the_whole_group(
    lock: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
):
    """As when the parent dies; a grandchild that ignores SIGTERM is killed."""
    guard, processes = family(lock, started, tmp_path / "note")
    assert is_held(lock)
    assert guard.stdin is not None
    guard.stdin.close()
    wait_for(
        lambda: not any(each.lives() for each in processes), timeout_s=15, what="the group's end"
    )
    guard.wait(10)
    assert not is_held(lock)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_guard_orphans_nothing(
    lock: Path, started: list[subprocess.Popen[bytes]], number: int
):
    """Ctrl-C reaches a whole group of processes; only the pipe decides."""
    guard = guarded(lock, started, "sleep", "600")
    assert guard.stdout is not None
    child = process(int(guard.stdout.readline()))
    guard.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        guard.wait(0.3)
    assert child.lives()
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(10) == -signal.SIGTERM & 0xFF
    assert not child.lives()


def test_the_commands_own_end_is_passed_on(lock: Path, started: list[subprocess.Popen[bytes]]):
    """Its exit status is the guard's, so that the supervisor can tell it."""
    guard = guarded(lock, started, sys.executable, "-c", "raise SystemExit(7)")
    assert guard.wait(10) == 7
    assert not is_held(lock)


def test_what_the_command_prints_does_not_fill_the_guards_pipe(
    lock: Path, started: list[subprocess.Popen[bytes]]
):
    """Its parent reads one line and no more: a command that talks must not block."""
    talks = "print('x' * 1_000_000, flush=True); print('x' * 1_000_000, flush=True)"
    guard = guarded(lock, started, sys.executable, "-c", talks)
    assert guard.wait(10) == 0
    assert guard.stdout is not None
    assert guard.stdout.read().strip().isdigit()


def test_descendants_of_a_command_that_ended_go_too(
    lock: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
):
    """MiniStack crashes: its function workers must not stay."""
    guard, (child, grandchild) = family(lock, started, tmp_path / "note")
    os.kill(child.pid, signal.SIGKILL)
    guard.wait(10)
    wait_for(lambda: not grandchild.lives(), timeout_s=10, what="the grandchild's end")
