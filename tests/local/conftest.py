"""The gateway in front of the API of `tests/conftest.py`."""

from collections.abc import AsyncIterator

import pytest

from local.realtime.gateway import Gateway
from tests.support.appsync_stack import Api
from tests.support.realtime_gateway import running_gateway


@pytest.fixture
async def gateway(api: Api) -> AsyncIterator[Gateway]:
    async with running_gateway(api) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def manager(api: Api) -> str:
    """A token of somebody who manages maple-court."""
    return api.token("building:maple-court")
