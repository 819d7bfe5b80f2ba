"""The verdict: lost, wrong and extra are told apart, in each view, and nothing else is accused."""

from dataclasses import replace

import pytest

from pipeline.contract import Kind, Thing, TileStatus
from pipeline.errors import PoisonReason
from simulators.ground_truth import GroundTruth, Outcome, Run, TrueEvent, TrueMalformed
from simulators.verdict import Finding, Parked, Stored, Verdict, View, judge

BOOT = 1_790_000_000
RUN = Run(started_at_ms=BOOT * 1000, parameters={})
THING = Thing("maple-court", "l01")
STRANGER = Thing("maple-court", "l66")


def sent(
    seq: int, door: str = "d01", outcome: Outcome | None = Outcome.ACKNOWLEDGED, attempts: int = 1
) -> TrueEvent:
    return TrueEvent(
        thing=THING,
        door=door,
        kind=Kind.OPENED,
        version=(BOOT << 32) + seq,
        at="2026-11-20T10:00:00.000Z",
        open=True,
        occupied=False,
        fault=None,
        status=TileStatus.OPEN,
        outcome=outcome,
        attempts=attempts,
    )


def kept(event: TrueEvent) -> Stored:
    return Stored(
        thing=event.thing,
        door=event.door,
        version=event.version,
        kind=event.kind,
        status=event.status,
        open=event.open,
        occupied=event.occupied,
        fault=event.fault,
        at=event.at,
    )


def verdict_of(
    events: list[TrueEvent],
    *,
    history: list[Stored] | None = None,
    tiles: list[Stored] | None = None,
    seen: list[Stored] | None = None,
    watched: bool = True,
    unwatched: set[tuple[Thing, str]] | None = None,
) -> Verdict:
    """Judge; a view that is not given is what a faultless pipeline would have."""
    certain = [event for event in events if event.outcome is Outcome.ACKNOWLEDGED]
    newest = {event.door: kept(event) for event in sorted(certain, key=lambda e: e.version)}
    right = list(newest.values())
    return judge(
        GroundTruth(RUN, {(event.thing, event.version): event for event in events}),
        history=[kept(event) for event in certain] if history is None else history,
        tiles=right if tiles is None else tiles,
        seen=(right if seen is None else seen) if watched else None,
        unwatched=unwatched or (),
    )


def findings(verdict: Verdict) -> set[tuple[View, Finding]]:
    return {(each.view, each.finding) for each in verdict.differences}


@pytest.mark.unit
def test_a_faultless_run_is_ok() -> None:
    """Every view agrees: no difference, and all of it was looked at."""
    verdict = verdict_of([sent(1), sent(2), sent(3, "d02")])
    assert verdict.ok
    assert verdict.checked == {View.HISTORY: 3, View.TABLE: 2, View.SUBSCRIPTION: 2}


@pytest.mark.unit
def test_an_acknowledged_event_without_a_row_is_lost() -> None:
    """What the broker took must be in history, also if a newer event covers it in the tile."""
    verdict = verdict_of([sent(1), sent(2)], history=[kept(sent(2))])
    assert findings(verdict) == {(View.HISTORY, Finding.LOST)}


@pytest.mark.unit
@pytest.mark.parametrize("view", [View.TABLE, View.SUBSCRIPTION])
def test_a_missing_or_older_tile_is_lost(view: View) -> None:
    """No tile, or one that shows an older event, is a door that was not flipped."""
    events = [sent(1), sent(2)]
    argument = "tiles" if view is View.TABLE else "seen"
    missing = verdict_of(events, **{argument: []})  # type: ignore[arg-type]
    behind = verdict_of(events, **{argument: [kept(sent(1))]})  # type: ignore[arg-type]
    assert findings(missing) == findings(behind) == {(view, Finding.LOST)}


@pytest.mark.unit
@pytest.mark.parametrize("view", [View.TABLE, View.HISTORY, View.SUBSCRIPTION])
def test_other_content_is_wrong(view: View) -> None:
    """The version alone does not make it right; the message names the field and both values."""
    changed = [replace(kept(sent(1)), occupied=True)]
    argument = {View.HISTORY: "history", View.TABLE: "tiles", View.SUBSCRIPTION: "seen"}[view]
    verdict = verdict_of([sent(1)], **{argument: changed})  # type: ignore[arg-type]
    assert findings(verdict) == {(view, Finding.WRONG)}
    assert "occupied: sent False, has True" in str(verdict.differences[0])


