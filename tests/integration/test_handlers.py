"""Lambda's entry points: settings from the environment, a cold start, a whole event, an answer."""

import runpy
from collections.abc import Iterator

import pytest

from infra.functions import TIMEOUT
from pipeline import fanout, projector
from pipeline.contract import Kind
from pipeline.deadline import MARGIN_S
from pipeline.settings import SettingsError
from tests.support.aws import REGION, TABLE, Aws
from tests.support.fanouts import tile
from tests.support.lambda_events import (
    Context,
    door_envelope,
    failed_ids,
    payload,
    sqs_event,
    stream_event,
)
from tests.support.mutation_server import MutationServer, mutation_server

pytestmark = pytest.mark.integration


@pytest.fixture
def appsync() -> Iterator[MutationServer]:
    with mutation_server() as server:
        yield server


@pytest.fixture
def environment(
    aws: Aws, appsync: MutationServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """What Lambda and the stacks set for both functions; nothing built before, nothing kept."""
    for name, value in {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "POWERTOOLS_SERVICE_NAME": "test",
        "TABLE_NAME": TABLE,
        "QUARANTINE_QUEUE_URL": aws.queue_url,
        "HISTORY_DAYS": "30",
        "GRAPHQL_URL": appsync.url,
        "FANOUT_DLQ_URL": aws.queue_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    projector._projector.cache_clear()
    fanout._fanout.cache_clear()
    yield monkeypatch
    projector._projector.cache_clear()
    fanout._fanout.cache_clear()


def opened() -> dict:
    return door_envelope(payload(open=True), kind=Kind.OPENED)


def test_the_projectors_handler(environment: pytest.MonkeyPatch, aws: Aws):
    """The first event builds the projector, later ones use it."""
    assert projector.handler(sqs_event([opened(), "not json"]), Context()) == {
        "batchItemFailures": []
    }
    tile = aws.tile()
    assert tile is not None
    assert tile["status"]["S"] == "open"
    assert len(aws.messages()) == 1
    built = projector._projector()
    assert failed_ids(projector.handler(sqs_event([opened()]), Context())) == []
    assert projector._projector() is built


def test_the_projectors_handler_keeps_the_margin(environment: pytest.MonkeyPatch, aws: Aws):
    """With no more than the margin left nothing is begun, and everything is named."""
    response = projector.handler(sqs_event([opened()]), Context(remaining_ms=1_000))
    assert failed_ids(response) == ["m0"]
    assert aws.tile() is None


def test_the_fanouts_handler(environment: pytest.MonkeyPatch, aws: Aws, appsync: MutationServer):
    """A tile is published, signed with the function's own role; poison is parked."""
    broken = {**tile(door="d09"), "at": {"N": "1"}}
    assert fanout.handler(stream_event([tile(), broken]), Context()) == {"batchItemFailures": []}
    (batch,) = appsync.batches()
    assert [each["doorId"] for each in batch["tiles"]] == ["d01"]
    (headers,) = appsync.headers
    assert "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert f"/{REGION}/appsync/aws4_request" in headers["authorization"]
    assert len(aws.messages()) == 1


def test_the_fanouts_handler_keeps_the_margin(
    environment: pytest.MonkeyPatch, appsync: MutationServer
):
    """With no more than the margin left nothing is sent."""
    response = fanout.handler(stream_event([tile()]), Context(remaining_ms=1_000))
    assert failed_ids(response) == ["100"]
    assert appsync.requests == []


def test_no_call_to_aws_outlasts_a_whole_invocation(environment: pytest.MonkeyPatch):
    """A thread that hangs is free again within the time of the batch after it."""
    for client in (
        projector._projector()._store._client,
        projector._projector()._quarantine._client,
        fanout._fanout()._parking._client,
    ):
        config = client.meta.config
        attempts = config.retries["total_max_attempts"]
        calls_s = attempts * (config.connect_timeout + config.read_timeout)
        # AWS: before attempt n + 1 the SDK's standard mode waits up to 2 to the n-1 seconds.
        pauses_s = sum(2**n for n in range(attempts - 1))
        assert calls_s + pauses_s <= TIMEOUT.to_seconds() - MARGIN_S


@pytest.mark.parametrize(
    ("module", "cache"), [(projector, "_projector"), (fanout, "_fanout")], ids=["p", "f"]
)
def test_a_cold_start_in_lambda_builds_before_the_first_event(
    environment: pytest.MonkeyPatch, module: object, cache: str
):
    """The import connects and validates, in the time in which AWS gives a whole CPU."""
    environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "latchline-test")
    cold = runpy.run_path(module.__file__)  # type: ignore[attr-defined]
    assert cold[cache].cache_info().currsize == 1
    assert cold["handler"]({"Records": []}, Context()) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("module", "variable"),
    [(projector, "TABLE_NAME"), (fanout, "GRAPHQL_URL")],
    ids=["p", "f"],
)
def test_a_cold_start_without_settings_fails_at_once(
    environment: pytest.MonkeyPatch, module: object, variable: str
):
    """A function set up wrongly takes no event off its queue, and says what it lacks."""
    environment.delenv(variable)
    environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "latchline-test")
    with pytest.raises(SettingsError, match=variable):
        runpy.run_path(module.__file__)  # type: ignore[attr-defined]
