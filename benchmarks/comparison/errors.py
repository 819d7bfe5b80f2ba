"""Errors of the comparison."""


class ComparisonError(Exception):
    """What cannot be compared, with which value, and what to do."""
