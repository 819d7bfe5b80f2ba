"""What holds for every asynchronous edge of every template, whatever it is called.

These are invariants and not a copy of the stacks: a queue, mapping, rule or pipe that is added
tomorrow is held to them too.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.templates import Assembly, Resource

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

FOURTEEN_DAYS_S = 14 * 24 * 3600
QUEUE = "AWS::SQS::Queue"
MAPPING = "AWS::Lambda::EventSourceMapping"


def sqs_mappings(assembly: Assembly) -> Iterator[tuple[Resource, Resource, Resource]]:
    """(mapping, its queue, its function)."""
    for mapping in assembly.resources(MAPPING):
        source = mapping.properties["EventSourceArn"]
        if "Fn::GetAtt" in source and mapping.referred(source).type == QUEUE:
            function = mapping.referred(mapping.properties["FunctionName"])
            yield mapping, mapping.referred(source), function


def stream_mappings(assembly: Assembly) -> list[Resource]:
    of_queues = {mapping.id for mapping, _, _ in sqs_mappings(assembly)}
    return [each for each in assembly.resources(MAPPING) if each.id not in of_queues]


def pipes(assembly: Assembly) -> Iterator[tuple[Resource, Resource]]:
    """(pipe, its source queue)."""
    for pipe in assembly.resources("AWS::Pipes::Pipe"):
        yield pipe, pipe.referred(pipe.properties["Source"])


def source_queues(assembly: Assembly) -> dict[str, Resource]:
    """Queues that a machine empties."""
    queues = [queue for _, queue, _ in sqs_mappings(assembly)]
    queues += [queue for _, queue in pipes(assembly)]
    return {queue.id: queue for queue in queues}


def is_dead_letter_queue(queue: Resource) -> bool:
    retention = queue.properties.get("MessageRetentionPeriod", 0)
    return queue.type == QUEUE and int(retention) >= FOURTEEN_DAYS_S


def test_every_kind_of_edge_is_there(assembly: Assembly) -> None:
    """The other tests are not vacuous: one queue mapping, one stream mapping, one pipe."""
    assert len(list(sqs_mappings(assembly))) == 1
    assert len(stream_mappings(assembly)) == 1
    assert len(list(pipes(assembly))) == 1
    assert len(source_queues(assembly)) == 2


def test_a_message_stays_invisible_for_six_function_timeouts(assembly: Assembly) -> None:
    """AWS: less, and a batch that is still being worked on is delivered again."""
    for mapping, queue, function in sqs_mappings(assembly):
        visibility = queue.properties["VisibilityTimeout"]
        assert visibility >= 6 * function.properties["Timeout"], mapping


def test_a_source_queue_has_a_dead_letter_queue_after_five_receives_or_more(
    assembly: Assembly,
) -> None:
    """AWS: fewer, and throttled receives alone end there."""
    for queue in source_queues(assembly).values():
        redrive = queue.properties["RedrivePolicy"]
        assert redrive["maxReceiveCount"] >= 5, queue
        assert is_dead_letter_queue(queue.referred(redrive["deadLetterTargetArn"])), queue


def test_every_other_queue_keeps_its_messages_for_fourteen_days(assembly: Assembly) -> None:
    """Whatever no machine empties waits for a person."""
    sources = source_queues(assembly)
    for queue in assembly.resources(QUEUE):
        assert queue.id in sources or is_dead_letter_queue(queue), queue


def test_a_message_reaches_its_dead_letter_queue_with_days_to_live(assembly: Assembly) -> None:
    """AWS: it keeps its age when SQS moves it."""
    for queue in source_queues(assembly).values():
        assert queue.properties["MessageRetentionPeriod"] <= FOURTEEN_DAYS_S // 2, queue


def test_every_mapping_reports_single_failures(assembly: Assembly) -> None:
    """Else one bad record costs its neighbours a retry."""
    for mapping in assembly.resources(MAPPING):
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], mapping


def test_nothing_waits_for_a_batch_to_fill(assembly: Assembly) -> None:
    """A batching window is latency on the hot path."""
    for mapping in assembly.resources(MAPPING):
        assert not mapping.properties.get("MaximumBatchingWindowInSeconds"), mapping
    for pipe, _ in pipes(assembly):
        parameters = pipe.properties["SourceParameters"]["SqsQueueParameters"]
        assert not parameters.get("MaximumBatchingWindowInSeconds"), pipe
    for queue in assembly.resources(QUEUE):
        assert not queue.properties.get("DelaySeconds"), queue


def test_a_stream_mapping_gives_up_in_bounds_and_says_what(assembly: Assembly) -> None:
    """AWS's defaults let one bad record block its shard for a day, and then lose it."""
    for mapping in stream_mappings(assembly):
        properties = mapping.properties
        assert 1 <= properties["MaximumRetryAttempts"] <= 20, mapping
        assert 60 <= properties["MaximumRecordAgeInSeconds"] <= 6 * 3600, mapping
        assert properties["BisectBatchOnFunctionError"] is True, mapping
        destination = properties["DestinationConfig"]["OnFailure"]["Destination"]
        assert is_dead_letter_queue(mapping.referred(destination)), mapping


