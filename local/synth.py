"""Synthesizes the CDK app into build/cdk.out, if what it is made from has changed."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from local.digest import add_files, source_files
from local.endpoint import HERMETIC
from local.errors import SynthesisError
from local.node import path_with_node

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = ("infra", "iot_rules", "pipeline", "locks")
DEFAULT_ROUTE = "bus"
TIMEOUT_S = 300
"""It takes 8 to 14 s on an idle machine of two cores."""
_STAMP = "latchline.sha256"
_OUTPUT_TAIL = 15


def synthesize(route: str = DEFAULT_ROUTE, *, project: Path = PROJECT) -> Path:
    """Return the cloud assembly's folder for stage `dev` and this route, fresh.

    Safe to call from several processes at once: one synthesizes, the others wait.

    Raises
    ------
    SynthesisError
        The app failed; the message has the end of what it said.
    """
    suffix = "" if route == DEFAULT_ROUTE else f"-{route}"
    out = project / "build" / f"cdk.out{suffix}"
    out.parent.mkdir(exist_ok=True)
    context = {"route": route}
    with (out.parent / f".synth{suffix}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = _digest_of_sources(context, project)
        stamp = out / _STAMP
        # The assembly's own digest too: a `cdk synth` for another stage may have been there since.
        if stamp.exists() and stamp.read_text() == f"{sources} {_digest_of_assembly(out)}":
            return out
        run_app(["-m", "infra.app"], out, context, project)
        stamp.write_text(f"{sources} {_digest_of_assembly(out)}")
    return out


def run_app(program: list[str], out: Path, context: dict[str, str], project: Path) -> None:
    """Run a CDK app (arguments for Python) of a project into `out`.

    Raises
    ------
    SynthesisError
        It exits with an error, takes too long, or writes no manifest.
    """
    hermetic = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    command = [sys.executable, *program]
    try:
        done = subprocess.run(
            command,
            cwd=project,
            env={
                **hermetic,
                **HERMETIC,
                "PATH": path_with_node(os.environ),
                "CDK_OUTDIR": str(out),
                "CDK_CONTEXT_JSON": json.dumps(context),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SynthesisError(f"the CDK app did not end within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-_OUTPUT_TAIL:])
        raise SynthesisError(
            f"the CDK app failed (exit status {done.returncode}); try `make synth`:\n{tail}"
        )
    if not (out / "manifest.json").exists():
        raise SynthesisError(f"the CDK app wrote no {out / 'manifest.json'}")


def _digest_of_sources(context: dict[str, str], project: Path) -> str:
    digest = hashlib.sha256(json.dumps(context, sort_keys=True).encode())
    digest.update(importlib.metadata.version("aws-cdk-lib").encode())
    for name in SOURCES:
        add_files(digest, project, source_files(project / name))
    return digest.hexdigest()


def _digest_of_assembly(out: Path) -> str:
    digest = hashlib.sha256()
    add_files(digest, out, sorted(out.glob("*.json")))
    return digest.hexdigest()
