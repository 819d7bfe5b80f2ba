"""The Lambda layers: a function's libraries, arm64 wheels for its Python, from its lock file.

`python -m infra.layers` builds what is missing or out of date into build/layers/<function>/, which
is what the layer's zip holds. It needs uv and a package index.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from infra.errors import InfraError, LayerError

ROOT = Path(__file__).parent.parent
FUNCTIONS = ("projector", "fanout")
TARGET = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13")
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


def layer_hash(function: str) -> str:
    """Of what decides the layer's content, so that it is known without building the layer."""
    lock = ROOT / "locks" / f"{function}.txt"
    try:
        content = lock.read_bytes()
    except FileNotFoundError:
        raise LayerError(f"{lock} does not exist: run `make locks`") from None
    recipe = " ".join((*TARGET, *JUNK)).encode()
    return hashlib.sha256(recipe + b"\0" + content).hexdigest()


def content_hash(directory: Path) -> str:
    """Of every file with its name: two builds of one lock are the same, wherever they were made."""
    digest = hashlib.sha256()
    for file in sorted(file for file in directory.rglob("*") if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{content}  {file.relative_to(directory).as_posix()}\n".encode())
    return digest.hexdigest()


def is_built(function: str) -> bool:
    """Whether the directory holds the layer of the lock as it is now."""
    record = layer_directory(function) / _RECORD
    return record.exists() and record.read_text(encoding="ascii").strip() == layer_hash(function)


def directory_for_synth(function: str, *, required: bool) -> Path:
    """The layer's directory; a placeholder in it unless a built layer is required.

    AWS: CDK uploads an asset once for each hash, and ours is the lock's. A placeholder uploaded
    under that hash would stay there, hence `required` wherever the CDK command line is at work.

    Raises
    ------
    LayerError
        It is required and not built.
    """
    directory = layer_directory(function)
    if is_built(function):
        return directory
    if required:
        raise LayerError(
            f"the layer of {function} is not built from locks/{function}.txt as it is now: "
            "run `make layers`"
        )
    (directory / "python").mkdir(parents=True, exist_ok=True)
    if not (directory / _RECORD).exists():
        (directory / "python" / "PLACEHOLDER").write_text(_PLACEHOLDER, encoding="ascii")
    return directory


def build(function: str, directory: Path | None = None) -> Path:
    """Install the locked wheels, whole or not at all; return the layer's directory.

    `directory` instead of the one that is deployed.

    Raises
    ------
    LayerError
        With what uv said.
    """
    directory = directory or layer_directory(function)
    partial = directory.with_name(f".{function}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    lock = ROOT / "locks" / f"{function}.txt"
    expected = layer_hash(function)
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
    (partial / _RECORD).write_text(f"{expected}\n", encoding="ascii")
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


def main() -> int:
    try:
        for function in FUNCTIONS:
            if is_built(function):
                print(f"{function}: up to date")  # noqa: T201
                continue
            directory = build(function)
            print(f"{function}: {directory}, sha256 {content_hash(directory)}")  # noqa: T201
    except InfraError as error:
        print(f"layers: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
