"""Taking turns to connect, pauses between attempts, and the limit of open files."""

import asyncio
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.connection import STEADY_S, Backoff, ConnectGate
from tests.support import virtual_time

pytestmark = pytest.mark.unit

HANDSHAKE_S = 1.0


async def crowd(gate: ConnectGate, count: int) -> tuple[list[float], list[int], int]:
    """Connect so many at once: when each began, in which order, and the most at a time."""
    loop = asyncio.get_running_loop()
    began: list[float] = []
    order: list[int] = []
    busy = most = 0

    async def connect(number: int) -> None:
        nonlocal busy, most
        async with gate.turn():
            began.append(loop.time())
            order.append(number)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(HANDSHAKE_S)
            busy -= 1

    await asyncio.gather(*(connect(number) for number in range(count)))
    return began, order, most


def test_no_more_handshakes_at_a_time_than_the_gate_has() -> None:
    """A slow broker is asked for so many at once and no more, first come, first served."""
    began, order, most = virtual_time.run(crowd(ConnectGate(per_s=1_000, at_a_time=4), 40))
    assert most == 4
    assert order == list(range(40))
    assert began[-1] == pytest.approx(9 * HANDSHAKE_S, abs=0.1)


def test_a_fast_broker_is_asked_evenly() -> None:
    """With turns to spare the rate decides."""
    began, _, _ = virtual_time.run(crowd(ConnectGate(per_s=10, at_a_time=32), 21))
    assert began == pytest.approx([n / 10 for n in range(21)])


def test_who_gives_up_in_the_line_holds_up_nobody() -> None:
    """A locker that a fault takes away while it waits, or while it connects, leaves its turn."""

    async def main() -> float:
        gate = ConnectGate(per_s=1_000, at_a_time=1)
        loop = asyncio.get_running_loop()

        async def hold(seconds: float) -> None:
            async with gate.turn():
                await asyncio.sleep(seconds)

        connecting, waiting, last = (asyncio.create_task(hold(s)) for s in (100.0, 100.0, 1.0))
        await asyncio.sleep(2)
        for task in (waiting, connecting):
            task.cancel()
        await last
        return loop.time()

    assert virtual_time.run(main()) == pytest.approx(3.0, abs=0.1)


@settings(deadline=None)
@given(failures=st.integers(1, 2_000))
def test_pauses_are_jittered_within_their_bounds(failures: int) -> None:
    """Never below the least, never above the greatest, however often it has failed."""
    backoff = Backoff(1_000, 60_000)
    pauses = [backoff.next(held_s=0.0) for _ in range(failures)]
    assert all(1.0 <= pause <= 60.0 for pause in pauses)
    assert pauses[0] <= 2.0


def test_a_connection_that_was_held_starts_the_pauses_anew() -> None:
    """Whoever is thrown out after an hour is back within two seconds; a flapping one is not."""
    backoff = Backoff(1_000, 60_000)
    for _ in range(10):
        backoff.next(held_s=1.0)
    assert max(backoff.next(held_s=1.0) for _ in range(50)) > 2.0
    assert backoff.next(held_s=STEADY_S) <= 2.0


def limited(soft: int, hard: int, connections: int) -> subprocess.CompletedProcess[str]:
    """Ask for connections in a process with these limits of open files; it prints its soft one."""
    program = (
        "import resource\n"
        "from simulators.connection import allow_connections\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"allow_connections({connections})\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_limit_of_open_files_is_raised_as_far_as_needed() -> None:
    """From the soft limit that most shells have."""
    asked = limited(256, 1_024, 500)
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) == 756
    assert limited(512, 1_024, 100).stdout.strip() == "512"


def test_a_hard_limit_that_is_too_low_is_said_with_both_figures() -> None:
    """And what to do about it."""
    asked = limited(256, 1_024, 5_000)
    assert asked.returncode != 0
    assert "FleetError: 5000 lockers need 5256 open files" in asked.stderr
    assert "may have 1024" in asked.stderr
    assert "ulimit -Hn" in asked.stderr
