"""From a real MQTT publish to a real subscription, over everything in between."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from gql import gql
from gql.transport.appsync_auth import AppSyncJWTAuthentication
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.exceptions import TransportQueryError

from pipeline.contract import Kind, Thing, TileStatus
from simulators.controller import Emission
from simulators.observation import SeenTile
from simulators.target import Target
from simulators.viewer import Viewer
from tests.support.cli_stack import CliStack
from tests.support.lockers import Lockers, now_ms, publish_raw
from tests.support.wait import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


def watching(target: Target, building: str) -> Viewer:
    return Viewer(target, [building])


def shows(
    viewer: Viewer, thing: Thing, door: str, status: TileStatus
) -> Callable[[], SeenTile | None]:
    """The tile, once it has this status."""

    def look() -> SeenTile | None:
        tile = viewer.picture.tiles.get((thing, door))
        return tile if tile is not None and tile.status is status else None

    return look


async def test_an_opened_door_flips_its_tile(target: Target, lockers: Lockers):
    """A door opens, and a subscriber sees it, with the time of every hop in order."""
    device = await lockers.connect()
    async with watching(target, lockers.building) as viewer:
        device.send(device.controller.open("d01", now_ms()))
        tile = await eventually(shows(viewer, device.thing, "d01", TileStatus.OPEN))
        assert tile.kind is Kind.OPENED
        assert tile.queued_at is not None
        assert tile.received_at <= tile.queued_at <= tile.projected_at <= now_ms()
        device.controller.place("d01")
        device.send(device.controller.close("d01", now_ms()))
        await eventually(shows(viewer, device.thing, "d01", TileStatus.OCCUPIED))


async def test_a_snapshot_holds_its_building_and_nothing_else(target: Target, lockers: Lockers):
    """Who comes later sees all doors, however much else the table holds."""
    table = target.session.resource("dynamodb", endpoint_url=target.endpoint_url).Table(
        target.table
    )
    with table.batch_writer() as writer:
        for number in range(150):
            writer.put_item(Item={"pk": "BUILDING#a-crowd", "sk": f"STRANGER#{number:03d}"})
    device = await lockers.connect()
    async with watching(target, lockers.building) as first:
        device.send(device.controller.open("d01", now_ms()))
        await eventually(shows(first, device.thing, "d01", TileStatus.OPEN))
    async with watching(target, lockers.building) as second:
        await eventually(shows(second, device.thing, "d01", TileStatus.OPEN))
        await eventually(shows(second, device.thing, "d02", TileStatus.VACANT))
        assert {thing for thing, _ in second.picture.tiles} == {device.thing}


async def test_duplicates_and_reordering_end_in_the_right_tile(target: Target, lockers: Lockers):
    """Old events published last, and all of them twice: the tile is the newest."""
    device = await lockers.connect()
    emissions: list[Emission] = []
    for _ in range(6):
        for verb in (device.controller.open, device.controller.close):
            emission = verb("d01", now_ms())
            assert emission is not None
            emissions.append(emission)
    last = emissions[-1]
    async with watching(target, lockers.building) as viewer:
        for emission in [last, *reversed(emissions), *emissions[:-1]]:
            code = await publish_raw(device, "d01", emission.kind, emission.payload())
            assert code == 0
        await eventually(lambda: history(target, device.thing) >= {e.version for e in emissions})
        await eventually(lambda: seen_version(viewer, device.thing, "d01") == last.version)
        await eventually(shows(viewer, device.thing, "d01", TileStatus.VACANT))
    assert stored_tile(target, device.thing, "d01")["version"] == f"{last.version:020d}"


def seen_version(viewer: Viewer, thing: Thing, door: str) -> int | None:
    """Version of the tile that the viewer shows now."""
    tile = viewer.picture.tiles.get((thing, door))
    return tile and tile.order


def history(target: Target, thing: Thing) -> set[int]:
    """Versions on record for a locker."""
    table = target.session.resource("dynamodb", endpoint_url=target.endpoint_url).Table(
        target.table
    )
    from boto3.dynamodb.conditions import Key

    found = table.query(KeyConditionExpression=Key("pk").eq(f"LOCKER#{thing}"))["Items"]
    return {int(item["version"]) for item in found}


def stored_tile(target: Target, thing: Thing, door: str) -> dict[str, Any]:
    table = target.session.resource("dynamodb", endpoint_url=target.endpoint_url).Table(
        target.table
    )
    key = {"pk": f"BUILDING#{thing.building}", "sk": f"TILE#{thing.locker}#{door}"}
    found: dict[str, Any] = table.get_item(Key=key).get("Item", {})
    return found


async def test_poison_waits_in_quarantine_while_its_neighbours_pass(
    target: Target, lockers: Lockers
):
    """Bytes that are no event are parked with their reason; the events around them flip tiles."""
    device = await lockers.connect()
    bad = {
        b"door open!": "payload_not_json",
        b"\x00\xff\xfe": "payload_not_utf8",
        b'{"schema": 7}': "schema_unknown",
        b"x" * 1500: "payload_too_large",
    }
    async with watching(target, lockers.building) as viewer:
        for payload in bad:
            assert await publish_raw(device, "d01", Kind.OPENED, payload) == 0
        device.send(device.controller.open("d02", now_ms()))
        await eventually(shows(viewer, device.thing, "d02", TileStatus.OPEN))
        found: dict[bytes, str] = {}
        await eventually(lambda: quarantined(target, device.thing, found) == bad)


def quarantined(target: Target, thing: Thing, found: dict[bytes, str]) -> dict[bytes, str]:
    """Add what is parked for a locker, payload to reason; nothing is consumed."""
    answer = target.client("sqs").receive_message(
        QueueUrl=target.queues["quarantine"],
        MaxNumberOfMessages=10,
        VisibilityTimeout=1,
        MessageAttributeNames=["All"],
    )
    for message in answer.get("Messages", []):
        envelope = json.loads(message["Body"])
        if envelope.get("thing") == str(thing):
            reason = message["MessageAttributes"]["reason"]["StringValue"]
            found[base64.b64decode(envelope["payload"])] = reason
    return found


async def test_a_locker_that_drops_off_goes_offline_and_comes_back(
    target: Target, lockers: Lockers
):
    """Presence greys the locker of a lost connection, and its return revives it."""
    device = await lockers.connect()
    async with watching(target, lockers.building) as viewer:

        def connected(expected: bool) -> Callable[[], bool]:
            def look() -> bool:
                locker = viewer.picture.lockers.get(device.thing)
                return locker is not None and locker.connected is expected

            return look

        await eventually(connected(True))
        await device.disconnect()
        await eventually(connected(False))
        device.connect()
        await eventually(connected(True))
        await eventually(shows(viewer, device.thing, "d01", TileStatus.VACANT))


async def test_a_device_cannot_publish_for_another_locker(target: Target, lockers: Lockers):
    """The broker refuses a foreign topic; no tile of the other locker appears."""
    device = await lockers.connect("l01")
    victim = Thing(lockers.building, "l02")
    emission = device.controller.open("d01", now_ms())
    assert emission is not None
    with pytest.raises(Exception, match=r"(?i)disconnect|not.?authorized|hangup|failed"):  # noqa: PT012
        code = await publish_raw(device, "d01", Kind.OPENED, emission.payload(), thing=victim)
        assert code >= 0x80, f"failed to refuse: {code}"
        raise PermissionError("not authorized")
    own = await lockers.connect("l03")
    async with watching(target, lockers.building) as viewer:
        own.send(own.controller.open("d01", now_ms()))
        await eventually(shows(viewer, own.thing, "d01", TileStatus.OPEN))
        assert (victim, "d01") not in viewer.picture.tiles


async def test_appsync_down_for_a_while_loses_nothing(target: Target, lockers: Lockers):
    """The fan-out cannot reach AppSync; when it can again, the tiles arrive by push alone."""
    device = await lockers.connect()
    functions = target.client("lambda")
    name = "latchline-dev-fanout"
    held = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    async with watching(target, lockers.building) as viewer:
        await eventually(shows(viewer, device.thing, "d01", TileStatus.VACANT))
        gone = {**held, "HTTP_PROXY": "http://127.0.0.1:9"}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": gone})
        try:
            pushes = viewer.counters.tiles
            device.send(device.controller.open("d01", now_ms()))
            device.send(device.controller.open("d02", now_ms()))
            await eventually(lambda: stored_status(target, device.thing, "d02") == "open")
            assert viewer.counters.tiles == pushes
        finally:
            functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": held}
            )
        await eventually(shows(viewer, device.thing, "d01", TileStatus.OPEN), timeout_s=60)
        await eventually(shows(viewer, device.thing, "d02", TileStatus.OPEN), timeout_s=60)
        assert viewer.counters.tiles > pushes


def stored_status(target: Target, thing: Thing, door: str) -> str:
    return str(stored_tile(target, thing, door).get("status"))


SUBSCRIBE = gql("subscription On($b: ID!) { onTiles(buildingId: $b) { buildingId } }")


async def test_a_manager_cannot_subscribe_to_another_building(stack: CliStack, lockers: Lockers):
    """The group of a building opens that building and no other."""
    token = await asyncio.to_thread(manager_token, stack, lockers.building)
    host = stack.info["graphql"]["http"].split("/")[2]
    for building, allowed in ((lockers.building, True), ("somewhere-else", False)):
        transport = AppSyncWebsocketsTransport(
            stack.info["graphql"]["realtime"], auth=AppSyncJWTAuthentication(host=host, jwt=token)
        )
        await transport.connect()
        try:
            request = SUBSCRIBE
            request.variable_values = {"b": building}
            stream = transport.subscribe(request)
            if allowed:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 2)
            else:
                answer = await _first_or_error(stream)
                assert "Unauthorized" in answer
        finally:
            await transport.close()


async def _first_or_error(stream: Any) -> str:
    try:
        result = await asyncio.wait_for(anext(stream), 10)
    except TransportQueryError as error:
        return str(error)
    return str(result.errors)


def manager_token(stack: CliStack, building: str) -> str:
    """Sign in as a manager of one building, made for the test."""
    target = Target.from_info(stack.info)
    cognito = target.client("cognito-idp")
    pool, client = stack.info["cognito"]["user_pool_id"], stack.info["cognito"]["client_id"]
    email, password = f"manager-{building}@example.com", f"Aa1!{building}"
    cognito.create_group(UserPoolId=pool, GroupName=f"building:{building}")
    cognito.admin_create_user(UserPoolId=pool, Username=email, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=password, Permanent=True
    )
    cognito.admin_add_user_to_group(
        UserPoolId=pool, Username=email, GroupName=f"building:{building}"
    )
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    return str(answer["AuthenticationResult"]["AccessToken"])
