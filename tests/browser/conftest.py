"""A laptop stack, a Chromium, and people who sign in."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from benchmarks.browser import chromium
from local.people import Person, add_person, building_group
from simulators.target import Target
from tests.browser.visitor import Visitors
from tests.support.chromium import require_chromium
from tests.support.cli_stack import CliStack, cli_stack
from tests.support.lockers import Lockers
from tests.support.unreliable_gateway import UnreliableGateway


@pytest.fixture(scope="session")
def has_chromium() -> None:
    """First of all: without a browser nothing else is started."""
    require_chromium()


@pytest.fixture(scope="session")
def stack(has_chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliStack]:
    with cli_stack(tmp_path_factory.mktemp("latchline"), "browser") as running:
        yield running


@pytest.fixture(scope="session")
def target(stack: CliStack) -> Target:
    return Target.from_info(stack.info)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(has_chromium: None) -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def lockers(target: Target, tmp_path: Path) -> AsyncIterator[Lockers]:
    async with Lockers(target, tmp_path / "keys") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(stack: CliStack) -> AsyncIterator[UnreliableGateway]:
    async with UnreliableGateway(stack.info["graphql"]["http"]) as running:
        yield running


@pytest.fixture
def manager(stack: CliStack, target: Target, lockers: Lockers) -> Person:
    """Of the building of `lockers`, and of no other."""
    building = lockers.building
    person = add_person(
        target.client("cognito-idp"),
        stack.info["cognito"]["user_pool_id"],
        f"{building}@example.com",
        building_group(building),
        by_mail=False,
    )
    assert person is not None
    return person


@pytest.fixture(scope="session")
def operator(stack: CliStack) -> Person:
    """The demo's."""
    people = [Person.model_validate(each) for each in stack.info["people"]]
    return next(each for each in people if each.group == "operators")


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(browser: Browser, stack: CliStack) -> AsyncIterator[Visitors]:
    """Whoever opens the page; at the end none of them may have seen an error."""
    async with AsyncExitStack() as cleanup:
        yield Visitors(browser, stack.info, cleanup)
