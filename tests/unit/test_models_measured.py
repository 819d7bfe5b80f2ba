"""How full batches were in a run: from the functions' own lines, or JSON."""

import json
from pathlib import Path

import pytest

from models.errors import ModelError
from models.measured import from_log, read_run
from tests.support.lambda_events import door_envelope, payload, sqs_event

pytestmark = pytest.mark.unit

LOG = """\
START RequestId: 1 Version: $LATEST
{"_aws":{"Timestamp":1},"service":"projector","Applied":[8.0]}
{"level":"INFO","message":"projected","applied":8,"duplicate":1,"stale":0,"poison":1,"retryable":0}
REPORT RequestId: 1 Duration: 30 ms Billed Duration: 30 ms
14:11:39 {"message":"projected","applied":2,"duplicate":0,"stale":0,"poison":0,"retryable":0}
{"message":"published","records":12,"items":10,"publications":4,"failed":0,"requests":1}
{"message":"published","records":2,"items":2,"publications":2,"failed":0,"requests":1}
{"message":"published","records":1,"items":0,"publications":0,"failed":0,"requests":0}
{ not JSON
"""
RUN = {
    "projector": {"batches": 100, "records": 250, "billed_ms": 40},
    "fanout": {"batches": 50, "records": 200, "items": 180, "publications": 60},
    "pipe_batches": 125,
}


def test_a_log_is_added_up(tmp_path: Path):
    """Two projector batches of 10 and 2, two pushes worth counting; the rest is passed over."""
    file = tmp_path / "run.log"
    file.write_text(LOG)
    fills = read_run(file).fills()
    assert fills.projector == fills.pipe == 6
    assert fills.stream == 7
    assert fills.coalescing == 2


def test_json_says_the_same(tmp_path: Path):
    """With the Pipe's own fill, and the measured duration where there is one."""
    file = tmp_path / "run.json"
    file.write_text(json.dumps(RUN))
    fills = read_run(file).fills()
    assert (fills.pipe, fills.projector, fills.stream) == (2.0, 2.5, 4.0)
    assert (fills.coalescing, fills.projector_ms) == (3.0, 40.0)
    assert fills.fanout_ms > 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nothing here", "no line 'projected'"),
        (LOG.replace("published", "else"), "no line 'published'"),
        ("{}", "projector: Field required"),
        (json.dumps({**RUN, "projector": {"batches": 0, "records": 1}}), "projector.batches"),
        (json.dumps({**RUN, "pipes": 3}), "pipes"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, words: str):
    """Naming the file and what is missing or wrong."""
    file = tmp_path / "run"
    file.write_text(content)
    with pytest.raises(ModelError, match=words) as refused:
        read_run(file)
    assert str(file) in str(refused.value)


def test_the_pipelines_own_lines_are_understood(capsys: pytest.CaptureFixture[str]):
    """What the projector's report writes of a batch is what is counted."""
    from aws_lambda_powertools import Logger, Metrics

    from pipeline.contract import parse_envelope
    from pipeline.lambda_event import read_records
    from pipeline.metrics import NAMESPACE
    from pipeline.outcomes import Outcome, Result
    from pipeline.report import FanoutReport, ProjectorReport

    records = read_records(sqs_event([door_envelope(payload(seq=n)) for n in (1, 2, 3)]))
    events = {each.message_id: parse_envelope(each.body) for each in records}
    results = {each.message_id: Result(Outcome.APPLIED) for each in records}
    metrics = Metrics(namespace=NAMESPACE, service="projector")
    ProjectorReport(Logger(service="p"), metrics).batch(records, events, results, 0)
    FanoutReport(Logger(service="f"), metrics, lambda: 0).batch(
        changes=3, published=[], failures=[], requests=1
    )
    lines = capsys.readouterr().out.replace('"items":0', '"items":3')
    run = from_log(lines.replace('"publications":0', '"publications":1').splitlines())
    assert (run.projector.batches, run.projector.records) == (1, 3)
    assert (run.fanout.records, run.fanout.items) == (3, 3)
