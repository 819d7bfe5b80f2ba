"""A curve in one line of block characters, for terminals and documents."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """One character a value, scaled to the greatest; the lowest block is anything near 0."""
    greatest = max(values, default=0.0)
    if greatest <= 0:
        return BLOCKS[0] * len(values)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[round(steps * max(0.0, value) / greatest)] for value in values)
