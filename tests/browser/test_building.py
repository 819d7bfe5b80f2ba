"""A manager's building in a real browser, from a locker's MQTT publish to the painted tile."""

import asyncio

import pytest
from playwright.async_api import expect

from local.people import Person
from tests.browser.visitor import PATIENCE_MS, Visitors
from tests.support.lockers import Lockers, now_ms

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_manager_signs_in_and_sees_the_one_building(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """A wrong password is told and nothing is shown; the right one leads to the building."""
    await lockers.connect("l01", ("d01", "d02"))
    visitor = await visitors.arrive()
    await visitor.sign_in(manager, password="Wrong-password-1")
    alert = visitor.page.get_by_role("alert").filter(has_text="Email or password is wrong")
    await expect(alert).to_be_visible(timeout=PATIENCE_MS)
    await expect(visitor.page.locator("[data-door]")).to_have_count(0)
    await visitor.sign_in(manager)
    await visitor.is_live()
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text(lockers.building)
    await visitor.sees("l01", "d01", "vacant")
    await visitor.sees("l01", "d02", "vacant")
    await visitor.page.reload()
    await visitor.is_live()


async def test_an_opened_door_flips_its_tile_and_tells_when_it_was_painted(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """Open, then closed upon a parcel; each version has a mark once it is on the screen."""
    device = await lockers.connect()
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    opened = device.controller.open("d01", now_ms())
    device.send(opened)
    await visitor.sees("l01", "d01", "open")
    await visitor.sees("l01", "d02", "vacant")
    assert opened is not None
    version = f"{opened.version:020d}"
    await expect(visitor.tile("l01", "d01")).to_have_attribute("data-version", version)
    painted = await visitor.page.wait_for_function(
        "name => { const [mark] = performance.getEntriesByName(name, 'mark');"
        " return mark && performance.timeOrigin + mark.startTime; }",
        arg=f"tile:l01/d01:{version}",
    )
    assert opened.at_ms <= await painted.json_value() <= now_ms()
    device.controller.place("d01")
    device.send(device.controller.close("d01", now_ms()))
    await visitor.sees("l01", "d01", "occupied")


async def test_a_door_that_needs_somebody_is_listed(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """A forced and a faulty door stand out, with the words for it and the way to the history."""
    device = await lockers.connect()
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    device.send(device.controller.force("d01", now_ms()))
    device.send(device.controller.fail("d02", "jammed", now_ms()))
    await visitor.sees("l01", "d01", "forced")
    await visitor.sees("l01", "d02", "fault")
    listed = visitor.page.locator("[data-concern]")
    await expect(listed).to_have_count(2, timeout=PATIENCE_MS)
    await expect(listed.nth(0)).to_contain_text("l01")


async def test_a_locker_that_drops_off_is_greyed_and_comes_back(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """All of its doors, with since when; its neighbour stays as it is."""
    device = await lockers.connect("l01")
    await lockers.connect("l02")
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    locker = visitor.page.locator('[data-locker="l01"]')
    await expect(locker).to_have_attribute("data-online", "true", timeout=PATIENCE_MS)
    await device.disconnect()
    await expect(locker).to_have_attribute("data-online", "false", timeout=PATIENCE_MS)
    await visitor.sees("l01", "d01", "offline")
    await expect(locker).to_contain_text("offline since")
    await visitor.sees("l02", "d01", "vacant")
    device.connect()
    await expect(locker).to_have_attribute("data-online", "true", timeout=PATIENCE_MS)
    await visitor.sees("l01", "d01", "vacant")


async def test_the_history_of_a_locker_is_paged_and_filtered(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """More events than a page holds come when asked for; a filter looks for its events itself."""
    device = await lockers.connect()
    device.send(device.controller.open("d02", now_ms()))
    for _ in range(40):
        for verb in (device.controller.open, device.controller.close):
            device.send(verb("d01", now_ms()))
    device.send(device.controller.fail("d02", "jammed", now_ms()))
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, manager)
    await visitor.sees("l01", "d02", "fault")
    await visitor.go(f"#/buildings/{lockers.building}/lockers/l01")
    events = visitor.page.locator("[data-event]")
    await expect(events.first).to_be_visible(timeout=PATIENCE_MS)
    first_page = await events.count()
    more = visitor.page.get_by_role("button", name="Load older events")
    assert 0 < first_page < 81
    while await more.count() > 0 and await more.is_enabled():
        before = await events.count()
        await more.click()
        await expect(events.nth(before)).to_be_visible(timeout=PATIENCE_MS)
    assert await events.count() >= 81
    await visitor.page.get_by_label("Door").select_option("d02")
    await expect(events.first).to_contain_text("d02")
    assert "door=d02" in visitor.page.url
    # Anew, with the filter: one of its events is on an older page, and nobody asks for that.
    await visitor.page.reload()
    looked = visitor.page.get_by_test_id("looked")
    await expect(looked).to_contain_text("all that is kept", timeout=PATIENCE_MS)
    await expect(events.filter(has_text="Opened")).to_have_count(1)
    await expect(events.filter(has_text="d01")).to_have_count(0)
    await expect(more).to_have_count(0)


async def test_an_operator_sees_every_building_and_what_needs_somebody(
    visitors: Visitors, lockers: Lockers, operator: Person
):
    """A building that no group of theirs names, and the attention list with its forced door."""
    device = await lockers.connect()
    device.send(device.controller.force("d01", now_ms()))
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, operator)
    await visitor.sees("l01", "d01", "forced")
    await visitor.page.get_by_role("link", name="Attention").click()
    await expect(visitor.page.get_by_role("link", name=lockers.building).first).to_be_visible(
        timeout=PATIENCE_MS
    )


async def test_two_managers_see_the_same_flip(
    visitors: Visitors, lockers: Lockers, manager: Person
):
    """Everybody who watches a building is told."""
    device = await lockers.connect()
    watching = [await visitors.arrive(), await visitors.arrive()]
    for visitor in watching:
        await visitor.open_building(lockers.building, manager)
    device.send(device.controller.open("d02", now_ms()))
    await asyncio.gather(*(visitor.sees("l01", "d02", "open") for visitor in watching))


async def test_an_operator_finds_every_building(
    visitors: Visitors, lockers: Lockers, operator: Person
):
    """By its name in the list, without being in the building's group."""
    await lockers.connect()
    visitor = await visitors.arrive()
    await visitor.open_building(lockers.building, operator)
    await visitor.sees("l01", "d01", "vacant")
    await visitor.go("#/buildings")
    link = visitor.page.get_by_role("link", name=lockers.building)
    await expect(link).to_be_visible(timeout=PATIENCE_MS)
    await link.click()
    await visitor.is_live()
