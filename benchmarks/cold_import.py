"""What a cold start imports, with and without the layers' bytecode, in alternation.

    python -m benchmarks.cold_import --python /path/to/python3.13

AWS: arm64 wheels cannot be imported elsewhere, so the locked versions are installed for this
machine. A fresh interpreter each time, which may not write bytecode, imports the handler's module;
files are in the page cache. boto3 is the runtime's own on AWS and is left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.bytecode import Compiler
from infra.errors import InfraError
from infra.layers import FUNCTIONS, ROOT

UV = Path(sys.executable).with_name("uv")
BARE, COMPILED = "sources only", "bytecode"
# What the handlers import of the runtime's own, here without its cost.
_RUNTIME = ("botocore", "dateutil", "jmespath", "six", "urllib3")
_CODE = """
import sys, time
sys.path[1:1] = {paths!r}
import botocore.exceptions
wall, cpu = time.perf_counter(), time.process_time()
import pipeline.{function}
print((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
"""


def install(function: str, compiler: Compiler, folder: Path) -> None:
    """Install the versions of the function's lock, for this machine, without bytecode."""
    subprocess.run(
        [
            *(str(UV), "pip", "install", "--quiet", "--require-hashes", "--no-compile-bytecode"),
            *("--python", str(compiler.python), "--target", str(folder / "python")),
            *("--requirement", str(ROOT / "locks" / f"{function}.txt")),
        ],
        check=True,
    )


def imported(function: str, compiler: Compiler, *folders: Path) -> list[float]:
    """Wall clock and processor time of one import with these folders on the path, ms."""
    paths = [str(folder) for folder in folders]
    done = subprocess.run(
        [str(compiler.python), "-I", "-B", "-c", _CODE.format(paths=paths, function=function)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(value) for value in done.stdout.split()]


def runtime_libraries(folder: Path) -> Path:
    """What Lambda brings along, out of our own environment."""
    folder.mkdir()
    for path in Path(typer.__file__).parents[1].iterdir():
        if path.stem in _RUNTIME:
            (folder / path.name).symlink_to(path)
    return folder


def main(
    python: Annotated[Path, typer.Option(help="a CPython 3.13, as Lambda runs it")],
    times: Annotated[int, typer.Option(min=1, help="imports of each kind")] = 9,
) -> None:
    """Measure the cold import of both functions."""
    try:
        compiler = Compiler.of(python)
    except InfraError as error:
        raise typer.BadParameter(str(error)) from None
    table = Table("function", "libraries", "wall ms", "cpu ms", "least cpu ms")
    with tempfile.TemporaryDirectory() as name:
        runtime = runtime_libraries(Path(name) / "runtime")
        code = Path(name) / "code"
        shutil.copytree(
            ROOT / "pipeline", code / "pipeline", ignore=shutil.ignore_patterns("__*__")
        )
        for function in FUNCTIONS:
            folders = {kind: Path(name) / f"{function} {kind}" for kind in (BARE, COMPILED)}
            for folder in folders.values():
                install(function, compiler, folder)
            compiler.compile(folders[COMPILED])
            seen: dict[str, list[list[float]]] = {kind: [] for kind in folders}
            for _ in range(times):
                for kind, folder in folders.items():
                    seen[kind].append(
                        imported(function, compiler, code, folder / "python", runtime)
                    )
            for kind, values in seen.items():
                wall, cpu = ([each[column] for each in values] for column in (0, 1))
                row = (median(wall), median(cpu), min(cpu))
                table.add_row(function, kind, *(f"{value:.0f}" for value in row))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