@pytest.mark.unit
@pytest.mark.parametrize("view", [View.TABLE, View.HISTORY, View.SUBSCRIPTION])
def test_an_event_nobody_sent_is_extra(view: View) -> None:
    """A version of the run's boot that no device made was put there by somebody else."""
    forged = [kept(sent(1)), kept(sent(9, "d02"))]
    argument = {View.HISTORY: "history", View.TABLE: "tiles", View.SUBSCRIPTION: "seen"}[view]
    verdict = verdict_of([sent(1)], **{argument: forged})  # type: ignore[arg-type]
    assert findings(verdict) == {(view, Finding.EXTRA)}


@pytest.mark.unit
def test_a_locker_that_nobody_runs_is_extra_if_it_booted_during_the_run() -> None:
    """A stranger's tile in a building of the run counts, unless an earlier run left it there."""
    during = replace(kept(sent(1)), thing=STRANGER)
    before = replace(during, version=(BOOT - 3600) << 32 | 1)
    right = kept(sent(1))
    assert findings(verdict_of([sent(1)], tiles=[right, during])) == {(View.TABLE, Finding.EXTRA)}
    assert verdict_of([sent(1)], tiles=[right, before]).ok


@pytest.mark.unit
def test_what_the_broker_refused_must_not_be_there() -> None:
    """A refused publish that turns up was let through somewhere."""
    refused = sent(2, outcome=Outcome.REFUSED)
    verdict = verdict_of([sent(1), refused], history=[kept(sent(1)), kept(refused)])
    assert findings(verdict) == {(View.HISTORY, Finding.EXTRA)}


@pytest.mark.unit
@pytest.mark.parametrize("outcome", [None, Outcome.DROPPED])
@pytest.mark.parametrize("arrived", [True, False])
def test_an_event_published_but_never_acknowledged_may_be_there_or_not(
    outcome: Outcome | None, *, arrived: bool
) -> None:
    """Only the PUBACK was lost, or the publish was: both are right, if the views agree."""
    maybe = sent(2, outcome=outcome)
    last = maybe if arrived else sent(1)
    rows = [kept(sent(1)), kept(maybe)] if arrived else [kept(sent(1))]
    assert verdict_of([sent(1), maybe], history=rows, tiles=[kept(last)], seen=[kept(last)]).ok


@pytest.mark.unit
def test_an_unacknowledged_event_in_history_must_be_in_the_tile() -> None:
    """Once it is known to have arrived, the tile that does not show it is lost."""
    maybe = sent(2, outcome=None)
    rows = [kept(sent(1)), kept(maybe)]
    verdict = verdict_of([sent(1), maybe], history=rows, tiles=[kept(sent(1))], seen=[kept(maybe)])
    assert findings(verdict) == {(View.TABLE, Finding.LOST)}


@pytest.mark.unit
def test_an_event_dropped_before_it_was_published_cannot_be_there() -> None:
    """The device's buffer overflowed while it was offline."""
    dropped = sent(1, outcome=Outcome.DROPPED, attempts=0)
    verdict = verdict_of([dropped, sent(2)], history=[kept(dropped), kept(sent(2))])
    assert findings(verdict) == {(View.HISTORY, Finding.EXTRA)}


@pytest.mark.unit
def test_other_runs_on_the_same_table_do_not_count() -> None:
    """Rows of an earlier boot, and tiles that a later run went over, are not this run's matter."""
    earlier = replace(kept(sent(1)), version=(BOOT - 60) << 32 | 5)
    later = replace(kept(sent(1)), version=(BOOT + 60) << 32 | 1)
    verdict = verdict_of([sent(1)], history=[earlier, kept(sent(1)), later], tiles=[later])
    assert verdict.ok


@pytest.mark.unit
def test_without_a_viewer_only_the_table_is_judged() -> None:
    """A run without a recorded subscription has no subscription view."""
    verdict = verdict_of([sent(1)], watched=False)
    assert verdict.ok
    assert View.SUBSCRIPTION not in verdict.checked


