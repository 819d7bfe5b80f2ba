"""The Lambda layers: a function's libraries, arm64 wheels for its Python, from its lock file.

`python -m infra.layers` builds what is missing or out of date into build/layers/<function>/, which
is what the layer's zip holds. It needs uv and a package index, and the compiler of
`infra.bytecode`, which uv fetches.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.bytecode import COMPILER, LANGUAGE, NONE, Compiler, fetched
from infra.errors import InfraError, LayerError

ROOT = Path(__file__).parent.parent
PYTHONS = ROOT / "build" / "python"
"""Where uv keeps the compiler: nothing is installed outside this folder."""
FUNCTIONS = ("projector", "fanout")
TARGET = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", LANGUAGE)
"""Lambda's python3.13 on arm64 is Amazon Linux 2023: glibc 2.34."""
MAX_BYTES = 60_000_000
"""Ours, unzipped: about three times what keeps a zip below 20 MB. AWS allows 250 MB."""
JUNK = (
    "bin",
    ".lock",
    "*/tests",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
)
"""What no import needs. The last three tell of the installation, not of the library."""
_RECORD = "lock.sha256"
_PLACEHOLDER = "Nothing is built here: run `python -m infra.layers`.\n"


def layer_directory(function: str) -> Path:
    return ROOT / "build" / "layers" / function


def layer_hash(function: str, compiler: str = COMPILER) -> str:
    """Of what decides the layer's content, so that it is known without building the layer.

    `compiler`: the version of CPython that wrote the bytecode, or `infra.bytecode.NONE`.
    """
    lock = ROOT / "locks" / f"{function}.txt"
    try:
        content = lock.read_bytes()
    except FileNotFoundError:
        raise LayerError(f"{lock} does not exist: run `make locks`") from None
    recipe = " ".join((*TARGET, *JUNK, compiler)).encode()
    return hashlib.sha256(recipe + b"\0" + content).hexdigest()


def content_hash(directory: Path) -> str:
    """Of every file with its name: two builds of one lock are the same, wherever they were made."""
    digest = hashlib.sha256()
    for file in sorted(file for file in directory.rglob("*") if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{content}  {file.relative_to(directory).as_posix()}\n".encode())
    return digest.hexdigest()


def built_with(function: str) -> str | None:
    """Who compiled the layer, None unless the directory holds that of the lock as it is now."""
    record = layer_directory(function) / _RECORD
    if not record.exists():
        return None
    expected, _, compiler = record.read_text(encoding="ascii").strip().partition(" ")
    return compiler if compiler and expected == layer_hash(function, compiler) else None


def is_built(function: str) -> bool:
    """Whether the directory holds the layer of the lock as it is now."""
    return built_with(function) is not None


def source_for_synth(function: str, *, required: bool) -> tuple[Path, str]:
    """The layer's directory and hash; a placeholder in it unless a built layer is required.

    AWS: CDK uploads an asset once for each hash, and ours is the lock's. A placeholder uploaded
    under that hash would stay there, hence `required` wherever the CDK command line is at work.

    Raises
    ------
    LayerError
        It is required and not built.
    """
    directory = layer_directory(function)
    compiler = built_with(function)
    if compiler is not None:
        return directory, layer_hash(function, compiler)
    if required:
        raise LayerError(
            f"the layer of {function} is not built from locks/{function}.txt as it is now: "
            "run `make layers`"
        )
    (directory / "python").mkdir(parents=True, exist_ok=True)
    if not (directory / _RECORD).exists():
        (directory / "python" / "PLACEHOLDER").write_text(_PLACEHOLDER, encoding="ascii")
    return directory, layer_hash(function)


def build(
    function: str, directory: Path | None = None, *, compiler: Compiler | None = None
) -> Path:
    """Install the locked wheels, whole or not at all; return the layer's directory.

    With bytecode if there is a `compiler`. `directory` instead of the one that is deployed.

    Raises
    ------
    LayerError
        With what uv or the compiler said.
    """
    directory = directory or layer_directory(function)
    partial = directory.with_name(f".{function}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    lock = ROOT / "locks" / f"{function}.txt"
    version = NONE if compiler is None else compiler.version
    command = [
        str(_uv()),
        *("pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"),
        *("--no-compile-bytecode", "--target", str(partial / "python"), *TARGET),
        *("--requirement", str(lock)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise LayerError(
            f"uv could not install {lock.name} for Lambda (is there a network, or a package index "
            f"that uv is set up for?):\n{done.stderr.strip()}"
        )
    _strip(partial)
    if compiler is not None:
        compiler.compile(partial)
    record = f"{layer_hash(function, version)} {version}\n"
    (partial / _RECORD).write_text(record, encoding="ascii")
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)
    return directory


def _strip(partial: Path) -> None:
    """Remove what no import needs, and see that the rest is small enough for a quick cold start."""
    for pattern in JUNK:
        for found in list((partial / "python").glob(pattern)):
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()
    size = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    if size > MAX_BYTES:
        shutil.rmtree(partial, ignore_errors=True)
        raise LayerError(f"{partial.name}: {size} bytes unzipped, at most {MAX_BYTES} are allowed")


def _uv() -> Path:
    """Prefer the uv beside the interpreter that runs us (locks/uv.txt) to the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = beside if beside.exists() else shutil.which("uv")
    if found is None:
        raise LayerError(f"no uv beside {sys.executable} or on PATH: run `make setup`")
    return Path(found)


def _build_missing(wanted: str, compiler: Callable[[], Compiler | None]) -> None:
    """Build what was not built by the `wanted` version; only then is a compiler asked for."""
    for function in FUNCTIONS:
        if built_with(function) == wanted:
            print(f"{function}: up to date")  # noqa: T201
            continue
        directory = build(function, compiler=compiler())
        print(f"{function}: {directory}, sha256 {content_hash(directory)}")  # noqa: T201


def _remark(version: str) -> str | None:
    """What is special about layers that not every machine would build like this."""
    if version == NONE:
        return "without bytecode, as asked: a cold start imports two to three times as long"
    if version != COMPILER:
        return (
            f"compiled by CPython {version}, not {COMPILER}: a deployment from a machine "
            "that has the other one publishes the layers again"
        )
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.layers", description="Build the layers.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--python", type=Path, help=f"compile with this CPython {LANGUAGE}, not with {COMPILER}"
    )
    choice.add_argument("--no-bytecode", action="store_true", help="sources only")
    options = parser.parse_args(arguments)
    try:
        if options.no_bytecode:
            version = NONE
            _build_missing(version, lambda: None)
        elif options.python is not None:
            named = Compiler.of(options.python)
            version = named.version
            _build_missing(version, lambda: named)
        else:
            version = COMPILER
            _build_missing(version, lambda: fetched(_uv(), PYTHONS))
    except InfraError as error:
        print(f"layers: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if remark := _remark(version):
        print(f"layers: {remark}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
