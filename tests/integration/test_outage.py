"""An outage on purpose ends by itself, and leaves the stack as it was."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.faults.outage import BEHIND, VISIBILITY_S, Ended, Outage
from local.faults.plan import REPORT, Part, Report, read_plan, write
from local.faults.switch import FaultSwitch
from tests.support.aws import Aws

pytestmark = pytest.mark.integration

PATIENT_S = "120"


@contextmanager
def obedient(folder: Path) -> Iterator[FaultSwitch]:
    """A switch whose plan is followed at once."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(0.01):
            write(folder / REPORT, Report(generation=read_plan(folder).generation))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield FaultSwitch(folder)
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("letters", [10, 0], ids=["letters-enough", "time-is-up"])
def test_a_part_is_back_when_it_has_left_letters_or_time_is_up(
    aws: Aws, tmp_path: Path, letters: int
):
    """Meanwhile messages come back soon; afterwards nothing is down, and queues are patient."""
    urls = {
        name: aws.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": PATIENT_S})[
            "QueueUrl"
        ]
        for name in ("ingest", "projector", BEHIND[Part.DYNAMODB])
    }

    def visibility() -> str:
        asked = aws.sqs.get_queue_attributes(
            QueueUrl=urls["projector"], AttributeNames=["VisibilityTimeout"]
        )
        return str(asked["Attributes"]["VisibilityTimeout"])

    def depths(asked: Mapping[str, str]) -> dict[str, int]:
        down = Part.DYNAMODB in read_plan(tmp_path).down
        return dict.fromkeys(asked, letters if down else 0)

    with obedient(tmp_path) as switch:
        running = Outage(switch, aws.sqs, urls, depths=depths, at_most_s=1).run([Part.DYNAMODB])
        assert next(running) is Part.DYNAMODB
        assert read_plan(tmp_path).down == {Part.DYNAMODB}
        assert visibility() == str(VISIBILITY_S)
        (ended,) = running
        assert isinstance(ended, Ended)
        assert (ended.letters, ended.enough) == (letters, letters > 0)
    assert read_plan(tmp_path).down == frozenset()
    assert visibility() == PATIENT_S
