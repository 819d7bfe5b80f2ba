"""`latchline smoke`: what one runs after a deployment, here against the laptop stack."""

from pathlib import Path

import pytest

from pipeline.items import building_pk
from simulators.target import Target
from tests.support.cli_stack import CliStack, latchline

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


def test_one_event_goes_through_and_leaves_nothing(stack: CliStack, target: Target):
    """Exit status 0 and the time it took; its building is gone from the table again."""
    done = stack.run("smoke")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: one event from the broker to a subscriber in ")
    rows = target.client("dynamodb").query(
        TableName=target.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": building_pk("readiness")}},
    )
    assert rows["Items"] == []


def test_no_stack_is_no_answer(tmp_path: Path):
    """Exit status 2: that is not the same as a path that is broken."""
    done = latchline("smoke", "--name", "nobody", home=tmp_path)
    assert done.returncode == 2
    assert "nobody" in done.stderr
