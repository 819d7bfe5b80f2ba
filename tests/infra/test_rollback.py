"""A rollback on the deployed stacks: events go to an earlier version, and back again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.deploy import deploy
from local.endpoint import Endpoint
from scripts.errors import CommandError
from scripts.rollback import carry_out, plan
from tests.support.appsync_stack import ministack
from tests.support.templates import Assembly

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

PARTS = ("latchline-dev-projector", "latchline-dev-fanout")


@pytest.fixture
def deployed(
    assemblies: dict[str, Assembly], tmp_path: Path
) -> Iterator[tuple[Any, dict[str, str]]]:
    """Lambda's client and the outputs of a first deployment."""
    with ministack(tmp_path) as emulator:
        endpoint = Endpoint(emulator.url, emulator.access_key, emulator.secret_key)
        outputs = dict(deploy(endpoint, assemblies["dev-bus"].folder, lambda _: None).outputs)
        yield emulator.client("lambda"), outputs


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


def test_an_earlier_version_takes_the_events(deployed: tuple[Any, dict[str, str]]) -> None:
    """There, one more, not beyond the first, and back to what was deployed last."""
    client, outputs = deployed
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
