"""Whether browser tests run: with a Chromium, or never without one where CI requires it."""

import os

import pytest

from benchmarks.browser import ADVICE, find_chromium


def require_chromium() -> None:
    """Skip the test without a Chromium; fail it if LATCHLINE_REQUIRE_BROWSER is set (CI)."""
    if find_chromium() is not None:
        return
    if os.environ.get("LATCHLINE_REQUIRE_BROWSER"):
        pytest.fail(ADVICE, pytrace=False)
    pytest.skip(ADVICE)
