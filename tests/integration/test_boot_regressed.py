"""A controller that came back with a lower boot number is seen; store-and-forward is not it."""

import json

import pytest

from pipeline.merge import REGRESSED_AFTER_MS
from tests.support.aws import Aws
from tests.support.lambda_events import BOOT, RECEIVED_AT, door_envelope, payload
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration

LATE = RECEIVED_AT + REGRESSED_AFTER_MS + 1


@pytest.fixture
def bench(aws: Aws) -> TestBench:
    return TestBench(aws)


def event(
    boot: int, seq: int, *, received_at: int = RECEIVED_AT, door: str = "d02", locker: str = "l03"
) -> dict:
    body = payload(boot=boot, seq=seq, open=True)
    return door_envelope(body, door=door, received_at=received_at, thing=f"maple-court:{locker}")


def warnings(bench: TestBench) -> list[dict]:
    return [line for line in bench.log() if line["message"] == "boot regressed"]


def test_a_lower_boot_is_seen(bench: TestBench, capsys: pytest.CaptureFixture[str]):
    """Metric and one line a controller, with both boots and the runbook; all is on record."""
    bench.project(event(BOOT, 1), event(BOOT, 2, door="d03"), event(BOOT, 1, locker="l04"))
    capsys.readouterr()
    batch = [
        event(12, 1, received_at=LATE),
        event(12, 2, received_at=LATE, door="d03"),
        event(7, 1, received_at=LATE, locker="l04"),
        event(BOOT, 2, received_at=LATE, locker="l05"),
    ]
    assert bench.project(*batch) == []
    found = {line["thing"]: line for line in warnings(bench)}
    assert set(found) == {"maple-court:l03", "maple-court:l04"}
    line = found["maple-court:l03"]
    assert (line["boot"], line["held_boot"], line["level"]) == (12, BOOT, "WARNING")
    assert line["runbook"] == "docs/operations.md#boot-regressed"
    assert bench.log()[-1]["regressed"] == 3
    metrics = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (batched,) = [each for each in metrics if "BootRegressed" in each]
    assert (batched["BootRegressed"], batched["Applied"]) == ([3.0], [1.0])
    assert len(bench.aws.items("EVENT#")) == 7
    tile = bench.aws.tile()
    assert tile is not None
    assert tile["version"]["S"].startswith(f"{BOOT * 2**32:020d}"[:8])


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(event(BOOT - 9, 7, received_at=LATE - 1), id="drained in a quarter hour"),
        pytest.param(event(BOOT - 9, 7, received_at=RECEIVED_AT - 5), id="redriven"),
        pytest.param(event(BOOT, 1, received_at=LATE), id="late in the same boot"),
    ],
)
def test_what_comes_late_is_stale_and_no_more(bench: TestBench, late: dict):
    """A backlog of the boot before, a redriven letter, an event of this boot out of order."""
    bench.project(event(BOOT, 2))
    assert bench.project(late) == []
    assert warnings(bench) == []
    assert bench.log()[-1]["stale"] == 1


def test_two_events_of_a_lost_boot_in_one_batch(bench: TestBench):
    """The newest tells of it, the others of the door are stale; a repeat is told again."""
    bench.project(event(BOOT, 1))
    batch = [event(12, seq, received_at=LATE) for seq in (1, 2, 2)]
    assert bench.project(*batch) == []
    assert len(warnings(bench)) == 1
    assert (bench.log()[-1]["regressed"], bench.log()[-1]["stale"]) == (1, 2)
