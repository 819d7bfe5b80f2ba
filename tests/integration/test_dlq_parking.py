"""Setting letters aside: into quarantine or a file, and back again; nothing is dropped."""

import threading
from pathlib import Path

import pytest

from operations.errors import OperationsError
from operations.letters import Queue
from operations.parking import Decision, FileParking, Parking, QuarantineParking, park, read_parked
from operations.plan import Fate, Ledger
from operations.redrive import Orders
from operations.selection import Selection
from operations.sources import QueueSource
from tests.support.aws import Aws
from tests.support.dead_letters import stream_failure
from tests.support.dlq_bench import DlqBench

pytestmark = pytest.mark.integration

WHY = Decision("ada", "the lab's devices speak schema 7", 1_763_640_000_000)
ORDERS = Orders(rate=None, canary_s=20, check_s=20, native=False)


@pytest.fixture
def bench(aws: Aws) -> DlqBench:
    return DlqBench(aws)


def set_aside(
    bench: DlqBench, queue: Queue, parking: Parking, selection: Selection | None = None
) -> Ledger:
    source = QueueSource(bench.sqs, queue, bench.urls[queue])
    return park(source, parking, WHY, selection or Selection(), threading.Event())


def test_a_letter_is_parked_with_who_and_why(bench: DlqBench):
    """In quarantine it says where it came from, and it can be redriven from there."""
    bench.put("ingest_dlq", bench.event(1))
    quarantine = QuarantineParking(bench.sqs, bench.urls["quarantine"])
    assert set_aside(bench, Queue.INGEST_DLQ, quarantine).good
    assert bench.look("ingest_dlq") == []
    (letter,) = bench.look("quarantine")
    assert letter.reason == "parked"
    assert letter.error.startswith("ada: the lab's devices speak schema 7 (was receives_exhausted")
    assert letter.failed_at == "ingest_dlq"
    work = bench.redrive(ORDERS)
    with bench.working():
        work.run_queues([Queue.QUARANTINE])
    assert work.ledger.good
    assert bench.history() == {1}


def test_a_letter_without_an_envelope_stays_out_of_quarantine(bench: DlqBench):
    """From there it could not be redriven: a file takes it."""
    bench.put("fanout_dlq", stream_failure())
    ledger = set_aside(bench, Queue.FANOUT_DLQ, QuarantineParking(bench.sqs, "unused"))
    (step,) = ledger.steps
    assert step.fate is Fate.UNREADABLE
    assert "--export" in step.detail
    assert len(bench.look("fanout_dlq")) == 1


def test_a_file_takes_all_of_it_and_gives_it_back(bench: DlqBench, tmp_path: Path):
    """The queue is empty, the file is for its owner only, and a redrive from it arrives."""
    file = tmp_path / "parked.jsonl"
    bench.put("quarantine", *(bench.event(seq) for seq in range(1, 24)), "not json")
    before = {letter.message_id: letter.body for letter in bench.look("quarantine")}
    assert set_aside(bench, Queue.QUARANTINE, FileParking(file)).good
    assert bench.look("quarantine") == []
    assert file.stat().st_mode & 0o777 == 0o600
    letters = read_parked(file)
    assert {letter.message_id: letter.body for letter in letters} == before
    work = bench.redrive(ORDERS)
    with bench.working():
        work.run_letters(letters)
    assert bench.history() == set(range(1, 24))
    assert {step.fate for step in work.ledger.steps} == {Fate.ARRIVED, Fate.REFUSED}
    assert {letter.message_id: letter.body for letter in read_parked(file)} == before


def test_a_second_decision_is_added_to_the_file(bench: DlqBench, tmp_path: Path):
    """Nothing that is in it is written over; the same letter twice is one."""
    file = tmp_path / "parked.jsonl"
    for seq in (1, 2):
        bench.put("quarantine", bench.event(seq))
        assert set_aside(bench, Queue.QUARANTINE, FileParking(file)).good
    file.write_text(file.read_text() * 2)
    assert [letter.seq for letter in read_parked(file)] == [1, 2]


def test_a_file_that_cannot_be_written_takes_nothing_off_the_queue(bench: DlqBench, tmp_path: Path):
    """The message names the file; every letter is still there."""
    bench.put("quarantine", bench.event(1))
    with pytest.raises(OperationsError, match="nowhere"):
        set_aside(bench, Queue.QUARANTINE, FileParking(tmp_path / "nowhere" / "parked.jsonl"))
    assert len(bench.look("quarantine")) == 1


def test_only_what_is_selected_is_parked(bench: DlqBench, tmp_path: Path):
    """The rest stays where it is."""
    bench.put("quarantine", bench.event(1), attributes={"reason": "field_missing"})
    bench.put("quarantine", bench.event(2), attributes={"reason": "schema_unknown"})
    selection = Selection(reasons={"schema_unknown"})
    parking = FileParking(tmp_path / "parked.jsonl")
    assert set_aside(bench, Queue.QUARANTINE, parking, selection).good
    assert [letter.seq for letter in bench.look("quarantine")] == [1]


@pytest.mark.parametrize("line", ["garbage", "{}", "[]", '{"queue": "nowhere"}'])
def test_a_line_that_is_no_letter_is_named(tmp_path: Path, line: str):
    """With the file and its number; nothing is guessed."""
    file = tmp_path / "parked.jsonl"
    file.write_text(f"\n{line}\n")
    with pytest.raises(OperationsError, match="line 2"):
        read_parked(file)


@pytest.mark.parametrize("why", ["", "  ", "a\x00b", "x" * 200])
def test_a_decision_needs_a_reason(why: str):
    """It is kept with the letter, so SQS must be able to hold it."""
    with pytest.raises(OperationsError, match="--why"):
        Decision.make("ada", why, 0)
