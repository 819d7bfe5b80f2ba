"""One laptop stack for all end-to-end tests of a worker, and lockers to drive it with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from simulators.target import Target
from tests.support.cli_stack import CliStack, cli_stack
from tests.support.lockers import Lockers


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliStack]:
    with cli_stack(tmp_path_factory.mktemp("latchline"), "e2e") as running:
        yield running


@pytest.fixture(scope="session")
def target(stack: CliStack) -> Target:
    return Target.from_info(stack.info)


@pytest.fixture
async def lockers(target: Target, tmp_path: Path) -> AsyncIterator[Lockers]:
    async with Lockers(target, tmp_path / "keys") as running:
        yield running
