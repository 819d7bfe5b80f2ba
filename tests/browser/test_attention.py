"""The operators' attention list: live over the whole fleet, and honest when it may not be."""

import pytest
from playwright.async_api import Locator, expect

from local.people import Person
from tests.browser.visitor import PATIENCE_MS, Visitor, Visitors
from tests.support.lockers import Lockers, now_ms
from tests.support.unreliable_gateway import UnreliableGateway

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def open_list(visitor: Visitor, operator: Person) -> None:
    """Sign in, and wait until the list is live."""
    await visitor.page.goto(f"{visitor.url}#/attention")
    await visitor.sign_in(operator)
    await visitor.is_live()


def entry(visitor: Visitor, section: str, place: str) -> Locator:
    """A door (`<building>:<locker>/<door>`) or a locker (without a door) in a section."""
    return visitor.page.locator(f'[data-attention="{section}"] [data-entry="{place}"]')


async def shown(visitor: Visitor, section: str, place: str, *, is_there: bool = True) -> None:
    count = 1 if is_there else 0
    await expect(entry(visitor, section, place)).to_have_count(count, timeout=PATIENCE_MS)


async def test_a_door_anywhere_comes_and_goes_by_itself(
    visitors: Visitors, lockers: Lockers, operator: Person
):
    """Forced, then faulty, then closed, in a building that had nothing on the list: no reload."""
    visitor = await visitors.arrive()
    await open_list(visitor, operator)
    device = await lockers.connect()
    place = f"{lockers.building}:l01/d01"
    requests: list[str] = []
    visitor.page.on("request", lambda request: requests.append(request.post_data or ""))
    device.send(device.controller.force("d01", now_ms()))
    await shown(visitor, "forced", place)
    device.send(device.controller.fail("d01", "jammed", now_ms()))
    await shown(visitor, "fault", place)
    await shown(visitor, "forced", place, is_there=False)
    await expect(entry(visitor, "fault", place)).to_contain_text("jammed")
    device.send(device.controller.clear("d01", now_ms()))
    device.send(device.controller.close("d01", now_ms()))
    await shown(visitor, "fault", place, is_there=False)
    # The second snapshot, of three sections, and nothing that could be called polling.
    assert len(requests) <= 3
    await visitor.is_live()


async def test_a_locker_anywhere_that_drops_off_is_listed_until_it_is_back(
    visitors: Visitors, lockers: Lockers, operator: Person
):
    """Without a reload; its neighbour is not listed."""
    device = await lockers.connect("l01")
    await lockers.connect("l02")
    visitor = await visitors.arrive()
    await open_list(visitor, operator)
    await device.disconnect()
    await shown(visitor, "offline", f"{lockers.building}:l01/")
    await shown(visitor, "offline", f"{lockers.building}:l02/", is_there=False)
    device.connect()
    await shown(visitor, "offline", f"{lockers.building}:l01/", is_there=False)


async def test_an_operator_is_told_when_the_list_may_be_stale(
    visitors: Visitors, lockers: Lockers, operator: Person, gateway: UnreliableGateway
):
    """The gateway goes down: the banner, what was known stays; back again: what was missed."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    await open_list(visitor, operator)
    device.send(device.controller.force("d01", now_ms()))
    await shown(visitor, "forced", f"{lockers.building}:l01/d01")
    gateway.go_down()
    await expect(visitor.stale).to_contain_text("out of date", timeout=PATIENCE_MS)
    device.send(device.controller.close("d01", now_ms()))
    device.send(device.controller.force("d02", now_ms()))
    await shown(visitor, "forced", f"{lockers.building}:l01/d01")
    gateway.come_back()
    await shown(visitor, "forced", f"{lockers.building}:l01/d02")
    await shown(visitor, "forced", f"{lockers.building}:l01/d01", is_there=False)
    await visitor.is_live()


async def test_a_push_that_was_lost_is_repaired(
    visitors: Visitors, lockers: Lockers, operator: Person, gateway: UnreliableGateway
):
    """By the snapshot that comes when somebody looks, or a few seconds after the first."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    gateway.losing = True
    await open_list(visitor, operator)
    device.send(device.controller.force("d01", now_ms()))
    await shown(visitor, "forced", f"{lockers.building}:l01/d01")
