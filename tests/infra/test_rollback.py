"""A rollback on the deployed stacks: events go to an earlier version, and back again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.deploy import deploy
from local.endpoint import Endpoint
from scripts.errors import CommandError
from scripts.rollback import carry_out, plan
from tests.support.appsync_stack import REGION, ministack
from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

LATCHLINE = str(Path(sys.executable).with_name("latchline"))
PARTS = ("latchline-dev-projector", "latchline-dev-fanout")


@dataclass(frozen=True)
class Deployed:
    """Lambda's client, the outputs of a first deployment, and what a terminal needs to see it."""

    client: Any
    outputs: dict[str, str]
    environment: dict[str, str]

    def latchline(self, *arguments: str) -> list[str]:
        """What the command says, line by line."""
        done = subprocess.run(
            [LATCHLINE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def deployed(assemblies: dict[str, Assembly], tmp_path: Path) -> Iterator[Deployed]:
    with ministack(tmp_path) as emulator:
        endpoint = Endpoint(emulator.url, emulator.access_key, emulator.secret_key)
        outputs = dict(deploy(endpoint, assemblies["dev-bus"].folder, lambda _: None).outputs)
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_ACCESS_KEY_ID": emulator.access_key,
            "AWS_SECRET_ACCESS_KEY": emulator.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        yield Deployed(emulator.client("lambda"), outputs, environment)


def deploy_again(client: Any) -> None:
    """As CloudFormation does: change the function, publish a version of it."""
    for name in PARTS:
        client.update_function_configuration(FunctionName=name, Description="changed")
        client.publish_version(FunctionName=name)


def live(client: Any, outputs: dict[str, str]) -> set[str]:
    """What the mappings invoke."""
    ids = (outputs["ProjectorMappingId"], outputs["FanoutMappingId"])
    arns = [client.get_event_source_mapping(UUID=each)["FunctionArn"] for each in ids]
    return {arn.partition(":function:")[2] for arn in arns}


def test_an_earlier_version_takes_the_events(deployed: Deployed) -> None:
    """There, one more, not beyond the first, and back to what was deployed last."""
    client, outputs = deployed.client, deployed.outputs
    with pytest.raises(CommandError, match="latchline-dev-projector has no version before 1"):
        plan(client, outputs, end=False)
    deploy_again(client)
    deploy_again(client)
    assert live(client, outputs) == set(PARTS)
    for version in ("2", "1"):
        carry_out(client, plan(client, outputs, end=False))
        assert live(client, outputs) == {f"{name}:{version}" for name in PARTS}
    with pytest.raises(CommandError, match="has no version before 1"):
        plan(client, outputs, end=False)
    carry_out(client, plan(client, outputs, end=True))
    assert live(client, outputs) == set(PARTS)
    assert plan(client, outputs, end=True) == []


def test_the_command_shows_first_and_then_does_it(deployed: Deployed) -> None:
    """Nothing is changed without --yes; --end is what make deploy runs."""
    deploy_again(deployed.client)
    shown = [f"{name}: version $LATEST → 1" for name in PARTS]
    said = deployed.latchline("rollback", "--stage", "dev")
    assert said == [*shown, "nothing is changed yet: the same with --yes"]
    assert live(deployed.client, deployed.outputs) == set(PARTS)
    assert deployed.latchline("rollback", "--stage", "dev", "--yes")[:2] == shown
    assert live(deployed.client, deployed.outputs) == {f"{name}:1" for name in PARTS}
    deployed.latchline("rollback", "--stage", "dev", "--end", "--yes")
    assert deployed.latchline("rollback", "--stage", "dev", "--end", "--yes") == [
        "the functions run as deployed last"
    ]
