"""A cloud assembly as data, and what is left out of its templates and policies on a laptop."""

import copy
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local.adapters.batch_actions import with_batch_calls
from local.adapters.plain_http import demands_tls
from local.assembly import Stack, read_assembly, zip_folder
from local.deploy import CutResource, cut
from local.errors import DeploymentError

pytestmark = pytest.mark.unit


def write_assembly(folder: Path, dependencies: dict[str, list[str]]) -> None:
    artifacts: dict[str, Any] = {
        name: {
            "type": "aws:cloudformation:stack",
            "dependencies": needed,
            "properties": {"stackName": f"latchline-{name}", "templateFile": f"{name}.json"},
        }
        for name, needed in dependencies.items()
    }
    artifacts["Tree"] = {"type": "cdk:tree", "properties": {"file": "tree.json"}}
    for name in dependencies:
        (folder / f"{name}.json").write_text('{"Resources": {}}')
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


def test_stacks_come_after_those_that_they_need(tmp_path: Path):
    """Whatever their order in the manifest; what is no stack does not count."""
    write_assembly(tmp_path, {"d": ["c", "b"], "c": ["a", "Tree"], "b": ["a"], "a": []})
    names = [stack.artifact for stack in read_assembly(tmp_path)]
    assert set(names) == {"a", "b", "c", "d"}
    assert names[0] == "a"
    assert names[-1] == "d"


def test_a_circle_is_named(tmp_path: Path):
    """With the stacks that are in it, and without those that could be placed."""
    write_assembly(tmp_path, {"a": [], "b": ["c"], "c": ["b"]})
    with pytest.raises(DeploymentError, match=r"in a circle: b, c$"):
        read_assembly(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_an_unreadable_assembly_is_named(tmp_path: Path, content: str | None):
    """The message has the file and what makes a new one."""
    file = tmp_path / "manifest.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DeploymentError, match="make synth") as refused:
        read_assembly(tmp_path)
    assert str(file) in str(refused.value)


def test_a_stack_brings_its_own_assets(tmp_path: Path):
    """Those of its asset manifest, with bucket and key as the templates name them."""
    write_assembly(tmp_path, {"a": ["a.assets"]})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["artifacts"]["a.assets"] = {
        "type": "cdk:asset-manifest",
        "properties": {"file": "a.assets.json"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    destination = {"here": {"bucketName": "assets-${AWS::AccountId}", "objectKey": "k.zip"}}
    source = {"path": "asset.1", "packaging": "zip"}
    (tmp_path / "a.assets.json").write_text(
        json.dumps({"files": {"1": {"source": source, "destinations": destination}}})
    )
    (tmp_path / "asset.1").mkdir()
    (tmp_path / "asset.1" / "handler.py").write_text("pass\n")
    ((asset,),) = [stack.assets for stack in read_assembly(tmp_path)]
    assert (asset.bucket, asset.key) == ("assets-${AWS::AccountId}", "k.zip")
    with zipfile.ZipFile(io.BytesIO(asset.content())) as archive:
        assert archive.namelist() == ["handler.py"]


def test_a_zipped_folder_is_the_same_bytes_again(tmp_path: Path):
    """Dates and caches do not count, so an unchanged function is not a new one."""
    contents = []
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "b.py").write_text("b")
        (folder / "a.py").write_text("a")
        if name == "other":
            (folder / "__pycache__").mkdir()
            (folder / "__pycache__" / "a.pyc").write_text("cache")
        contents.append(zip_folder(folder))
    assert contents[0] == contents[1]


def stack_of(template: dict[str, Any]) -> Stack:
    return Stack("a", "latchline-a", template, (), frozenset())


ARCHIVE = {"Type": "AWS::Events::Archive", "Properties": {"SourceArn": {"Ref": "Bus"}}}
QUEUE = {"Type": "AWS::SQS::Queue"}


def test_a_template_that_needs_no_cut_stays_the_very_same():
    """What is deployed is what was synthesized."""
    template = {"Resources": {"Queue": QUEUE}}
    assert cut(stack_of(template)) == (template, [])


def test_a_cut_resource_goes_with_the_outputs_that_show_it():
    """The rest stays as it is, and the adapter gets what was left out; the original is whole."""
    template = {
        "Resources": {"Queue": QUEUE, "Archive": ARCHIVE},
        "Outputs": {
            "QueueUrl": {"Value": {"Ref": "Queue"}},
            "ArchiveName": {"Value": {"Ref": "Archive"}},
            "ArchiveArn": {"Value": {"Fn::Sub": "arn:${AWS::Partition}:x/${Archive}"}},
        },
    }
    before = copy.deepcopy(template)
    kept, left_out = cut(stack_of(template))
    assert kept == {
        "Resources": {"Queue": QUEUE},
        "Outputs": {"QueueUrl": {"Value": {"Ref": "Queue"}}},
    }
    assert left_out == [
        CutResource("latchline-a", "Archive", "AWS::Events::Archive", ARCHIVE["Properties"])
    ]
    assert template == before


@pytest.mark.parametrize(
    "reference",
    [
        {"Properties": {"X": {"Ref": "Archive"}}},
        {"Properties": {"X": [{"Fn::GetAtt": ["Archive", "Arn"]}]}},
        {"Properties": {"X": {"Fn::GetAtt": "Archive.Arn"}}},
        {"Properties": {"X": {"Fn::Sub": "${Archive.Arn}/*"}}},
        {"Properties": {"X": {"Fn::Sub": ["${a}/*", {"a": {"Ref": "Archive"}}]}}},
        {"Properties": {"X": {"Fn::Join": ["", ["a", {"Ref": "Archive"}]]}}},
        {"DependsOn": "Archive"},
        {"DependsOn": ["Other", "Archive"]},
    ],
)
def test_a_cut_that_would_break_another_resource_is_refused(reference: dict[str, Any]):
    """Before anything is deployed, with both names."""
    template = {"Resources": {"Queue": {**QUEUE, **reference}, "Archive": ARCHIVE}}
    with pytest.raises(DeploymentError, match="latchline-a: Queue refers to Archive"):
        cut(stack_of(template))


SEND = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:queue"}


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("sqs:SendMessage", ["sqs:SendMessage", "sqs:SendMessageBatch"]),
        (
            ["sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:ReceiveMessage"],
            [
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:ReceiveMessage",
                "sqs:DeleteMessageBatch",
                "sqs:ChangeMessageVisibilityBatch",
            ],
        ),
        (
            ["sqs:SendMessage", "sqs:SendMessageBatch"],
            ["sqs:SendMessage", "sqs:SendMessageBatch"],
        ),
        ("sqs:*", "sqs:*"),
        (["dynamodb:PutItem"], ["dynamodb:PutItem"]),
    ],
)
def test_who_may_send_one_message_may_send_ten(actions: Any, expected: Any):
    """IAM has no action of its own for the batch calls; nothing else is added."""
    document = {"Version": "2012-10-17", "Statement": [{**SEND, "Action": actions}]}
    assert with_batch_calls(document) == {
        "Version": "2012-10-17",
        "Statement": [{**SEND, "Action": expected}],
    }


