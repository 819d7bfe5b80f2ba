"""The page without a mouse, on a phone, light and dark, and as axe sees it."""

import pytest
from playwright.async_api import expect

from local.people import Person
from tests.browser.visitor import PATIENCE_MS, PHONE, Visitor, Visitors
from tests.support.lockers import Lockers, now_ms
from tests.support.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def every_status(lockers: Lockers) -> None:
    """A locker with a door of each kind, and one that is offline."""
    device = await lockers.connect("l01", ("d01", "d02", "d03", "d04", "d05"))
    device.send(device.controller.open("d02", now_ms()))
    device.send(device.controller.force("d03", now_ms()))
    device.send(device.controller.fail("d04", "jammed", now_ms()))
    device.send(device.controller.open("d05", now_ms()))
    device.controller.place("d05")
    device.send(device.controller.close("d05", now_ms()))
    gone = await lockers.connect("l02")
    told = lockers.listener.acknowledged
    await eventually(lambda: {each.door for each in told if each.thing == gone.thing} > {"d01"})
    await gone.disconnect()


async def settled(visitor: Visitor) -> None:
    for door, status in (
        ("d01", "vacant"),
        ("d02", "open"),
        ("d03", "forced"),
        ("d04", "fault"),
        ("d05", "occupied"),
    ):
        await visitor.sees("l01", door, status)
    await visitor.sees("l02", "d01", "offline")


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(
    visitors: Visitors, lockers: Lockers, operator: Person, colours: str
):
    """Sign-in, building with every status, history, attention list, list of buildings."""
    await every_status(lockers)
    visitor = await visitors.arrive(color_scheme=colours, reduced_motion="reduce")
    await expect(visitor.page.get_by_label("Email")).to_be_visible()
    found = {"sign-in": await visitor.violations()}
    await visitor.open_building(lockers.building, operator)
    await settled(visitor)
    found["building"] = await visitor.violations()
    for name, route in (
        ("history", f"#/buildings/{lockers.building}/lockers/l01"),
        ("attention", "#/attention"),
        ("buildings", "#/buildings"),
    ):
        await visitor.go(route)
        await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        await visitor.page.wait_for_load_state("networkidle")
        found[name] = await visitor.violations()
    assert {name: each for name, each in found.items() if each} == {}


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    visitors: Visitors, lockers: Lockers, operator: Person
):
    """390 pixels wide; what one taps is large enough (WCAG 2.2: 24 by 24), and axe agrees."""
    await every_status(lockers)
    visitor = await visitors.arrive(
        viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    await visitor.open_building(lockers.building, operator)
    await settled(visitor)
    for route in (
        f"#/buildings/{lockers.building}",
        f"#/buildings/{lockers.building}/lockers/l01",
        "#/attention",
        "#/buildings",
    ):
        await visitor.go(route)
        await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        await visitor.page.wait_for_load_state("networkidle")
        width = await visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], route
        assert await visitor.violations() == [], route
    await visitor.go(f"#/buildings/{lockers.building}")
    box = await visitor.tile("l01", "d01").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24


async def test_a_keyboard_is_enough(visitors: Visitors, lockers: Lockers, manager: Person):
    """Sign in, walk over the doors, open a history, go back: no mouse, and focus always shows."""
    await lockers.connect("l01", ("d01", "d02", "d03"))
    visitor = await visitors.arrive()
    keyboard = visitor.page.keyboard
    await expect(visitor.page.get_by_label("Email")).to_be_visible()
    await tab_to(visitor, "input[name=email]")
    await keyboard.type(manager.email)
    await keyboard.press("Tab")
    await keyboard.type(manager.password or "")
    await keyboard.press("Enter")
    await visitor.is_live()
    await visitor.sees("l01", "d03", "vacant")
    await tab_to(visitor, "[data-door]")
    await expect(visitor.tile("l01", "d01")).to_be_focused()
    for key, door in (("ArrowRight", "d02"), ("End", "d03"), ("Home", "d01")):
        await keyboard.press(key)
        await expect(visitor.tile("l01", door)).to_be_focused()
    outline = await visitor.page.evaluate(
        "(() => { const style = getComputedStyle(document.activeElement);"
        " return style.outlineStyle !== 'none' || style.boxShadow !== 'none'; })()"
    )
    assert outline, "whoever walks with keys sees where they are"
    await keyboard.press("Enter")
    await visitor.page.wait_for_url("**/lockers/l01*", timeout=PATIENCE_MS)
    await visitor.page.go_back()
    await visitor.sees("l01", "d01", "vacant")


async def tab_to(visitor: Visitor, selector: str, *, at_most: int = 40) -> None:
    """Press Tab until the focus is on such an element."""
    for _ in range(at_most):
        await visitor.page.keyboard.press("Tab")
        if await visitor.page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never reached {selector}")
