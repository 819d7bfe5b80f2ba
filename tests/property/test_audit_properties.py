"""Gap finding for any set of sequence numbers: exact, whatever is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.audit_sequences import (
    Fate,
    Gap,
    Kept,
    Letters,
    Settling,
    Window,
    find_gaps,
    tell_fates,
)
from operations.formats import Queue
from pipeline.contract import Thing

pytestmark = pytest.mark.property

BOOT_0 = 1_763_600_000
NOW = (BOOT_0 + 86_400) * 1000
WINDOW = Window.ending(NOW)
THING = Thing("maple-court", "l03")

boots = st.dictionaries(
    st.integers(BOOT_0, BOOT_0 + 5), st.sets(st.integers(1, 40), min_size=1), min_size=1, max_size=4
)


def history(kept: dict[int, set[int]]) -> list[Kept]:
    """As the table hands it out: newest version first."""
    return [
        Kept(boot, seq, boot * 1000 + seq)
        for boot in sorted(kept, reverse=True)
        for seq in sorted(kept[boot], reverse=True)
    ]


def numbers(gaps: list[Gap]) -> list[tuple[int, int]]:
    return sorted((gap.boot, seq) for gap in gaps for seq in range(gap.first, gap.last + 1))


def holes(kept: dict[int, set[int]]) -> list[tuple[int, int]]:
    """The definition: below the highest number of its boot, and not on record."""
    return sorted(
        (boot, seq) for boot, seqs in kept.items() for seq in range(1, max(seqs)) if seq not in seqs
    )


@settings(deadline=None)
@given(boots)
def test_the_gaps_are_exactly_the_missing_numbers(kept: dict[int, set[int]]):
    """No number too many, none too few, none twice."""
    found = find_gaps(history(kept), WINDOW)
    assert numbers(found.gaps) == holes(kept)
    assert (found.boots, found.events) == (len(kept), sum(map(len, kept.values())))
    assert found.heads_expired == 0


@settings(deadline=None)
@given(boots, st.data())
def test_every_missing_number_gets_one_fate(kept: dict[int, set[int]], data: st.DataObject):
    """Parked are those in a queue, wherever the boot ends; the others have one fate each."""
    some = st.tuples(st.sampled_from(sorted(kept)), st.integers(1, 45))
    parked = data.draw(
        st.dictionaries(some, st.sampled_from([Queue.PROJECTOR_DLQ, Queue.INGEST_DLQ]), max_size=12)
    )
    letters = Letters(parked)
    gaps = find_gaps(history(kept), WINDOW, parked).gaps
    missing = list(tell_fates(THING, gaps, letters, Settling(NOW)))
    on_record = {(boot, seq) for boot, seqs in kept.items() for seq in seqs}
    told = {
        (each.gap.boot, seq): each.queue
        for each in missing
        for seq in range(each.gap.first, each.gap.last + 1)
    }
    assert sum(each.gap.events for each in missing) == len(told)
    assert set(told) == set(holes(kept)) | (set(parked) - on_record)
    assert {number: queue for number, queue in told.items() if queue} == {
        number: queue for number, queue in parked.items() if number not in on_record
    }
    assert all(each.fate is (Fate.PARKED if each.queue else Fate.NEVER_ARRIVED) for each in missing)


@settings(deadline=None)
@given(boots, st.integers(0, 50), st.integers(BOOT_0, BOOT_0 + 6))
def test_since_finds_a_part_of_what_the_whole_finds(
    kept: dict[int, set[int]], offset: int, boot: int
):
    """Looking back less far invents nothing, and misses nothing after the moment asked for."""
    since = boot * 1000 + offset
    found = find_gaps(history(kept), Window.ending(NOW, since=since))
    whole = holes(kept)
    assert set(numbers(found.gaps)) <= set(whole)
    assert {number for number in whole if number[0] * 1000 + number[1] > since} <= set(
        numbers(found.gaps)
    )
