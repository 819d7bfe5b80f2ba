"""The synthesized templates, deployed by CloudFormation into the emulator and asked over HTTP."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.deploy import deploy
from local.endpoint import Endpoint
from pipeline import items
from pipeline.contract import DoorEvent, Kind, Thing
from pipeline.merge import LockerPresence, Session
from tests.support.appsync_stack import MiniStack, ministack
from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

THING = Thing("maple-court", "l03")
PASSWORD = "Correct-horse-7-battery"
QUERY = """
query ($building: ID!) {
  building(buildingId: $building) {
    buildingId
    tiles { buildingId lockerId doorId version kind status open occupied fault at receivedAt
            queuedAt projectedAt trace }
    lockers { buildingId lockerId connected since reason revision receivedAt projectedAt }
    nextToken
  }
}
"""


def event(seq: int, fault: str | None = None) -> DoorEvent:
    return DoorEvent(
        thing=THING,
        door="d02",
        kind=Kind.OPENED,
        boot=1763625600,
        seq=seq,
        at="2026-11-20T10:00:00.042Z",
        open=True,
        occupied=False,
        fault=fault,
        received_at=1795168800123,
        trace="trace-1",
        client=str(THING),
        payload="{}",
    )


@dataclass(frozen=True)
class Deployment:
    emulator: MiniStack
    outputs: dict[str, str]

    def seed(self) -> None:
        """Items as the projector writes them: a tile, its history, a connected locker."""
        dynamodb = self.emulator.client("dynamodb")
        table = self.outputs["TableName"]
        for each in (event(1), event(2)):
            dynamodb.put_item(TableName=table, Item=items.history_item(each, days=90))
        dynamodb.update_item(
            TableName=table,
            **items.tile_update(event(2), queued_at=1795168800125, projected_at=1795168800130),
        )
        dynamodb.put_item(TableName=table, Item=self.locker)

    @property
    def locker(self) -> dict[str, Any]:
        return items.locker_item(
            THING,
            LockerPresence(Session(1795168000000, 1, "s1"), {}),
            revision=1,
            received_at=1795168000100,
            projected_at=1795168000200,
        )

    def token(self, *groups: str) -> str:
        """Access token of a new person in these groups."""
        cognito = self.emulator.client("cognito-idp")
        pool = self.outputs["UserPoolId"]
        email = f"{'-'.join(groups).replace(':', '-')}@example.com"
        cognito.admin_create_user(UserPoolId=pool, Username=email, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(
            UserPoolId=pool, Username=email, Password=PASSWORD, Permanent=True
        )
        for group in groups:
            if group != "operators":
                cognito.create_group(UserPoolId=pool, GroupName=group)
            cognito.admin_add_user_to_group(UserPoolId=pool, Username=email, GroupName=group)
        answer = cognito.admin_initiate_auth(
            UserPoolId=pool,
            ClientId=self.outputs["UserPoolClientId"],
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )
        return str(answer["AuthenticationResult"]["AccessToken"])

    def query(self, token: str, text: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.emulator.url}/v1/apis/{self.outputs['ApiId']}/graphql",
            data=json.dumps({"query": text, "variables": variables}).encode(),
            headers={"Authorization": token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: dict[str, Any] = json.load(answer)
        return body


@pytest.fixture(scope="module", params=["bus", "direct"])
def deployment(
    request: pytest.FixtureRequest,
    assemblies: dict[str, Assembly],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    folder: Path = tmp_path_factory.mktemp("emulator")
    with ministack(folder) as emulator:
        endpoint = Endpoint(emulator.url, emulator.access_key, emulator.secret_key)
        deployed = deploy(endpoint, assemblies[f"dev-{request.param}"].folder, lambda _: None)
        running = Deployment(emulator, dict(deployed.outputs))
        running.seed()
        yield running


def test_every_stack_is_complete_and_its_outputs_have_values(deployment: Deployment) -> None:
    """CloudFormation takes all but edge and observability, and what tools read is not empty."""
    stacks = deployment.emulator.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackStatus"] for stack in stacks} == {"CREATE_COMPLETE"}
    assert {stack["StackName"] for stack in stacks} == {
        f"latchline-dev-{layer}" for layer in ("data", "identity", "ingest", "fanout")
    }
    assert all(deployment.outputs.values())


def test_a_manager_reads_a_building(deployment: Deployment) -> None:
    """Through the deployed schema, resolver and data source, from the table."""
    token = deployment.token("building:maple-court")
    answer = deployment.query(token, QUERY, building="maple-court")
    assert "errors" not in answer, answer
    building = answer["data"]["building"]
    update = items.tile_update(event(2), queued_at=1795168800125, projected_at=1795168800130)
    values = update["ExpressionAttributeValues"]
    tile = items.graphql_tile({name.removeprefix(":"): value for name, value in values.items()})
    assert building == {
        "buildingId": "maple-court",
        "tiles": [tile],
        "lockers": [items.graphql_locker(deployment.locker)],
        "nextToken": None,
    }


def test_a_manager_of_another_building_is_refused(deployment: Deployment) -> None:
    """By the resolver, with nothing of the data."""
    token = deployment.token("building:birch-house")
    answer = deployment.query(token, QUERY, building="maple-court")
    assert answer["data"] is None
    assert {error["errorType"] for error in answer["errors"]} == {"Unauthorized"}
