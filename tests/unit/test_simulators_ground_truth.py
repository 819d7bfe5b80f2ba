"""Ground truth: what is written comes back, and a broken file is told where."""

import json
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import Kind, Thing
from pipeline.errors import PoisonReason
from simulators.controller import DoorState, Emission
from simulators.errors import GroundTruthError
from simulators.ground_truth import Outcome, Run, TruthWriter, read_ground_truth
from simulators.poison import malform

RUN = Run(started_at_ms=1_790_000_000_000, parameters={"seed": 1})
THING = Thing("maple-court", "l01")

emissions = st.builds(
    Emission,
    thing=st.builds(Thing, building=st.sampled_from(["a", "b-2"]), locker=st.just("l01")),
    door=st.sampled_from(["d01", "d02"]),
    kind=st.sampled_from(Kind),
    boot=st.integers(1, 2**32 - 1),
    seq=st.integers(1, 2**32 - 1),
    at_ms=st.integers(0, 4_102_444_800_000),
    state=st.builds(
        DoorState,
        open=st.booleans(),
        occupied=st.booleans(),
        fault=st.none() | st.text(min_size=1, max_size=64),
    ),
)


def opened(seq: int = 1) -> Emission:
    return Emission(THING, "d01", Kind.OPENED, 1, seq, 0, DoorState(open=True))


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "truth.jsonl"
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n")
    return path


def header() -> dict[str, object]:
    return RUN.model_dump(mode="json")


def event(**changes: object) -> dict[str, object]:
    file = StringIO()
    TruthWriter(file, RUN).event(opened())
    fields: dict[str, object] = json.loads(file.getvalue().splitlines()[1])
    return fields | changes


@pytest.mark.property
@given(
    st.lists(
        st.tuples(emissions, st.none() | st.sampled_from(Outcome)),
        unique_by=lambda each: (each[0].thing, each[0].version),
    )
)
def test_a_run_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[Emission, Outcome | None]]
) -> None:
    """Every field of every event and every outcome survives the file."""
    path = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    with path.open("w", encoding="utf-8") as file:
        writer = TruthWriter(file, RUN)
        for emission, _ in events:
            writer.event(emission)
        for emission, outcome in events:
            if outcome is not None:
                writer.settled(emission, outcome, attempts=2, latency_ms=1.5)
        writer.end(1)

    truth = read_ground_truth(path)

    assert truth.run == RUN
    assert truth.complete
    assert len(truth.events) == len(events)
    for emission, outcome in events:
        back = truth.events[emission.thing, emission.version]
        assert (back.door, back.kind, back.at, back.status) == (
            emission.door,
            emission.kind,
            emission.at,
            emission.status,
        )
        assert DoorState(back.open, back.occupied, back.fault) == emission.state
        assert back.outcome is outcome
        assert back.attempts == (0 if outcome is None else 2)


@pytest.mark.unit
def test_versions_are_twenty_digit_strings() -> None:
    """A JavaScript number could not hold one."""
    assert event()["version"] == "00000000004294967297"


@pytest.mark.unit
def test_a_file_that_was_cut_off_is_readable_and_says_so(tmp_path: Path) -> None:
    """A killed run can still be judged by what it wrote."""
    truth = read_ground_truth(written(tmp_path, header(), event()))
    assert not truth.complete
    assert len(truth.events) == 1


@pytest.mark.unit
@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "truth.jsonl:1: empty file"),
        ([event()], "truth.jsonl:1: the first line must be the run's header"),
        ([header(), header()], "truth.jsonl:2: a second header"),
        ([header(), "{"], "truth.jsonl:2: "),
        ([header(), {"record": "parcel"}], "truth.jsonl:2: "),
        ([header(), event(open="yes")], "truth.jsonl:2: open: Input should be a valid boolean"),
        ([header(), event(version="17")], "truth.jsonl:2: version: "),
        ([header(), event(thing="Maple")], "truth.jsonl:2: .*Maple"),
        ([header(), event(kind="slammed")], "truth.jsonl:2: .*slammed"),
        ([header(), event(), event()], "truth.jsonl:3: .* twice"),
        (
            [
                header(),
                {
                    "record": "settled",
                    "thing": "maple-court:l01",
                    "version": "0" * 20,
                    "outcome": "acknowledged",
                    "attempts": 1,
                },
            ],
            "truth.jsonl:2: .*no such event came before",
        ),
    ],
)
def test_a_broken_file_is_told_by_file_and_line(
    tmp_path: Path, lines: list[object], complaint: str
) -> None:
    """The message starts with where to look and says what is wrong there."""
    with pytest.raises(GroundTruthError, match=complaint):
        read_ground_truth(written(tmp_path, *lines) if lines else empty(tmp_path))


@pytest.mark.unit
def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    """No traceback of an OSError: the path and the reason."""
    with pytest.raises(GroundTruthError, match=r"gone\.jsonl: cannot be read"):
        read_ground_truth(tmp_path / "gone.jsonl")


def empty(tmp_path: Path) -> Path:
    path = tmp_path / "truth.jsonl"
    path.touch()
    return path


@pytest.mark.unit
def test_what_was_spoiled_and_what_went_wrong_comes_back(tmp_path: Path) -> None:
    """The exact bytes, the reason, the broker's answer; faults are counted by kind."""
    path = tmp_path / "truth.jsonl"
    publishes = [
        malform(opened(), reason, "m")
        for reason in (PoisonReason.PAYLOAD_NOT_UTF8, PoisonReason.TOPIC_INVALID)
    ]
    with path.open("w", encoding="utf-8") as file:
        writer = TruthWriter(file, RUN)
        writer.malformed(publishes[0], acknowledged=True)
        writer.malformed(publishes[1], acknowledged=None)
        writer.fault(5, "flapping", THING, "d01", "3 times")
        writer.end(9)
    truth = read_ground_truth(path)
    assert [(each.payload, each.reason, each.acknowledged) for each in truth.malformed] == [
        (publishes[0].payload, PoisonReason.PAYLOAD_NOT_UTF8, True),
        (publishes[1].payload, PoisonReason.TOPIC_INVALID, None),
    ]
    assert truth.faults == {"flapping": 1}
    assert truth.ended_at_ms == 9


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": "bad luck"}, r"reason: .*got 'bad luck'"),
        ({"payload": "?"}, r"[Bb]ase64|padding|Only"),
    ],
)
def test_a_broken_malformed_record_is_told(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """File, line and what is wrong."""
    fields = {
        "record": "malformed", "thing": str(THING), "door": "d01", "kind": "opened",
        "reason": "field_type", "payload": "e30=", "acknowledged": True,
    }  # fmt: skip
    path = written(tmp_path, header(), fields | changes)
    with pytest.raises(GroundTruthError, match=rf"truth\.jsonl:2: .*({words})"):
        read_ground_truth(path)
