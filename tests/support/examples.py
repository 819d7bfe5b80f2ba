"""How many examples hypothesis tries: few in `make test`, many with HYPOTHESIS_PROFILE=soak."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def examples(few: int, many: int, **others: Any) -> settings:
    """Without a deadline for one example: the machine may be busy."""
    return settings(
        max_examples=many if SOAK else few, deadline=None, suppress_health_check=SLOW, **others
    )
