"""For all suites: the profile of hypothesis, and the API in front of which gateways are tested."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.appsync_stack import Api, deploy, ministack

# No example has a deadline, because the machine may be busy.
settings.register_profile("latchline", deadline=None)
settings.load_profile("latchline")


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """For modules of the xdist group `gateway`: one MiniStack, on one worker."""
    with ministack(tmp_path_factory.mktemp("ministack")) as stack:
        yield deploy(stack)
