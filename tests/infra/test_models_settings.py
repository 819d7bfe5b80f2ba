"""What the cost and capacity models count with is what the templates deploy."""

import pytest

from models import design
from models.figures import quotas
from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]


def test_the_models_count_with_the_deployed_settings(assembly: Assembly):
    """Batches, lanes, memory, retention: a change in a stack must reach the bill."""
    queue = assembly.only("AWS::Lambda::EventSourceMapping", "Projector").properties
    stream = assembly.only("AWS::Lambda::EventSourceMapping", "Fanout").properties
    pipe = assembly.only("AWS::Pipes::Pipe").properties["SourceParameters"]["SqsQueueParameters"]
    assert queue["BatchSize"] == pipe["BatchSize"] == design.SQS_BATCH
    assert stream["BatchSize"] == design.STREAM_BATCH
    assert stream["ParallelizationFactor"] == design.PARALLELIZATION
    concurrency = quotas()["projector_concurrency"].value
    assert queue["ScalingConfig"]["MaximumConcurrency"] == concurrency
    for part in ("Projector", "Fanout"):
        function = assembly.only("AWS::Lambda::Function", f"{part}Function").properties
        assert function["MemorySize"] == design.MEMORY_MB
    archive = assembly.only("AWS::Events::Archive").properties
    assert archive["RetentionDays"] == design.HISTORY_DAYS
    assert sum(1 for _ in assembly.resources("AWS::CloudWatch::Alarm")) == design.ALARMS
    assembly.only("AWS::CloudWatch::CompositeAlarm")
    assembly.only("AWS::CloudWatch::Dashboard")
