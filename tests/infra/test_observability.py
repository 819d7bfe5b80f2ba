"""Alarms, the one page and the dashboard: they watch what is there, and lead to the runbook."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.metrics import NAMESPACE, Metric
from tests.support.templates import NODE_BIN, ROOT, Assembly, Resource

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

RUNBOOK = ROOT / "docs" / "operations.md"
NAMED = {
    "QueueName": ("AWS::SQS::Queue", "QueueName"),
    "FunctionName": ("AWS::Lambda::Function", "FunctionName"),
    "PipeName": ("AWS::Pipes::Pipe", "Name"),
    "RuleName": ("AWS::IoT::TopicRule", "RuleName"),
}
"""Dimension of a metric: the resource that has this name, and its property."""


def alarms(assembly: Assembly) -> list[Resource]:
    return list(assembly.resources("AWS::CloudWatch::Alarm"))


def dimensions(alarm: Resource) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in alarm.properties.get("Dimensions", [])}


def dashboard(assembly: Assembly) -> dict[str, Any]:
    """Its body, references written as their logical ids."""
    body = assembly.only("AWS::CloudWatch::Dashboard").properties["DashboardBody"]
    return json.loads(written(body))


def written(joined: Any) -> str:
    """`Fn::Join` with each reference as its logical id."""
    parts = joined["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else logical_id(part) for part in parts)


def logical_id(reference: dict[str, Any]) -> str:
    (target,) = reference.values()
    return str(target if isinstance(target, str) else target[0])


def watched(assembly: Assembly) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(namespace, metric, dimensions) of every alarm and of every line of the dashboard."""
    for alarm in alarms(assembly):
        yield alarm.properties["Namespace"], alarm.properties["MetricName"], dimensions(alarm)
    for widget in dashboard(assembly)["widgets"]:
        for line in widget["properties"].get("metrics", []):
            words = [word for word in line if isinstance(word, str)]
            if words:
                namespace, metric, *rest = words
                yield namespace, metric, dict(zip(rest[::2], rest[1::2], strict=True))


def test_what_is_watched_has_the_name_of_a_resource(assembly: Assembly) -> None:
    """Queues, functions, pipe and rule: an alarm of a name that is gone would be silent."""
    names = {
        dimension: {each.properties[name] for each in assembly.resources(kind)}
        for dimension, (kind, name) in NAMED.items()
    }
    seen = set()
    for _, metric, about in watched(assembly):
        for dimension, value in about.items():
            if dimension in names:
                assert value in names[dimension], (metric, dimension)
                seen.add(dimension)
    assert seen == set(NAMED)


def test_metrics_of_ours_belong_to_one_stage(assembly: Assembly) -> None:
    """Name from `pipeline.metrics`; `service` is what the function of that stage calls itself."""
    services = {
        each.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for each in assembly.resources("AWS::Lambda::Function")
    }
    assert services == {f"latchline-{assembly.stage}-{part}" for part in ("projector", "fanout")}
    ours = [each for each in watched(assembly) if each[0] == NAMESPACE]
    assert ours
    for _, metric, about in ours:
        assert metric in set(Metric), metric
        assert set(about) == {"service"}, metric
        assert about["service"] in services, metric


def test_every_dead_letter_queue_has_an_alarm(assembly: Assembly) -> None:
    """A queue that a person empties must call the person."""
    queues = {
        each.properties["QueueName"]
        for each in assembly.resources("AWS::SQS::Queue")
        if "RedrivePolicy" not in each.properties
    }
    visible = {
        about["QueueName"]
        for _, metric, about in watched(assembly)
        if metric == "ApproximateNumberOfMessagesVisible"
    }
    assert visible == queues


def test_every_alarm_leads_to_its_section(assembly: Assembly) -> None:
    """Its description ends in an anchor of the runbook that is there."""
    text = RUNBOOK.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for alarm in alarms(assembly):
        page, _, section = alarm.properties["AlarmDescription"].rpartition("#")
        assert page.endswith("Runbook: docs/operations.md"), alarm
        assert section in anchors, alarm


def test_one_incident_calls_once(assembly: Assembly) -> None:
    """Only the composite alarm acts; it is over those that the table says call somebody."""
    composite = assembly.only("AWS::CloudWatch::CompositeAlarm")
    assert composite.properties["AlarmActions"] == composite.properties["OKActions"]
    (topic,) = composite.properties["AlarmActions"]
    assert composite.referred(topic).type == "AWS::SNS::Topic"
    names = {each.id: each.properties["AlarmName"] for each in alarms(assembly)}
    over = {names[found] for found in re.findall(r'ALARM\("(\w+)"\)', written_rule(composite))}
    prefix = f"latchline-{assembly.stage}-"
    paging = {name for name, calls in table_of_alarms().items() if calls == "yes"}
    assert {name.removeprefix(prefix) for name in over} == paging
    assert set(table_of_alarms()) == {name.removeprefix(prefix) for name in names.values()}
    for alarm in alarms(assembly):
        assert "AlarmActions" not in alarm.properties, alarm
        assert alarm.properties["TreatMissingData"] == "notBreaching", alarm


def written_rule(composite: Resource) -> str:
    return written(composite.properties["AlarmRule"])


def table_of_alarms() -> dict[str, str]:
    """Alarm name to whether it calls somebody, as the runbook says."""
    rows = re.findall(
        r"^\| \[([\w-]+)\]\(#[\w-]+\) \| (yes|–) \|",
        RUNBOOK.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return dict(rows)


def test_the_runbooks_table_is_that_of_the_stack() -> None:
    """Generated from the same rows; the page says how when it is outdated."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.alarm_table", "--check"],
        cwd=ROOT,
        env={"PATH": str(NODE_BIN)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_fault_of_the_table_is_a_test() -> None:
    """No alarm points to a test that has been renamed."""
    found = re.findall(
        r"\| \[(test_\w+)\]\(\.\./(\S+\.py)\) \|",
        RUNBOOK.read_text(encoding="utf-8"),
    )
    assert len(found) > 10
    for name, file in found:
        assert name in functions_of(ROOT / file), f"{file}::{name}"


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}
