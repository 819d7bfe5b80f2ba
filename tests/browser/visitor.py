"""Somebody in front of the page."""

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from local.dashboard import DashboardServer, PageConfig
from local.info import StackInfo
from local.people import Person
from tests.support.unreliable_gateway import UnreliableGateway

PATIENCE_MS = 30_000
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
EXPECTED_NOISE = re.compile(r"Failed to load resource|WebSocket connection to")
"""What Chromium itself writes when a server refuses or is gone."""


@dataclass
class Visitor:
    """A browser profile of its own, with one page open."""

    page: Page
    url: str

    async def sign_in(self, person: Person, *, password: str | None = None) -> None:
        """Fill in the form that is shown; say the wrong password to be refused."""
        await self.page.get_by_label("Email").fill(person.email)
        await self.page.get_by_label("Password", exact=True).fill(password or person.password or "")
        await self.page.get_by_role("button", name="Sign in").click()

    async def go(self, route: str) -> None:
        """Follow a link of the page, by its hash."""
        await self.page.evaluate("hash => { window.location.hash = hash; }", route)

    async def open_building(self, building: str, person: Person) -> None:
        """Sign in and wait until the building is live."""
        await self.page.goto(f"{self.url}#/buildings/{building}")
        await self.sign_in(person)
        await self.is_live()

    async def is_live(self) -> None:
        """Nothing says that the view may be stale, and its snapshot is complete."""
        state = self.page.get_by_test_id("connection")
        await expect(state).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
        await expect(self.stale).to_have_count(0)

    @property
    def stale(self) -> Locator:
        """The banner."""
        return self.page.get_by_test_id("stale")

    def tile(self, locker: str, door: str) -> Locator:
        return self.page.locator(f'[data-door="{locker}/{door}"]')

    async def sees(self, locker: str, door: str, status: str) -> None:
        """Wait until a tile has the status."""
        tile = self.tile(locker, door)
        await expect(tile).to_have_attribute("data-status", status, timeout=PATIENCE_MS)

    async def token(self) -> str:
        """The access token that the page has, as a script in it could take it."""
        token = await self.page.evaluate(
            "Object.entries(localStorage).find(([key]) => key.endsWith('.accessToken'))[1]"
        )
        return str(token)

    async def violations(self) -> list[str]:
        """What axe finds in the page as it is now, one line a rule."""
        results = await Axe().run(self.page)
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
            for each in results.response["violations"]
        ]


class Visitors:
    """Opens pages; when the test is over, no page may have logged an error."""

    def __init__(self, browser: Browser, info: Mapping[str, Any], cleanup: AsyncExitStack) -> None:
        self._browser = browser
        self._info = StackInfo.model_validate(info)
        self._cleanup = cleanup
        self._errors: list[str] = []
        cleanup.callback(self._check)

    async def arrive(self, *, gateway: UnreliableGateway | None = None, **profile: Any) -> Visitor:
        """Open the page in a new profile; its GraphQL goes through `gateway` if there is one."""
        url = self._info.dashboard
        if gateway is not None:
            config = PageConfig.of(self._info)
            routed = config.model_copy(
                update={"graphql": gateway.graphql, "realtime": gateway.realtime}
            )
            server = DashboardServer(routed)
            await server.start()
            self._cleanup.push_async_callback(server.stop)
            url = server.url
        assert url is not None
        context = await self._browser.new_context(**{"viewport": DESK, **profile})
        self._cleanup.push_async_callback(context.close)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        await page.goto(url)
        return Visitor(page, url)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED_NOISE.search(message.text):
            self._errors.append(message.text)

    def _check(self) -> None:
        assert self._errors == [], "the browser's console; a violated policy is told there, too"