@pytest.mark.unit
def test_a_door_left_too_early_is_judged_by_the_table_alone() -> None:
    """A subscriber that was told to leave can't have seen the last event; the table must have."""
    events = [sent(1), sent(2, "d02")]
    place = (THING, "d02")
    early = verdict_of(events, seen=[kept(events[0])], unwatched={place})
    assert early.ok
    assert early.checked[View.SUBSCRIPTION] == 1
    lost = verdict_of(events, tiles=[kept(events[0])], seen=[], unwatched={place})
    assert {(each.view, each.thing, each.door) for each in lost.differences} == {
        (View.TABLE, THING, "d02"),
        (View.SUBSCRIPTION, THING, "d01"),
    }


@pytest.mark.unit
def test_the_json_form_counts_by_view_and_lists_every_difference() -> None:
    """What a script reads: ok, counts, and versions as 20-digit strings."""
    told = verdict_of([sent(1)], history=[]).as_json()
    assert told["ok"] is False
    assert told["views"]["history"] == {"checked": 1, "lost": 1, "wrong": 0, "extra": 0}
    assert told["differences"][0]["version"] == f"{(BOOT << 32) + 1:020d}"


SPOILED = TrueMalformed(THING, "d01", PoisonReason.FIELD_TYPE, b"spoiled 1", acknowledged=True)
PARKED = Parked(THING, "d01", "field_type", b"spoiled 1", received_at=BOOT * 1000 + 5_000)


def quarantined(sent_by_lockers: list[TrueMalformed], parked: list[Parked]) -> Verdict:
    truth = GroundTruth(
        RUN,
        {(THING, sent(1).version): sent(1)},
        malformed=sent_by_lockers,
        ended_at_ms=BOOT * 1000 + 60_000,
    )
    right = [kept(sent(1))]
    return judge(truth, history=right, tiles=right, seen=None, parked=parked)


@pytest.mark.unit
def test_what_was_spoiled_and_is_parked_for_its_reason_is_ok() -> None:
    """Delivered twice is fine: a queue promises at least once."""
    verdict = quarantined([SPOILED], [PARKED, PARKED])
    assert verdict.ok
    assert verdict.checked[View.QUARANTINE] == 1


@pytest.mark.unit
@pytest.mark.parametrize("acknowledged", [False, None])
def test_what_the_broker_did_not_take_need_not_be_parked(acknowledged: bool | None) -> None:
    """Refused, or cut off before an answer; if it came through after all, that is no finding."""
    unsure = replace(SPOILED, acknowledged=acknowledged)
    assert quarantined([unsure], []).ok
    assert quarantined([unsure], [PARKED]).ok


@pytest.mark.unit
@pytest.mark.parametrize(
    ("parked", "finding", "words"),
    [
        ([], Finding.LOST, "acknowledged, but not parked as field_type"),
        ([replace(PARKED, reason="topic_invalid")], Finding.WRONG, "parked as topic_invalid, not"),
        ([PARKED, replace(PARKED, payload=b"{}")], Finding.EXTRA, "nobody spoiled it: b'{}'"),
    ],
)
def test_a_quarantine_that_is_not_as_expected_is_told(
    parked: list[Parked], finding: Finding, words: str
) -> None:
    """Missing, parked for another reason, or parked though it was good."""
    verdict = quarantined([SPOILED], parked)
    assert findings(verdict) == {(View.QUARANTINE, finding)}
    assert words in str(verdict.differences[0])
    assert verdict.as_json()["differences"][0]["version"] is None


@pytest.mark.unit
@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PARKED, thing=STRANGER, payload=b"x"),
        replace(PARKED, payload=b"x", received_at=BOOT * 1000 - 60_000),
        replace(PARKED, payload=b"x", received_at=BOOT * 1000 + 120_000),
    ],
)
def test_what_is_parked_of_others_or_of_other_runs_is_none_of_ours(elsewhere: Parked) -> None:
    """The queue is shared; only lockers of the run, during the run, are looked at."""
    assert quarantined([SPOILED], [PARKED, elsewhere]).ok
