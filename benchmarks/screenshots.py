"""Takes the pictures of docs/dashboard from a running demo.

    make screenshots

Starts a laptop stack and the demo's fleet, lets doors be forced, jammed and go offline, and takes
the building view light and dark, on a phone, the attention list, a history, and the banner that
stands there while the gateway cannot be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.async_api import Browser, Page
from rich.console import Console

from benchmarks.browser import PATIENCE_MS, chromium, sign_in
from benchmarks.laptop import laptop
from local.dashboard import DIST, is_built
from local.info import StackInfo
from local.people import OPERATORS, Person
from simulators.device import Device
from simulators.fleet import FleetPlan
from simulators.session import Files, Session
from simulators.target import Target

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "dashboard"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PROFILES: Mapping[str, dict[str, Any]] = {
    "building-light": {"viewport": DESK, "color_scheme": "light"},
    "building-dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True},
}
RATE = 4.0
"""Door events per second: of a building that is used, not of a test."""
TRAFFIC_S = 20.0
"""Of ordinary use before the first picture."""
CONNECTED_S = 120.0
POLL_S = 0.2


def main(
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = FOLDER,
) -> None:
    """Take the dashboard's pictures."""
    if not is_built():
        raise SystemExit(f"no page in {DIST}: make dashboard")
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with laptop("screenshots", console.print) as running:
        asyncio.run(_take(running.info, running.folder, folder))
    for picture in sorted(folder.glob("*.png")):
        console.print(f"{picture}: {picture.stat().st_size // 1024} KiB", soft_wrap=True)


async def _take(info: StackInfo, state: Path, folder: Path) -> None:
    plan = FleetPlan(rate=RATE)
    building = plan.building_names[0]
    person = next(each for each in info.people if each.group == OPERATORS)
    files = Files.beside(state / "truth.jsonl", state / "keys")
    page_url = f"{info.dashboard}#/buildings/{building}"
    async with (
        _fleet(Session(Target.from_info(info.model_dump(mode="json")), plan, files)) as devices,
        chromium() as browser,
    ):
        await asyncio.sleep(TRAFFIC_S)
        first, second, third, *_ = (each for each in devices if each.thing.building == building)
        await third.hold_offline()
        for name, options in PROFILES.items():
            page = await _signed_in(browser, page_url, person, **options)
            _disturb(first, second)
            await page.locator('[data-door][data-status="forced"]').first.wait_for(
                timeout=PATIENCE_MS
            )
            await page.locator('[data-online="false"]').first.wait_for(timeout=PATIENCE_MS)
            await page.screenshot(path=folder / f"{name}.png")
            await page.context.close()
        _disturb(first, second)
        await _others(browser, page_url, person, folder)


async def _others(browser: Browser, page_url: str, person: Person, folder: Path) -> None:
    """History, attention list and, last, the banner: for it the browser loses its network."""
    page = await _signed_in(browser, page_url, person, viewport=DESK, color_scheme="light")
    await page.locator("[data-locker] h3 a").first.click()
    await page.locator("[data-event]").first.wait_for(timeout=PATIENCE_MS)
    await page.screenshot(path=folder / "history.png")
    await page.evaluate("() => { window.location.hash = '#/attention'; }")
    await page.locator(".attention-row").first.wait_for(timeout=PATIENCE_MS)
    await page.screenshot(path=folder / "attention.png")
    await page.goto(page_url)
    await page.locator("[data-door]").first.wait_for(timeout=PATIENCE_MS)
    await page.context.set_offline(True)
    await page.get_by_test_id("stale").wait_for(timeout=PATIENCE_MS)
    await page.screenshot(path=folder / "stale.png")


async def _signed_in(browser: Browser, url: str, person: Person, **options: Any) -> Page:
    context = await browser.new_context(**options)
    page = await context.new_page()
    await sign_in(page, url, person)
    return page


@asynccontextmanager
async def _fleet(session: Session) -> AsyncIterator[list[Device]]:
    """The session's devices while its traffic runs.

    Raises
    ------
    SystemExit
        The fleet is not connected in time.
    """
    stop = asyncio.Event()
    running = asyncio.create_task(session.run(stop))
    try:
        async with asyncio.timeout(CONNECTED_S):
            while not running.done() and not session.phase.startswith("running"):
                await asyncio.sleep(POLL_S)
        if session.fleet is None or running.done():
            raise SystemExit(f"the fleet ended while {session.phase}")
        yield list(session.fleet.devices.values())
    except TimeoutError:
        raise SystemExit(f"the fleet is still {session.phase}") from None
    finally:
        stop.set()
        await running


def _disturb(forced: Device, jammed: Device) -> None:
    """Force the first door of one locker and jam one of another; a courier may have undone it."""
    for device in (forced, jammed):
        controller, now_ms = device.controller, device.clock_ms()
        door = controller.doors[0]
        device.send(controller.close(door, now_ms))
        if device is forced:
            device.send(controller.force(door, now_ms))
        else:
            device.send(controller.fail(door, "jammed", now_ms))


if __name__ == "__main__":
    typer.run(main)
