"""The runbook's commands are ones that the command line takes, and its links lead somewhere."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline.report import RUNBOOK
from scripts.cli import app

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        shlex.join(shlex.split(line, comments=True))
        for line in re.findall(r"(?m)^latchline .*$", TEXT)
    }
)
HEADINGS = {
    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    for title in re.findall(r"(?m)^##+ (.+)$", TEXT)
}
STABLE = {
    "projector-dlq", "ingest-dlq", "bus-dlq", "iot-errors", "quarantine", "fanout-dlq",
    "ingest-queue-age", "projector-queue-age", "stream-iterator-age", "pipe-stopped",
    "appsync-down", "boot-regressed", "wrong-tile", "offline", "never-arrived", "replay",
    "is-it-over",
}  # fmt: skip
"""What alarms and log lines may name."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_runbook_parses(command: str):
    """Options and arguments are those of the real command, down to their types."""
    _, *arguments = shlex.split(command)
    group: Any = typer.main.get_command(app)
    context = group.make_context("latchline", arguments)
    while hasattr(group, "commands"):
        _, group, rest = group.resolve_command(context, list(arguments))
        context = group.make_context(group.name, list(rest), parent=context)
        arguments = rest
    assert context.params


def test_the_anchors_that_alarms_name_are_there():
    """Each symptom has its section, and the decision table leads to every one."""
    assert STABLE <= HEADINGS
    table = TEXT.split("## ")[0]
    assert set(re.findall(r"\(#([\w-]+)\)", table)) >= STABLE


def test_links_lead_somewhere():
    """Anchors of this page, files beside it, and the hint in the projector's log."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        file, _, anchor = target.partition("#")
        if file:
            assert (ROOT / "docs" / file).exists(), target
        else:
            assert anchor in HEADINGS, target
    assert RUNBOOK.split("#") == ["docs/operations.md", "boot-regressed"]
