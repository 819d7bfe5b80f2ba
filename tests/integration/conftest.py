"""What the handler tests share."""

from collections.abc import Iterator

import pytest

from tests.support.aws import Aws, in_process_aws


@pytest.fixture
def aws() -> Iterator[Aws]:
    with in_process_aws() as running:
        yield running
