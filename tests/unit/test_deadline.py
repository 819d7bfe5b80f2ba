"""Waiting for work with a deadline."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from pipeline.deadline import Deadline, gather
from pipeline.errors import Retryable

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_deadline_passes():
    """What remains shrinks with the clock and never below zero."""
    clock = Clock()
    deadline = Deadline(5, clock)
    clock.now += 4
    assert (deadline.remaining_s, deadline.passed) == (1.0, False)
    clock.now += 4
    assert (deadline.remaining_s, deadline.passed) == (0.0, True)


def test_a_deadline_can_be_extended_after_it_has_passed():
    """It counts from its own end, not from now."""
    clock = Clock()
    deadline = Deadline(5, clock)
    clock.now += 6
    assert deadline.extended(3).remaining_s == 2.0
    assert deadline.extended(1).passed


def test_gathered_are_values_errors_and_what_is_late():
    """Each future has one: what it returned, what it raised, or that the time ran out."""
    release = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        good = pool.submit(lambda: 7)
        bad = pool.submit(lambda: 1 // 0)
        hung = pool.submit(release.wait, 60)
        wait([good, bad])
        try:
            values = gather([good, bad, hung], Deadline(0))
        finally:
            release.set()
    assert values[good] == 7
    assert isinstance(values[bad], ZeroDivisionError)
    assert isinstance(values[hung], Retryable)


def test_what_has_not_begun_is_never_begun():
    """Left in the pool it would take the place of the next batch's work."""
    release = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(release.wait, 60)
        waiting = pool.submit(lambda: 7)
        try:
            assert isinstance(gather([waiting], Deadline(0))[waiting], Retryable)
        finally:
            release.set()
    assert waiting.cancelled()


def test_nothing_to_wait_for():
    """No work is no wait."""
    assert gather([], Deadline(60)) == {}
