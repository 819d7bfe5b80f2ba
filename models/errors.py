"""Everything that `models` raises on purpose."""


class ModelError(Exception):
    """A message for people: which figure or input, what is wrong with it, what to do."""
