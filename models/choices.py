"""What a person chooses by name; without imports, so that a command line starts at once."""

from enum import StrEnum


class Deployed(StrEnum):
    """How the IoT rule is deployed; `infra.deployment.Route` on paper."""

    BUS = "bus"
    DIRECT = "direct"


class Preset(StrEnum):
    """Days that can be asked for by name."""

    JULY = "july"
    DECEMBER = "december"
    SURGE = "surge"
