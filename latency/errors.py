"""Errors of the measurement."""


class LatencyError(Exception):
    """What cannot be measured, with which value, and what to do."""
