"""The one setting of MiniStack that has no environment variable."""

from types import ModuleType

import pytest

from local.ministack_main import IDLE_WAKE_GAP_S, shorten_pause

pytestmark = pytest.mark.unit


def test_the_pause_is_there_and_is_made_shorter():
    """In the MiniStack that is installed: a new version without it fails here, not silently."""
    from ministack.services import lambda_svc

    assert lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS >= IDLE_WAKE_GAP_S
    copy = ModuleType(lambda_svc.__name__)
    vars(copy).update(vars(lambda_svc))
    shorten_pause(copy)
    assert copy._ESM_IDLE_WAKE_GAP_SECONDS == IDLE_WAKE_GAP_S


def test_a_version_without_the_pause_is_refused_by_name():
    """One can see what to delete."""
    with pytest.raises(AttributeError, match="other_svc has no _ESM_IDLE_WAKE_GAP_SECONDS"):
        shorten_pause(ModuleType("other_svc"))
