"""Settings: read once, and a fault names variable and value."""

import pytest

from pipeline.deadline import Deadline
from pipeline.settings import FanoutSettings, ProjectorSettings, SettingsError
from tests.support.lambda_events import Context

pytestmark = pytest.mark.unit

GOOD = {"TABLE_NAME": "latchline-dev", "QUARANTINE_QUEUE_URL": "https://sqs.example/1/q"}


def test_settings_are_read_from_the_environment():
    """A field is the variable of the same name in capitals; others are ignored."""
    settings = ProjectorSettings.read({**GOOD, "HISTORY_DAYS": "30", "PATH": "/bin"})
    assert (settings.table_name, settings.history_days) == ("latchline-dev", 30)


def test_every_fault_is_named_at_once():
    """Whoever set a function up wrongly learns all of it from one message."""
    with pytest.raises(SettingsError) as caught:
        ProjectorSettings.read({"QUARANTINE_QUEUE_URL": "queue", "HISTORY_DAYS": "forever"})
    for words in ("TABLE_NAME=(unset)", "QUARANTINE_QUEUE_URL=queue", "HISTORY_DAYS=forever"):
        assert words in str(caught.value)


def test_fanout_settings_want_a_url():
    """A GraphQL endpoint without scheme and path is refused at cold start."""
    with pytest.raises(SettingsError, match=r"GRAPHQL_URL=api\.example"):
        FanoutSettings.read(
            {"GRAPHQL_URL": "api.example", "FANOUT_DLQ_URL": "https://a/b", "AWS_REGION": "x"}
        )


def test_the_deadline_keeps_a_margin():
    """Work ends two seconds before the function's time does."""
    assert 17.5 < Deadline.of(Context(20_000)).remaining_s <= 18.0
    assert Deadline.of(Context(1_500)).passed
