"""What X-Ray is told of the functions: by default, with OpenTelemetry, and nothing."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from infra.functions import ADOT
from tests.support.templates import NODE_BIN, ROOT, TIMEOUT_S, Assembly, Resource

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]

LAYER = "arn:aws:lambda:eu-central-1:615299751070:layer:AWSOpenTelemetryDistroPython:19"
MAY_TRACE = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}


CONTEXTS = {"adot": {"tracing": "adot", "adot-layer": LAYER}, "off": {"tracing": "off"}}
# The stacks with functions and what they refer to, both modes in one process: the whole app, with
# the checks of cdk-nag, takes several times as long.
SYNTHESIS = """
import json, sys
from aws_cdk import App
from infra.deployment import Deployment
from infra.stacks.data import DataStack
from infra.stacks.fanout import FanoutStack
from infra.stacks.identity import IdentityStack
from infra.stacks.ingest import IngestStack

for mode, context in json.loads(sys.argv[2]).items():
    app = App(outdir=f"{sys.argv[1]}/{mode}", context=context, tree_metadata=False)
    deployment = Deployment.from_context(app.node)
    data = DataStack(app, deployment)
    IngestStack(app, deployment, data)
    FanoutStack(app, deployment, data, IdentityStack(app, deployment))
    app.synth()
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Assembly]:
    """By mode, those that are not the default."""
    folder = tmp_path_factory.mktemp("tracing")
    done = subprocess.run(
        [sys.executable, "-c", SYNTHESIS, str(folder), json.dumps(CONTEXTS)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{NODE_BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {mode: Assembly("dev", "bus", folder / mode) for mode in CONTEXTS}


def functions(assembly: Assembly) -> list[Resource]:
    found = list(assembly.resources("AWS::Lambda::Function"))
    assert len(found) == 2
    return found


def traces(role: Resource) -> list[dict[str, Any]]:
    """The statements of a role that name X-Ray."""
    return [
        statement
        for policy in role.properties.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if "xray:" in str(statement["Action"])
    ]


def test_lambda_records_a_sample_of_every_function(assembly: Assembly) -> None:
    """Without a library of ours, a wrapper or another layer: a cold start is what it was."""
    for function in functions(assembly):
        properties = function.properties
        assert properties["TracingConfig"] == {"Mode": "Active"}, function
        assert not set(ADOT) & set(properties["Environment"]["Variables"]), function
        assert len(properties["Layers"]) == 1, function


def test_only_the_functions_may_send_traces_and_no_more_than_that(assembly: Assembly) -> None:
    """Two actions, which AWS grants on no resource."""
    tracing = {role.id for role in assembly.resources("AWS::IAM::Role") if traces(role)}
    assert tracing == {each.referred(each.properties["Role"]).id for each in functions(assembly)}
    for role in assembly.resources("AWS::IAM::Role"):
        for statement in traces(role):
            assert set(statement["Action"]) == MAY_TRACE, role


def test_opentelemetry_is_a_layer_before_ours(traced: dict[str, Assembly]) -> None:
    """AWS: the later layer's file is seen, so that what is locked stays what is imported."""
    for function in functions(traced["adot"]):
        properties = function.properties
        adot, ours = properties["Layers"]
        assert adot == LAYER, function
        assert function.referred(ours).type == "AWS::Lambda::LayerVersion"
        assert ADOT.items() <= properties["Environment"]["Variables"].items(), function
        assert properties["TracingConfig"] == {"Mode": "Active"}, function


def test_off_leaves_nothing_of_it(traced: dict[str, Assembly]) -> None:
    """No mode, no right."""
    assert not any(traces(role) for role in traced["off"].resources("AWS::IAM::Role"))
    for function in functions(traced["off"]):
        assert "TracingConfig" not in function.properties, function
