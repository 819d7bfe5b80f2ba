"""The context values that make a deployment: their defaults, and what is said of wrong ones."""

import re
from dataclasses import dataclass, field

import pytest

from infra.deployment import Deployment, Route, Tracing
from infra.errors import DeploymentError

pytestmark = pytest.mark.infra

LAYER = "arn:aws:lambda:eu-central-1:615299751070:layer:AWSOpenTelemetryDistroPython:19"


@dataclass
class Node:
    """What a deployment reads of the CDK's."""

    context: dict[str, str] = field(default_factory=dict)

    def try_get_context(self, name: str) -> str | None:
        return self.context.get(name)


def test_an_empty_value_is_the_default() -> None:
    """As make hands it on when nobody has named one."""
    names = ("stage", "route", "tracing", "adot-layer", "page-domain", "page-certificate")
    found = Deployment.from_context(Node(dict.fromkeys(names, "")))
    assert found == Deployment("dev", Route.BUS, Tracing.ACTIVE)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "Prod_1"}, "context stage='Prod_1': wanted a letter"),
        ({"route": "train"}, "context route='train': wanted bus or direct"),
        (
            {"page-domain": "lockers.example"},
            "context page-domain='lockers.example', page-certificate=None: wanted both or neither",
        ),
        ({"tracing": "xray"}, "context tracing='xray': wanted off or active or adot"),
        ({"tracing": "adot"}, "context tracing='adot', adot-layer=None: tracing=adot wants its"),
        ({"adot-layer": LAYER}, f"context tracing='active', adot-layer='{LAYER}': "),
        (
            {"tracing": "adot", "adot-layer": LAYER.rpartition(":")[0]},
            f"context adot-layer='{LAYER.rpartition(':')[0]}': wanted the ARN of a layer's version",
        ),
    ],
)
def test_a_wrong_value_is_named(context: dict[str, str], message: str) -> None:
    """And what is wanted instead."""
    with pytest.raises(DeploymentError, match=f"^{re.escape(message)}"):
        Deployment.from_context(Node(context))
