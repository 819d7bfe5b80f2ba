"""What the projector says of its work: lines that help, and none that can do harm."""

import json

import pytest

from tests.support.aws import Aws, always, refusal
from tests.support.lambda_events import BOOT, door_envelope, payload, presence_envelope
from tests.support.projectors import TestBench

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(aws: Aws) -> TestBench:
    return TestBench(aws)


def opened(seq: int = 1, *, door: str = "d02", **fields: object) -> dict:
    return door_envelope(payload(seq=seq, open=True, **fields), door=door)


def test_the_batch_is_logged_in_one_line_and_poison_in_one_each(
    bench: TestBench, capsys: pytest.CaptureFixture[str]
):
    """Never a line for each good event; metrics are embedded in the log."""
    bench.project(opened(seq=1), opened(seq=2, door="d03"), "not json")
    assert [line["message"] for line in bench.log()] == ["quarantined", "projected"]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (batch,) = [line for line in metrics if "Applied" in line]
    assert batch["Applied"] == [2.0]
    assert batch["Quarantined"] == [1.0]
    assert batch["DoorToTable"] == [30.0, 30.0]
    (by_reason,) = [line for line in metrics if "QuarantinedByReason" in line]
    assert by_reason["reason"] == "envelope_not_json"


def test_a_defect_is_logged_with_its_stack(bench: TestBench):
    """Whoever is on call must see where it broke; throttling is not worth a stack."""
    bench.dynamodb.faults["update_item"] = always(ZeroDivisionError("oops"))
    bench.project(opened())
    (defect,) = [line for line in bench.log() if line["message"] == "defect"]
    assert "ZeroDivisionError" in defect["exception"]
    assert defect["event_id"] == f"maple-court:l03/d02@{BOOT}.1"


def test_a_line_leads_to_the_invocations_trace_and_to_the_events(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
):
    """X-Ray's id is that of the invocation, the broker's that of the event: one line has both."""
    root = "1-5759e988-bd862e3fe1be46a994272793"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent=53995c3f42cd8ad8;Sampled=1")
    bench.dynamodb.faults["update_item"] = always(refusal("ThrottlingException", "UpdateItem"))
    event = opened()
    bench.project(event)
    retried, projected = bench.log()
    assert retried["trace_id"] == event["trace"]
    assert retried["xray_trace_id"] == projected["xray_trace_id"] == root


def test_a_payload_is_never_logged(bench: TestBench, capsys: pytest.CaptureFixture[str]):
    """Neither as a good event, nor as a defect, nor as poison; and no line can be forged."""
    secret = "pin-4711"
    bench.dynamodb.faults["update_item"] = always(ZeroDivisionError("oops"))
    forged = f'{{"note": "{secret}\\n", "schema": 1}}'.encode()
    batch = [
        opened(note=secret),
        door_envelope(forged),
        door_envelope(f'{secret}\n{{"message": "projected"}}'.encode()),
    ]
    assert bench.project(*batch) == ["m0"]
    assert [line["message"] for line in bench.log()] == [
        "defect",
        "quarantined",
        "quarantined",
        "projected",
    ]
    assert secret not in json.dumps(bench.log())
    assert secret not in capsys.readouterr().out


@pytest.mark.parametrize("part", ["add_metric", "flush_metrics"])
def test_metrics_that_fail_change_no_answer(
    bench: TestBench, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """What is done stays done, what failed is still named; the failure is logged."""
    monkeypatch.setattr(bench.projector._report._metrics, part, _fail)
    bench.dynamodb.faults["get_item"] = always(refusal("ThrottlingException", "GetItem"))
    assert bench.project(opened(), presence_envelope(connected=True), "not json") == ["m1"]
    assert "ProjectorReport.batch failed" in caplog.text


def test_a_logger_that_fails_changes_no_answer(bench: TestBench, monkeypatch: pytest.MonkeyPatch):
    """Nor does the line that tells of the batch."""
    monkeypatch.setattr(bench.projector._report._logger, "info", _fail)
    assert bench.project(opened(), opened(seq=2, door="d01")) == []


def _fail(*_: object, **__: object) -> None:
    raise OSError("no space left on device")
