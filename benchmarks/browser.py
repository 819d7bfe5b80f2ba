"""The Chromium of this machine, and a person who signs in to the dashboard with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright

from local.people import Person

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Nothing but the page's own requests leaves the browser."""
ADVICE = (
    "no Chromium: install one (Debian and Ubuntu: apt-get install chromium), "
    "or name its program in LATCHLINE_CHROMIUM"
)
LIVE = '[data-testid="connection"][data-state="live"]'
PATIENCE_MS = 60_000


def find_chromium() -> str | None:
    """Path of the program that LATCHLINE_CHROMIUM names, or else of the first on PATH."""
    named = os.environ.get("LATCHLINE_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window.

    Raises
    ------
    SystemExit
        There is none; says how to get one.
    """
    program = find_chromium()
    if program is None:
        raise SystemExit(ADVICE)
    # Chromium refuses its sandbox to root, which is who containers run as.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=[*ARGUMENTS, *sandbox]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def sign_in(page: Page, url: str, person: Person) -> None:
    """Open an address of the page, sign in there, and wait until it is live if it is a building."""
    await page.goto(url)
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_label("Password", exact=True).fill(person.password or "")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Sign out").wait_for(timeout=PATIENCE_MS)
    if "#/buildings/" in url:
        await page.locator(LIVE).wait_for(timeout=PATIENCE_MS)
