"""A cloud assembly (what CDK synthesizes) as data: stacks in order, their templates and assets."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.errors import DeploymentError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Zip's first date: the same folder gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file or folder that a template refers to by bucket and key.

    `bucket` and `key` may hold `${AWS::AccountId}` and the like.
    """

    source: Path
    zipped: bool
    bucket: str
    key: str

    def content(self) -> bytes:
        """The bytes to upload; a folder is zipped."""
        return zip_folder(self.source) if self.zipped else self.source.read_bytes()


@dataclass(frozen=True, slots=True)
class Stack:
    """One CloudFormation stack. `depends_on` are names of artifacts."""

    artifact: str
    name: str
    template: Mapping[str, Any]
    assets: tuple[Asset, ...]
    depends_on: frozenset[str]
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_assembly(folder: Path) -> list[Stack]:
    """Return the stacks, each after those that it depends on.

    Raises
    ------
    DeploymentError
        The folder holds no assembly, or stacks depend on each other in a circle.
    """
    artifacts = _read_json(folder / "manifest.json").get("artifacts", {})
    stacks = {
        name: _stack(folder, name, artifact, artifacts)
        for name, artifact in artifacts.items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    ordered: list[Stack] = []
    placed: set[str] = set()
    while len(ordered) < len(stacks):
        ready = [
            stack
            for name, stack in stacks.items()
            if name not in placed and (stack.depends_on & stacks.keys()) <= placed
        ]
        if not ready:
            left = sorted(stacks.keys() - placed)
            raise DeploymentError(f"stacks depend on each other in a circle: {', '.join(left)}")
        ordered += ready
        placed |= {stack.artifact for stack in ready}
    return ordered


def _stack(
    folder: Path, artifact_id: str, artifact: Mapping[str, Any], artifacts: Mapping[str, Any]
) -> Stack:
    dependencies = frozenset(artifact.get("dependencies", ()))
    assets = [
        asset
        for name in dependencies
        if artifacts.get(name, {}).get("type") == "cdk:asset-manifest"
        for asset in _assets(folder / artifacts[name]["properties"]["file"])
    ]
    properties = artifact["properties"]
    return Stack(
        artifact=artifact_id,
        name=properties.get("stackName", artifact_id),
        template=_read_json(folder / properties["templateFile"]),
        assets=tuple(assets),
        depends_on=dependencies,
        parameters=properties.get("parameters", {}),
    )


def _assets(manifest: Path) -> list[Asset]:
    listed = _read_json(manifest)
    return [
        Asset(
            source=manifest.parent / file["source"]["path"],
            zipped=file["source"].get("packaging") == "zip",
            bucket=destination["bucketName"],
            key=destination["objectKey"],
        )
        for file in listed.get("files", {}).values()
        for destination in file["destinations"].values()
    ]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DeploymentError(f"cannot read {path}: {error}; try `make synth`") from error
    if not isinstance(content, dict):
        raise DeploymentError(f"{path} is no JSON object; try `make synth`")
    return content


def zip_folder(folder: Path) -> bytes:
    """Zip the files below a folder, without caches and without their dates."""
    return zip_files(
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
    )


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Zip contents by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