def test_batch_calls_keep_effect_and_resources():
    """A refusal grows in the same way; a statement by exclusion is left alone."""
    deny = {**SEND, "Effect": "Deny"}
    exclusion = {"Effect": "Allow", "NotAction": "sqs:SendMessage", "Resource": "*"}
    (first, second) = with_batch_calls({"Statement": [deny, exclusion]})["Statement"]
    assert first["Effect"] == "Deny"
    assert first["Resource"] == "arn:queue"
    assert "sqs:SendMessageBatch" in first["Action"]
    assert second == exclusion


def test_a_policy_may_have_one_statement_without_a_list():
    """IAM allows it, so a template may have it."""
    (only,) = with_batch_calls({"Statement": SEND})["Statement"]
    assert only["Action"] == ["sqs:SendMessage", "sqs:SendMessageBatch"]


TLS_ONLY = {
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "sqs:*",
    "Resource": "arn:queue",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": False}}}, True),
        ({"Effect": "Allow"}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
        ({"Condition": {}}, False),
        (
            {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
            False,
        ),
        (
            {
                "Condition": {
                    "Bool": {"aws:SecureTransport": "false"},
                    "StringNotEquals": {"aws:PrincipalAccount": "1"},
                }
            },
            False,
        ),
    ],
)
def test_only_the_demand_for_tls_is_found(change: dict[str, Any], expected: bool):
    """A statement that refuses anything else stays in the queue's policy."""
    assert demands_tls({**TLS_ONLY, **change}) is expected


def test_a_statement_without_a_condition_stays():
    """A plain refusal is no demand for TLS."""
    assert not demands_tls({key: TLS_ONLY[key] for key in ("Effect", "Action", "Resource")})
