"""The command line: every mistake of a user is one clear line and exit status 2."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from typer.testing import CliRunner

from scripts.cli import app
from scripts.errors import explain

pytestmark = pytest.mark.unit


def told(home: Path, *arguments: str, **env: str) -> str:
    """Run a command that must fail with status 2; return what it said, in one line."""
    result = CliRunner().invoke(
        app, list(arguments), env={"LATCHLINE_HOME": str(home), "COLUMNS": "200", **env}
    )
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lockers", "0"], ["--lockers", "0"]),
        (["--lockers", "many"], ["--lockers", "many"]),
        (["--doors", "100"], ["--doors", "100"]),
        (["--rate", "0"], ["rate", "0"]),
        (["--rate", "-3"], ["rate", "-3"]),
        (["--duration", "0"], ["duration", "0"]),
        (["--dwell-scale", "0"], ["dwell scale", "0"]),
        (["--buildings", "5", "--lockers", "2"], ["5 buildings", "2"]),
        (["--no-such-flag"], ["--no-such-flag"]),
    ],
)
def test_a_wrong_flag_is_named_with_its_value(
    tmp_path: Path, flags: list[str], words: list[str]
) -> None:
    """The message has both the flag and what was given for it."""
    message = told(tmp_path, "fleet", "run", *flags)
    for word in words:
        assert word in message


def test_a_curve_of_one_rate_is_refused(tmp_path: Path) -> None:
    """`latency --plot` without --find-limit says what is missing, before any load."""
    message = told(tmp_path, "latency", "--plot", "knee.svg")
    assert "knee.svg" in message
    assert "--find-limit" in message


@pytest.mark.parametrize(
    "command", [["down"], ["info", "--json"], ["fleet", "run"], ["verify", "--truth", "TRUTH"]]
)
def test_without_a_stack_the_name_is_told_and_what_to_do(
    tmp_path: Path, command: list[str]
) -> None:
    """Commands that need a stack say which one is not there and how to start it."""
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"record":"run","format":1,"started_at_ms":1,"parameters":{}}\n')
    arguments = [str(truth) if each == "TRUTH" else each for each in command]
    message = told(tmp_path, *arguments, "--name", "nowhere")
    assert "nowhere" in message
    assert "latchline up" in message


def test_a_truth_that_was_never_recorded_is_told(tmp_path: Path) -> None:
    """verify without a run before it names the file it looked for."""
    message = told(tmp_path, "verify")
    assert "truth-default.jsonl does not exist" in message
    assert "fleet run" in message


def test_a_broken_truth_is_told_by_file_and_line(tmp_path: Path) -> None:
    """The line to look at is in the message."""
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"record":"run","format":1,"started_at_ms":1,"parameters":{}}\n{"rec\n')
    assert f"{truth}:2: " in told(tmp_path, "verify", "--truth", str(truth))


def test_a_stage_without_credentials_is_told(tmp_path: Path) -> None:
    """On AWS the first thing missing is the credentials."""
    nothing = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    message = told(tmp_path, "info", "--stage", "prod", **nothing)
    assert "no AWS credentials found" in message


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NoCredentialsError(), "no AWS credentials found"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9/"), "http://127.0.0.1:9/"),
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "m"}}, "DescribeStacks"),
            "credentials have expired",
        ),
    ],
)
def test_what_aws_clients_raise_becomes_one_line(error: Exception, line: str) -> None:
    """Foreseen failures of boto3 say what to do next."""
    said = explain(error)
    assert said is not None
    assert line in said
    assert "\n" not in said


def test_a_defect_keeps_its_traceback() -> None:
    """What nobody foresaw must not look like a user's mistake."""
    assert explain(KeyError("defect")) is None


def test_help_imports_nothing_heavy() -> None:
    """`latchline --help` answers at once because no command's library is loaded for it."""
    heavy = ("boto3", "botocore", "awscrt", "gql", "aiohttp", "pydantic", "cryptography")
    code = f"import sys, scripts.cli; print([m for m in {heavy!r} if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    """One look shows what there is."""
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("up", "down", "info", "fleet", "verify", "demo"):
        assert command in result.output
