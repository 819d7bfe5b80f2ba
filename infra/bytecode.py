"""Bytecode for the layers: AWS mounts /opt read-only, so what is not compiled in it never will be.

Without it every cold start compiles each library again: two thirds of an import's time. The
compiler is one exact CPython, because the bytes may differ between patch releases while all of 3.13
read them alike (its magic number is fixed since 3.13.0).
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.errors import LayerError

LANGUAGE = "3.13"
"""Lambda's runtime; part of the name of each file: `__pycache__/<module>.cpython-313.pyc`."""
COMPILER = "3.13.18"
"""Fetched by our locked uv, which knows its hash. Another one makes another layer."""
NONE = "none"
"""Instead of a version: the layer holds sources only."""
MOUNT = "/opt"
"""Where a function sees its layer; in tracebacks instead of the folder of the build."""
_SHOW = "import sys; print(sys.implementation.name, *sys.version_info[:3], sep='.')"


@dataclass(frozen=True, slots=True)
class Compiler:
    """A CPython 3.13 of this machine, by its version: `3.13.18`."""

    python: Path
    version: str

    @classmethod
    def of(cls, python: Path) -> "Compiler":
        """Raise LayerError unless `python` runs and is a CPython of Lambda's version."""
        try:
            shown = _run([str(python), "-I", "-c", _SHOW])
        except OSError as error:
            raise LayerError(f"{python} cannot be run: {error.strerror}") from None
        if shown.returncode != 0:
            raise LayerError(f"{python} cannot be run: {_last_line(shown)}")
        name, _, version = shown.stdout.strip().partition(".")
        if name != "cpython" or not version.startswith(f"{LANGUAGE}."):
            raise LayerError(f"{python} is {name} {version}: wanted a CPython {LANGUAGE}")
        return cls(python, version)

    def compile(self, directory: Path) -> None:
        """Write `__pycache__` below the directory, which will be seen as `/opt`.

        Unchecked hashes instead of times: a zip changes those. Alone and in the order of the names,
        because what is shared between constants depends on what was compiled before.

        Raises
        ------
        LayerError
            Names what does not compile.
        """
        done = _run(
            [
                *(str(self.python), "-I", "-W", "ignore", "-m", "compileall", "-q", "-f", "-j1"),
                *("--invalidation-mode", "unchecked-hash"),
                *("-s", str(directory), "-p", MOUNT, str(directory)),
            ]
        )
        if done.returncode != 0:
            raise LayerError(f"{directory.name} does not compile: {done.stdout.strip()}")


def fetched(uv: Path, directory: Path) -> Compiler:
    """The compiler that all machines use, installed into the directory if it is not there yet.

    Raises
    ------
    LayerError
        It cannot be fetched; says what else one can do.
    """
    uv_python = [str(uv), "python"]
    there = {"UV_PYTHON_INSTALL_DIR": str(directory)}
    installed = _run([*uv_python, "install", "--no-bin", COMPILER], there)
    if installed.returncode != 0:
        raise LayerError(
            f"CPython {COMPILER}, which compiles the layers, could not be fetched "
            f"({_last_line(installed)}). Name a mirror of python-build-standalone in "
            "UV_PYTHON_INSTALL_MIRROR, or a CPython 3.13 of this machine with LAYER_PYTHON=PATH, "
            "or do without bytecode (BYTECODE=no; a cold start imports two to three times as long)"
        )
    only = ("--managed-python", "--no-python-downloads", "--no-project")
    found = _run([*uv_python, "find", *only, COMPILER], there)
    if found.returncode != 0:
        raise LayerError(f"uv cannot find the CPython that it installed: {_last_line(found)}")
    return Compiler.of(Path(found.stdout.strip()))


def _run(
    command: list[str], settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(settings or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {done.returncode}"
