"""The layers: the same bytes from the same lock, small, and nothing in them but libraries."""

import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.bytecode import NONE, Compiler
from infra.errors import LayerError
from infra.layers import (
    FUNCTIONS,
    ROOT,
    build,
    built_with,
    content_hash,
    is_built,
    layer_directory,
    layer_hash,
)

pytestmark = pytest.mark.infra

UV = str(Path(sys.executable).parent / "uv")
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""AWS: what the runtime python3.13 brings with it; here those of our own interpreter."""
MAX_ZIPPED = 20_000_000
UNWANTED = ("tests", "bin", "RECORD", "INSTALLER", "boto3", "botocore")
"""boto3 comes with the runtime."""


@pytest.fixture(params=FUNCTIONS)
def function(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def layer(function: str) -> Path:
    """As it would be uploaded, where it has been built (make layers)."""
    if not is_built(function):
        pytest.skip(f"the layer of {function} is not built from its lock: make layers")
    return layer_directory(function)


def test_it_holds_libraries_and_nothing_else(function: str, layer: Path) -> None:
    """Every package of the lock, for the processor and Python of the function."""
    found = [path for name in UNWANTED for path in layer.rglob(name)]
    assert found == []
    locked = {
        line.split("==")[0].replace("-", "_").lower()
        for line in (ROOT / "locks" / f"{function}.txt").read_text().splitlines()
        if "==" in line
    }
    installed = {path.name.split("-")[0].lower() for path in layer.glob("python/*.dist-info")}
    assert installed == locked
    for library in layer.rglob("*.so"):
        assert "aarch64" in library.name or library.name.endswith("abi3.so"), library
        assert library.read_bytes()[18:20] == b"\xb7\x00", f"{library} is not for arm64"


def test_every_module_is_compiled(function: str, layer: Path) -> None:
    """Unless somebody wanted none of it: then nothing is."""
    modules = {path.relative_to(layer) for path in layer.rglob("*.py")}
    compiled = {
        path.parent.parent.relative_to(layer) / path.name.replace(".cpython-313.pyc", ".py")
        for path in layer.rglob("*.pyc")
    }
    assert compiled == (set() if built_with(function) == NONE else modules)


def test_its_hash_names_its_compiler(function: str) -> None:
    """Bytes that differ never share a hash: the CDK would upload only the first of them."""
    hashes = {layer_hash(function, version) for version in (NONE, "3.13.0", "3.13.18")}
    assert len(hashes) == 3


def test_it_is_small_enough_for_a_quick_start(layer: Path) -> None:
    """At most 20 MB zipped, code and all."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in [*layer.rglob("*"), *(ROOT / "pipeline").glob("*.py")]:
            if file.is_file():
                archive.write(file, file.relative_to(ROOT))
    assert zipped.tell() <= MAX_ZIPPED


def test_two_builds_are_the_same(
    function: str,
    layer: Path,
    compilers: dict[str, Compiler],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Byte for byte, bytecode and all; from uv's cache, so that no index is asked."""
    version = built_with(function)
    if version not in {NONE, *compilers}:
        pytest.skip(f"no CPython {version} on this machine")
    monkeypatch.setenv("UV_OFFLINE", "1")
    try:
        again = build(function, tmp_path / "somewhere" / "else", compiler=compilers.get(version))
    except LayerError as error:
        if "network" in str(error):
            pytest.skip("uv's cache does not hold the wheels")
        raise
    assert content_hash(again) == content_hash(layer)


@pytest.fixture
def python(compilers: dict[str, Compiler]) -> str:
    """An interpreter of the function's version, where the machine has one."""
    if not compilers:
        pytest.skip("no Python 3.13 on this machine")
    return str(next(iter(compilers.values())).python)


def test_the_function_starts_with_its_lock_and_nothing_else(
    function: str, python: str, tmp_path: Path
) -> None:
    """Python 3.13, the locked versions (built for this machine) and the runtime's boto3: no more.

    From uv's cache, so that no index is asked.
    """
    installed = subprocess.run(
        [
            *(UV, "pip", "install", "--offline", "--quiet", "--require-hashes"),
            *("--python", python, "--target", str(tmp_path)),
            *("--requirement", str(ROOT / "locks" / f"{function}.txt")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip("uv's cache does not hold the wheels")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in RUNTIME:
        origin = importlib.util.find_spec(name).origin
        path = Path(origin).parent if origin.endswith("__init__.py") else Path(origin)
        (runtime / path.name).symlink_to(path)
    names = ["pipeline", "aws_lambda_powertools", "pydantic"]
    code = (
        f"import sys; sys.path += [{str(ROOT)!r}, {str(tmp_path)!r}, {str(runtime)!r}]\n"
        f"import pipeline.{function} as part\n"
        f"print(callable(part.handler), *(name in sys.modules for name in {names}))"
    )
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_every_file_counts(tmp_path: Path) -> None:
    """A name, a byte or a folder more is another layer; the time of a file is not."""
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        (folder / "python").mkdir(parents=True)
        (folder / "python" / "a.py").write_text("a = 1\n")
    assert content_hash(first) == content_hash(second)
    (second / "python" / "b.py").write_text("")
    assert content_hash(first) != content_hash(second)
