"""The command line as its user meets it: the good day, and the clear message on a bad one."""

import json
import re
import socket
from pathlib import Path

import jwt
import pytest

from simulators.target import Target
from tests.support.cli_stack import CliStack, cli_stack, latchline
from tests.support.processes import processes_with
from tests.support.wait import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

INFO_SHAPE = {
    "region": str,
    "endpoint_url": str,
    "access_key_id": str,
    "secret_access_key": str,
    "iot": {"endpoint": str, "port": int, "ca_file": str},
    "graphql": {"http": str, "realtime": str},
    "dashboard": str,
    "table": str,
    "bus": str,
    "archive": str,
    "device_policy": str,
    "queues": dict.fromkeys(
        (
            "ingest", "ingest_dlq", "projector", "projector_dlq",
            "quarantine", "bus_dlq", "iot_errors", "fanout_dlq",
        ),
        str,
    ),
    "functions": {"projector": str, "fanout": str},
    "cognito": {"user_pool_id": str, "client_id": str},
    "people": list,
}  # fmt: skip


def shape_of(value: object) -> object:
    return (
        {name: shape_of(each) for name, each in value.items()}
        if isinstance(value, dict)
        else type(value)
    )


def test_info_is_the_hand_over(stack: CliStack):
    """Exactly the documented shape, and only its owner may read the keys."""
    assert shape_of(stack.info) == INFO_SHAPE
    (file,) = stack.home.rglob("info.json")
    assert file.stat().st_mode & 0o077 == 0


def test_a_fleet_run_is_verified(stack: CliStack, tmp_path: Path):
    """A run leaves ground truth behind, and verify finds nothing lost, wrong or extra."""
    truth = tmp_path / "truth.jsonl"
    options = (
        "--lockers",
        "6",
        "--buildings",
        "2",
        "--doors",
        "3",
        "--rate",
        "20",
        "--duration",
        "6",
    )
    ran = stack.run("fleet", "run", *options, "--truth", str(truth), "--json")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["acknowledged"] >= 50
    verified = stack.run("verify", "--truth", str(truth), "--json")
    assert verified.returncode == 0, verified.stdout


def test_verify_finds_what_is_missing(stack: CliStack, tmp_path: Path):
    """An event that only the truth knows is reported as lost, and the exit status says so."""
    truth = tmp_path / "truth.jsonl"
    options = ("--lockers", "2", "--buildings", "1", "--rate", "10", "--duration", "3")
    assert stack.run("fleet", "run", *options, "--truth", str(truth)).returncode == 0
    lines = truth.read_text().splitlines()
    last = next(line for line in reversed(lines) if '"record":"event"' in line.replace(" ", ""))
    invented = json.loads(last)
    version = str(int(invented["version"]) + 1000).zfill(20)
    settled = {
        "record": "settled", "thing": invented["thing"], "version": version,
        "outcome": "acknowledged", "attempts": 1, "latency_ms": 1.0, "reason": None,
    }  # fmt: skip
    forged = [json.dumps({**invented, "version": version}), json.dumps(settled)]
    truth.write_text("\n".join([*lines[:-1], *forged, lines[-1]]) + "\n")
    verified = stack.run("verify", "--truth", str(truth))
    assert verified.returncode == 1
    assert "lost" in verified.stdout


def test_a_manager_of_any_building_is_made(stack: CliStack):
    """The password that is printed signs in, and the token has both groups."""
    buildings = ("--building", "dock-street", "--building", "elm-gardens")
    added = stack.run("people", "add", "ada@example.com", *buildings)
    assert added.returncode == 0, added.stderr
    (password,) = re.findall(r"password: (\S+)", added.stdout)
    cognito = Target.from_info(stack.info).client("cognito-idp")
    answer = cognito.admin_initiate_auth(
        UserPoolId=stack.info["cognito"]["user_pool_id"],
        ClientId=stack.info["cognito"]["client_id"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ada@example.com", "PASSWORD": password},
    )
    token = answer["AuthenticationResult"]["AccessToken"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims["cognito:groups"]) == {"building:dock-street", "building:elm-gardens"}


def test_a_second_up_of_the_same_name_is_refused(stack: CliStack):
    """Nothing is started, and the message says what to do."""
    again = stack.run("up")
    assert again.returncode != 0
    message = again.stdout + again.stderr
    assert stack.name in message
    assert "down" in message
    assert "Traceback" not in message


def test_a_port_that_is_taken_is_named(tmp_path: Path):
    """The message names the port; nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = latchline("up", "--name", "taken", "--port", str(port), home=tmp_path)
    assert refused.returncode != 0
    assert str(port) in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert not list(tmp_path.rglob("info.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "--json", "--name", "nobody"), "nobody"),
        (("verify", "--name", "nobody"), "nobody"),
        (("fleet", "run", "--name", "nobody", "--duration", "1"), "nobody"),
        (("fleet", "run", "--lockers", "0"), "0"),
        (("fleet", "run", "--rate", "fast"), "fast"),
        (("up", "--route", "sideways"), "sideways"),
        (("up", "--name", "No Such Name"), "No Such Name"),
        (("up", "--port", "99999"), "99999"),
        (("sideways",), "sideways"),
        (("people", "add", "ada@example.com", "--operator", "--name", "nobody"), "nobody"),
        (("people", "add", "ada@example.com"), "--building"),
        (("people", "add", "ada", "--operator"), "'ada'"),
        (("people", "add", "ada@example.com", "--building", "a b"), "'a b'"),
    ],
)
def test_what_cannot_be_is_said_clearly(arguments: tuple[str, ...], words: str, tmp_path: Path):
    """One message that names the value, exit status 2, no traceback."""
    refused = latchline(*arguments, home=tmp_path)
    message = refused.stdout + refused.stderr
    assert refused.returncode == 2, message
    assert words in message
    assert "Traceback" not in message


def test_the_demo_ends_by_itself_with_a_verdict(tmp_path: Path):
    """With a duration it stops, says what it saw and judges it; nothing is left running."""
    ran = latchline("demo", "--duration", "5", "--name", "demo-test", home=tmp_path, timeout_s=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    last = ran.stdout.strip().splitlines()[-1]
    assert re.search(r"ok: \d+ of \d+ events acknowledged, 0 lost, 0 wrong, 0 extra", last), last
    assert not list(tmp_path.rglob("info.json"))
    wait_for(lambda: not processes_with(str(tmp_path)), what="processes left by the demo")


def test_the_direct_route_ends_in_the_same_tiles(stack: CliStack, tmp_path: Path):
    """`route=direct` skips pipe and bus, same verdict; the stack beside it sees none of it."""
    with cli_stack(tmp_path, "direct", "--route", "direct") as direct:
        truth = tmp_path / "truth.jsonl"
        options = ("--lockers", "4", "--buildings", "2", "--rate", "20", "--duration", "5")
        ran = direct.run("fleet", "run", *options, "--truth", str(truth), "--json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        verified = direct.run("verify", "--truth", str(truth))
        assert verified.returncode == 0, verified.stdout
        beside = stack.run("verify", "--truth", str(truth), "--timeout", "0", "--json")
        assert beside.returncode == 1, beside.stdout
        history = json.loads(beside.stdout)["views"]["history"]
        assert history["lost"] == history["checked"] == json.loads(ran.stdout)["acknowledged"]
