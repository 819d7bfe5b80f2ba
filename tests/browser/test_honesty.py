"""What the page shows when AppSync is down, loses a push or sends an old one again."""

import pytest
from playwright.async_api import expect

from local.people import Person
from tests.browser.visitor import PATIENCE_MS, Visitors
from tests.support.lockers import Lockers, now_ms
from tests.support.unreliable_gateway import UnreliableGateway
from tests.support.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_gateway_that_was_down_leaves_a_banner_and_then_the_truth(
    visitors: Visitors, lockers: Lockers, manager: Person, gateway: UnreliableGateway
):
    """The view says since when it may be stale, keeps what it had, and catches up by itself."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    await visitor.open_building(lockers.building, manager)
    await visitor.sees("l01", "d01", "vacant")
    gateway.go_down()
    await expect(visitor.stale).to_be_visible(timeout=PATIENCE_MS)
    await expect(visitor.stale).to_contain_text("out of date")
    device.send(device.controller.open("d01", now_ms()))
    await eventually(lambda: len(lockers.listener.acknowledged) > 0)
    await visitor.sees("l01", "d01", "vacant")
    gateway.come_back()
    await visitor.sees("l01", "d01", "open")
    await visitor.is_live()


async def test_a_push_that_was_lost_is_repaired_by_the_second_snapshot(
    visitors: Visitors, lockers: Lockers, manager: Person, gateway: UnreliableGateway
):
    """Just after the subscription began AppSync may lose one; nobody has to do anything."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    gateway.losing = True
    await visitor.open_building(lockers.building, manager)
    before = len(gateway.pushes)
    device.send(device.controller.open("d01", now_ms()))
    await eventually(lambda: len(gateway.pushes) > before)
    await visitor.sees("l01", "d01", "open")


async def test_a_push_that_was_lost_later_is_repaired_when_somebody_looks(
    visitors: Visitors, lockers: Lockers, manager: Person, gateway: UnreliableGateway
):
    """The page gets the focus, as when a person turns to its window."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    async with visitor.page.expect_response(is_second(gateway.graphql), timeout=PATIENCE_MS):
        await visitor.open_building(lockers.building, manager)
    gateway.losing = True
    before = len(gateway.pushes)
    device.send(device.controller.open("d01", now_ms()))
    await eventually(lambda: len(gateway.pushes) > before)

    async def repaired() -> bool:
        await visitor.page.evaluate("window.dispatchEvent(new Event('focus'))")
        return await visitor.tile("l01", "d01").get_attribute("data-status") == "open"

    await eventually(repaired)


def is_second(url: str):
    """The second snapshot, which comes a few seconds after the first one."""
    seen = 0

    def predicate(response) -> bool:
        nonlocal seen
        seen += response.url == url and response.request.method == "POST"
        return seen == 2

    return predicate


async def test_an_old_event_never_flips_a_tile_back(
    visitors: Visitors, lockers: Lockers, manager: Person, gateway: UnreliableGateway
):
    """Every push so far arrives once more, the oldest last; the tile stays at the newest."""
    device = await lockers.connect()
    visitor = await visitors.arrive(gateway=gateway)
    await visitor.open_building(lockers.building, manager)
    device.send(device.controller.open("d01", now_ms()))
    await visitor.sees("l01", "d01", "open")
    newest = device.controller.close("d01", now_ms())
    device.send(newest)
    await visitor.sees("l01", "d01", "vacant")
    assert newest is not None
    flips = await visitor.page.evaluate_handle(
        """() => {
          const seen = [];
          const tile = document.querySelector('[data-door="l01/d01"]');
          new MutationObserver(() => seen.push(tile.dataset.status))
            .observe(tile, { attributes: true, attributeFilter: ['data-status'] });
          return seen;
        }"""
    )
    for frame in reversed(gateway.pushes):
        await gateway.push(frame)
    device.send(device.controller.open("d02", now_ms()))
    await visitor.sees("l01", "d02", "open")  # so the old ones have been taken, too
    assert await flips.json_value() == []
    version = f"{newest.version:020d}"
    await expect(visitor.tile("l01", "d01")).to_have_attribute("data-version", version)
