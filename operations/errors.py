"""Errors of the on-call tools."""


class OperationsError(Exception):
    """Base of all: what is wrong, with which value, and what to do."""
