"""Two stages in one account and region: nothing of one is in the way of the other."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.adapters.plain_http import allow_plain_http
from local.deploy import deploy
from local.endpoint import Endpoint
from tests.support.appsync_stack import MiniStack, ministack
from tests.support.lambda_events import door_envelope, payload, sqs_event
from tests.support.templates import Assembly
from tests.support.wait import wait_for

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

STAGES = ("dev", "prod")
BUILDINGS = {"oak-lane": "dev", "elm-lane": "prod"}
"""Each stage's own."""


@pytest.fixture(scope="module")
def account(
    assemblies: dict[str, Assembly], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MiniStack, dict[str, dict[str, str]]]]:
    """An account with both stages, and their outputs by stage.

    Without the pipe, which the emulator leaves to the supervisor, events go all the way by
    themselves.
    """
    with ministack(tmp_path_factory.mktemp("account")) as emulator:
        endpoint = Endpoint(emulator.url, emulator.access_key, emulator.secret_key)
        outputs = {
            stage: dict(
                deploy(endpoint, assemblies[f"{stage}-direct"].folder, lambda _: None).outputs
            )
            for stage in STAGES
        }
        allow_plain_http(endpoint)
        yield emulator, outputs


def test_both_are_complete_and_share_no_resource(
    account: tuple[MiniStack, dict[str, dict[str, str]]],
) -> None:
    """Eight stacks; no output of one stage is that of the other."""
    emulator, outputs = account
    stacks = emulator.client("cloudformation").describe_stacks()["Stacks"]
    assert {each["StackStatus"] for each in stacks} == {"CREATE_COMPLETE"}
    assert len(stacks) == 8
    assert set(outputs["dev"]) == set(outputs["prod"])
    assert not set(outputs["dev"].values()) & set(outputs["prod"].values())


def test_each_projects_into_its_own_table(
    account: tuple[MiniStack, dict[str, dict[str, str]]],
) -> None:
    """The functions of both run at once, with their own roles, on their own tables."""
    emulator, outputs = account
    functions, dynamodb = emulator.client("lambda"), emulator.client("dynamodb")
    for door, stage in enumerate(STAGES):
        body = payload(boot=int(time.time()), seq=1, open=True)
        event = sqs_event([door_envelope(body, door=f"d{door:02}")])
        answer = functions.invoke(
            FunctionName=outputs[stage]["ProjectorFunctionName"], Payload=json.dumps(event)
        )
        assert json.load(answer["Payload"]) == {"batchItemFailures": []}
    for door, stage in enumerate(STAGES):
        found = dynamodb.scan(TableName=outputs[stage]["TableName"])["Items"]
        assert doors(found) == {f"d{door:02}"}


def test_an_event_ends_in_the_table_of_its_stage(
    account: tuple[MiniStack, dict[str, dict[str, str]]],
) -> None:
    """Both running: published to one stage's rule, through its queue and function, to its table."""
    emulator, outputs = account
    broker, dynamodb = emulator.client("iot-data"), emulator.client("dynamodb")
    for building, stage in BUILDINGS.items():
        rule = outputs[stage]["DoorRuleName"]
        topic = f"$aws/rules/{rule}/lockers/v1/{building}:l01/doors/d01/opened"
        body = payload(boot=int(time.time()), seq=1, open=True)
        broker.publish(topic=topic, qos=1, payload=json.dumps(body))

    def tiles(stage: str) -> set[str]:
        found = dynamodb.scan(TableName=outputs[stage]["TableName"])["Items"]
        return {item["pk"]["S"].removeprefix("BUILDING#") for item in found} & set(BUILDINGS)

    for building, stage in BUILDINGS.items():
        wait_for(lambda stage=stage: tiles(stage), timeout_s=60, what=f"an event of {stage}")
        assert tiles(stage) == {building}


def doors(found: list[dict[str, Any]]) -> set[str]:
    return {item["sk"]["S"].split("#")[2] for item in found if item["sk"]["S"].startswith("TILE#")}
