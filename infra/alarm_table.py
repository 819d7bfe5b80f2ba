"""The table of alarms in docs/operations.md: what each watches, and the test that raises it.

python -m infra.alarm_table            # writes it
python -m infra.alarm_table --check    # exit status 1 if the page has another
"""

import argparse
import re
import sys

from infra.alarms import RUNBOOK, Watch, watches
from infra.deployment import PRODUCTION, Deployment
from infra.layers import ROOT
from pipeline.metrics import NAMESPACE

PART = re.compile(r"(<!-- alarms: begin -->\n).*?(<!-- alarms: end -->)", re.DOTALL)
RAISED = "tests/infra/test_alarms.py"
"""Runs the functions against each fault of ours and compares their metrics with the thresholds."""
CONDITIONS = "tests/e2e/test_alarm_conditions.py"
"""Counts on the laptop stack what the metric counts on AWS, and compares that."""
FAULTS = {
    "iot-errors-not-empty": f"{CONDITIONS}::test_an_action_that_fails_fills_iot_errors",
    "ingest-dlq-not-empty": (
        "tests/e2e/test_poison_corpus.py::test_what_waits_for_the_pipe_is_parked_or_dead"
    ),
    "projector-late": (
        f"{CONDITIONS}::test_a_projector_that_takes_nothing_lets_its_queue_grow_old"
    ),
    "rule-not-found": f"{CONDITIONS}::test_a_rule_that_is_gone_loses_what_the_broker_takes",
    "projector-throttles": f"{CONDITIONS}::test_a_function_without_concurrency_is_throttled",
    "fanout-throttles": f"{CONDITIONS}::test_a_function_without_concurrency_is_throttled",
    "connect-clienterror": (f"{CONDITIONS}::test_clients_that_do_not_speak_mqtt_are_turned_away"),
    "fanout-dlq-not-empty": (
        "tests/integration/test_fanout.py::"
        "test_an_unreadable_record_is_parked_and_its_neighbours_pass"
    ),
    "ingest-late": "tests/e2e/test_pipe_stopped.py::test_a_stopped_pipe_keeps_every_message",
    "fanout-late": ("tests/e2e/test_door_to_tile.py::test_appsync_down_for_a_while_loses_nothing"),
    "projector-dlq-not-empty": f"{RAISED}::test_what_fails_five_times_is_a_dead_letter",
    "quarantine-not-empty": (
        "tests/integration/test_projector.py::test_poison_is_parked_and_its_neighbours_pass"
    ),
    "projector-errors": (
        "tests/integration/test_handlers.py::test_a_cold_start_without_settings_fails_at_once"
    ),
    "fanout-errors": ("tests/integration/test_fanout.py::test_an_event_of_another_kind_is_refused"),
    "appsync-errors": (
        "tests/integration/test_fanout.py::test_an_answer_that_is_no_success_fails_the_batch"
    ),
    "pipe-failed": (
        "tests/local/test_pipe_function.py::test_a_bus_that_refuses_the_request_fails_the_batch"
    ),
    "connect-autherror": (
        "tests/integration/test_rules.py::test_the_policy_refuses_to_connect_as_another_locker"
    ),
}
"""Test of the fault behind an alarm whose metric is AWS's own."""
AWS_ALONE = {
    "bus-dlq-not-empty": "the laptop's bus has no dead letters of a target; their way back is in "
    "[test_dlq_redrive](../tests/integration/test_dlq_redrive.py)",
}
"""Why no test can raise an alarm."""


def table() -> str:
    """One row an alarm, those that call somebody first."""
    rows = [_row(watch) for watch in watches(Deployment(PRODUCTION), "API-ID")]
    head = "| alarm | calls | when | metric | emitted by | the fault in a test |\n"
    return head + "|---|---|---|---|---|---|\n" + "".join(rows)


def _row(watch: Watch) -> str:
    cells = (
        f"[{watch.name}](#{watch.section})",
        "yes" if watch.pages else "–",
        _condition(watch),
        f"{watch.namespace} `{watch.metric}`",
        watch.emitter,
        _fault(watch),
    )
    return f"| {' | '.join(cells)} |\n"


def _condition(watch: Watch) -> str:
    period = f"{watch.period_s // 60} min"
    times = "" if watch.periods == 1 else f", {watch.datapoints} of {watch.periods} times"
    return f"{watch.statistic} > {watch.threshold:g} in {period}{times}"


def _fault(watch: Watch) -> str:
    if watch.namespace == NAMESPACE:
        test = f"{RAISED}::test_a_fault_raises_its_alarm"
    else:
        test = FAULTS.get(watch.name, "")
    if not test:
        return f"AWS alone: {AWS_ALONE[watch.name]}"
    file, _, name = test.partition("::")
    return f"[{name}](../{file})"


def replaced(page: str) -> str:
    """The page with the table of today."""
    return PART.sub(lambda found: f"{found[1]}{table()}{found[2]}", page)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.alarm_table")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args(arguments)
    page = ROOT / RUNBOOK
    before = page.read_text(encoding="utf-8")
    if not PART.search(before):
        print(f"{RUNBOOK} has no place for the table of alarms", file=sys.stderr)  # noqa: T201
        return 1
    after = replaced(before)
    if options.check and after != before:
        print(f"{RUNBOOK} is outdated: run python -m infra.alarm_table", file=sys.stderr)  # noqa: T201
        return 1
    if not options.check:
        page.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