def test_a_stream_mapping_begins_at_the_beginning_and_filters(assembly: Assembly) -> None:
    """AWS: LATEST may miss records; without a filter history would invoke the fan-out, too."""
    for mapping in stream_mappings(assembly):
        assert mapping.properties["StartingPosition"] == "TRIM_HORIZON", mapping
        (only,) = mapping.properties["FilterCriteria"]["Filters"]
        assert '"entity": {"S": ["TILE", "LOCKER"]}' in only["Pattern"], mapping


def test_every_iot_rule_has_an_error_action_to_a_dead_letter_queue(assembly: Assembly) -> None:
    """AWS: without one, a message that no action took is gone."""
    rules = list(assembly.resources("AWS::IoT::TopicRule"))
    assert len(rules) == 2
    for rule in rules:
        error_action = rule.properties["TopicRulePayload"]["ErrorAction"]
        assert is_dead_letter_queue(rule.referred(error_action["Sqs"]["QueueUrl"])), rule


def test_every_bus_target_retries_in_bounds_then_dead_letters(assembly: Assembly) -> None:
    """AWS: without a queue of its own, an event that was not delivered within a day is gone."""
    for rule in assembly.resources("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            assert is_dead_letter_queue(rule.referred(target["DeadLetterConfig"]["Arn"])), rule
            assert 1 <= target["RetryPolicy"]["MaximumRetryAttempts"] <= 185, rule
            assert 60 <= target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 86_400, rule


def queue_statements(assembly: Assembly) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for policy in assembly.resources("AWS::SQS::QueuePolicy"):
        for reference in policy.properties["Queues"]:
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                yield policy.referred(reference), statement


def test_every_queue_is_encrypted_and_refuses_plain_http(assembly: Assembly) -> None:
    """At rest by SQS's own key; in flight because the policy denies all else."""
    closed = {
        queue.id
        for queue, statement in queue_statements(assembly)
        if statement["Effect"] == "Deny"
        and statement["Action"] == "sqs:*"
        and statement["Principal"] == {"AWS": "*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        and queue.referred(statement["Resource"]).id == queue.id
    }
    for queue in assembly.resources(QUEUE):
        assert queue.id in closed, queue
        assert queue.properties["SqsManagedSseEnabled"] is True, queue


def test_a_queue_opens_to_a_service_for_one_rule_only(assembly: Assembly) -> None:
    """EventBridge may send on behalf of our rule: to its target and to its dead-letter queue."""
    opened: dict[str, set[str]] = {}
    for queue, statement in queue_statements(assembly):
        if statement["Effect"] == "Allow":
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}, queue
            rule = queue.referred(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
            opened.setdefault(rule.id, set()).add(queue.id)
    for rule in assembly.resources("AWS::Events::Rule"):
        (target,) = rule.properties["Targets"]
        ends = {rule.referred(arn).id for arn in (target["Arn"], target["DeadLetterConfig"]["Arn"])}
        assert opened[rule.id] == ends, rule
