"""Scripts: a run is the same for the same seed, byte for byte, and survives its file."""

from io import StringIO
from itertools import islice
from pathlib import Path

import pytest

from simulators.controller import Controller
from simulators.errors import ScriptError
from simulators.fleet import perform
from simulators.plan import FleetPlan
from simulators.scenario import load_scenario
from simulators.script import Move, Script, ScriptWriter, read_script

pytestmark = pytest.mark.unit

BOOT_S = 1_790_000_000


def bad_night(seed: int = 5) -> FleetPlan:
    return load_scenario("bad-night").plan(duration_s=3_600.0, rate=1.0, seed=seed)


def written(plan: FleetPlan, script: Script | None = None) -> str:
    file = StringIO()
    script = script or plan.script()
    writer = ScriptWriter(file, plan.as_parameters(), script.initial)
    for each in script:
        writer.happening(each)
    return file.getvalue()


def payloads(plan: FleetPlan, script: Script) -> list[bytes]:
    """What the lockers would publish, with clocks that start at BOOT_S."""
    controllers = {
        thing: Controller(
            thing,
            {door: script.initial[thing, door] for door in plan.door_names},
            last_boot=0,
            now_s=BOOT_S,
        )
        for thing in plan.things
    }
    published = []
    for each in script:
        if isinstance(each, Move):
            at_ms = BOOT_S * 1000 + round(each.due_s * 1000)
            emission = perform(controllers[each.action.thing], each.action, at_ms)
            assert emission is not None, "every step of the traffic makes an event"
            published.append(emission.payload())
    return published


def test_the_same_seed_gives_the_same_script_byte_for_byte() -> None:
    """Traffic, faults and how doors stand at the start; another seed differs."""
    first = written(bad_night())
    assert first == written(bad_night())
    assert first != written(bad_night(seed=6))
    assert '"record":"fault"' in first
    assert '"wire":"reorder"' in first


def test_the_same_seed_gives_the_same_events_byte_for_byte() -> None:
    """What controllers publish is equal in every byte, numbers, times and states included."""
    plan = bad_night()
    first = payloads(plan, plan.script())
    assert first == payloads(plan, plan.script())
    assert len(first) > 1_000


def test_a_file_plays_what_was_recorded(tmp_path: Path) -> None:
    """Plan, initial picture and every happening come back; so a replay is recorded the same."""
    plan = bad_night()
    path = tmp_path / "script.jsonl"
    path.write_text(written(plan))
    parameters, script = read_script(path)
    assert FleetPlan.from_parameters(parameters).as_parameters() == plan.as_parameters()
    assert script.initial == plan.script().initial
    assert written(plan, script) == path.read_text()


def test_a_run_writes_down_what_it_plays_and_no_more() -> None:
    """A run that is ended leaves the script of what was played."""
    plan = bad_night()
    file = StringIO()
    script = plan.script()
    teed = ScriptWriter(file, plan.as_parameters(), script.initial).tee(script)
    assert len(list(islice(teed, 10))) == 10
    lines = file.getvalue().splitlines(keepends=True)
    assert len(lines) == 1 + len(plan.places) + 10
    assert "".join(lines) == "".join(written(plan).splitlines(keepends=True)[: len(lines)])


def test_steps_come_in_order_and_end_with_the_duration() -> None:
    """Traffic and faults are one stream."""
    due = [each.due_s for each in bad_night().script()]
    assert due == sorted(due)
    assert due[-1] < 3_600


HEADER = '{"record":"script","format":1,"plan":{}}'
DOOR = '{"record":"door","thing":"a:l01","door":"d01","open":false,"occupied":true,"fault":null}'
MOVE = '{"record":"move","due_s":5,"thing":"a:l01","door":"d01","step":"open"}'


def fault(kind: str) -> str:
    return (
        f'{{"record":"fault","due_s":1,"fault":"{kind}","thing":"a:l01","door":"d01","seconds":0,'
        '"count":0,"buffer_lost":false,"reason":null,"victim":null}'
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], r":1: empty file"),
        ([DOOR], r":1: the header belongs on the first line"),
        ([HEADER, HEADER], r":2: the header belongs on the first line"),
        ([HEADER, DOOR, MOVE.replace("open", "kick")], r":3: step: .*got 'kick'"),
        ([HEADER, DOOR, MOVE.replace("d01", "d09")], r":3: a:l01/d09 is not among the doors"),
        ([HEADER, DOOR, MOVE, MOVE.replace("5", "4")], r":4: due at 4 s, after 5 s"),
        ([HEADER, DOOR.replace("a:l01", "A")], r":2: 'A' is not <building>:<locker>"),
        ([HEADER, "{"], r":2: line: "),
        ([HEADER, DOOR, fault("duplicate")], r":3: duplicate is no fault at a locker"),
        ([HEADER, DOOR, fault("malformed")], r":3: reason: no publish .* as None"),
        ([HEADER, DOOR, fault("impersonation")], r":3: victim: None is not among the lockers"),
        ([HEADER, DOOR, MOVE[:-1] + ',"wire":"flapping"}'], r":3: .*flapping.* no fault of the w"),
    ],
)
def test_a_broken_file_is_told_where(tmp_path: Path, lines: list[str], words: str) -> None:
    """File, line, and what is wrong there."""
    path = tmp_path / "script.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ScriptError, match=rf"script\.jsonl{words}"):
        read_script(path)
