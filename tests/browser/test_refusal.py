"""A manager sees the building of the group, and no other: in the page and past the page."""

import aiohttp
import pytest
from playwright.async_api import expect

from local.people import Person
from tests.browser.visitor import PATIENCE_MS, Visitors
from tests.support.appsync_client import connected, subprotocol
from tests.support.cli_stack import CliStack
from tests.support.lockers import Lockers

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]

OTHER = "somebody-elses"
QUERIES = (
    "query { building(buildingId: %s) { tiles { doorId } } }",
    'query { lockerHistory(buildingId: %s, lockerId: "l01") { items { doorId } } }',
)
FLEET = "subscription { onAttention(attention: true) { buildingId } }"
SUBSCRIPTION = "subscription { onTiles(buildingId: %s) { buildingId } }"


async def test_another_building_is_refused_in_the_page(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """By its address: it says so, names the group, and shows no door."""
    await lockers.connect()
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    await visitor.go(f"#/buildings/{OTHER}")
    refused = visitor.page.get_by_test_id("refused")
    await expect(refused).to_contain_text(f"building:{OTHER}", timeout=PATIENCE_MS)
    await expect(visitor.page.locator("[data-door]")).to_have_count(0)
    await visitor.go(f"#/buildings/{lockers.building}")
    await visitor.is_live()


async def test_another_building_is_refused_when_asked_for_by_hand(
    visitors: Visitors, lockers: Lockers, manager: Person, stack: CliStack
):
    """With the very token that the page has, over GraphQL and over WebSocket."""
    await lockers.connect()
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    token = await visitor.token()
    url = stack.info["graphql"]["http"]
    host = url.split("/")[2]
    async with aiohttp.ClientSession(headers={"Authorization": token}) as session:
        for query in QUERIES:
            for building, allowed in ((lockers.building, True), (OTHER, False)):
                async with session.post(url, json={"query": query % f'"{building}"'}) as answer:
                    body = await answer.json()
                kinds = {error["errorType"] for error in body.get("errors", [])}
                assert kinds == (set() if allowed else {"Unauthorized"}), (query, building)
                assert (body["data"] is None) is not allowed, (query, building)
    authorization = {"host": host, "Authorization": token}
    protocols = ("graphql-ws", subprotocol(authorization))
    async with connected(int(host.split(":")[1]), None, protocols=protocols) as client:
        await client.send(type="connection_init")
        assert (await client.receive())["type"] == "connection_ack"
        for number, (building, expected) in enumerate(
            ((lockers.building, "start_ack"), (OTHER, "error"))
        ):
            query = SUBSCRIPTION % f'"{building}"'
            await client.start(str(number), query, credentials=token, host=host)
            frame = await client.receive()
            assert (frame["id"], frame["type"]) == (str(number), expected), frame
        await client.start("fleet", FLEET, credentials=token, host=host)
        frame = await client.receive()
        assert (frame["id"], frame["type"]) == ("fleet", "error"), "it is for operators"


async def test_without_a_session_every_address_asks_to_sign_in(visitors: Visitors):
    """And nothing of a building is loaded before."""
    visitor = await visitors.arrive()
    for route in ("#/", "#/buildings/maple-court", "#/attention"):
        await visitor.go(route)
        await expect(visitor.page.get_by_label("Email")).to_be_visible()
        await expect(visitor.page.locator("[data-door]")).to_have_count(0)
