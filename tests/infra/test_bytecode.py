"""The layers' bytecode: the same bytes wherever it is made, read without a look at the source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bytecode import COMPILER, Compiler, fetched
from infra.errors import LayerError
from infra.layers import content_hash, main

pytestmark = pytest.mark.infra

UNCHECKED_HASH = 0b01
"""PEP 552: the flags of a file whose source nobody looks at."""
SOURCE = """
KINDS = {"opened", "closed", "forced", "faulted", "cleared"}


def fail(kind):
    if kind in {"opened", "closed"}:
        raise ValueError(kind)
"""


@pytest.fixture
def compiler(compilers: dict[str, Compiler]) -> Compiler:
    if not compilers:
        pytest.skip("no CPython 3.13 on this machine")
    return next(iter(compilers.values()))


def library(folder: Path) -> Path:
    """A layer with two modules."""
    package = folder / "python" / "lockers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from lockers.doors import fail\n")
    (package / "doors.py").write_text(SOURCE)
    return folder


def compiled(folder: Path) -> Path:
    (found,) = folder.rglob("doors.cpython-313.pyc")
    return found


def test_it_does_not_depend_on_place_time_or_hash_seed(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds in different folders, of files of different ages, give the same bytes."""
    first, second = library(tmp_path / "a"), library(tmp_path / "further" / "away")
    for source in second.rglob("*.py"):
        os.utime(source, (1, 1))
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    compiler.compile(first)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    compiler.compile(second)
    assert content_hash(first) == content_hash(second)


def test_it_is_read_without_a_look_at_the_source(compiler: Compiler, tmp_path: Path) -> None:
    """The times in a layer's zip are not those of the build, so no time may count."""
    compiler.compile(library(tmp_path))
    assert int.from_bytes(compiled(tmp_path).read_bytes()[4:8], "little") == UNCHECKED_HASH


def test_a_function_runs_the_bytecode(compiler: Compiler, tmp_path: Path) -> None:
    """And not the source; a traceback shows the layer's place, not the build's."""
    compiler.compile(library(tmp_path))
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'python')!r})\n"
        "from lockers import doors\n"
        "print(doors.__cached__)\n"
    )
    # Whatever is not bytecode shows in the source's own words.
    for source in tmp_path.rglob("*.py"):
        source.write_text("raise RuntimeError('this is the source')\n")
    done = subprocess.run(
        [str(compiler.python), "-I", "-B", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(compiled(tmp_path)), done.stderr
    written = compiled(tmp_path).read_bytes()
    assert b"/opt/python/lockers/doors.py" in written
    assert str(tmp_path).encode() not in written


def test_what_does_not_compile_is_named(compiler: Compiler, tmp_path: Path) -> None:
    """A broken module stops the build; at AWS it would stop a function."""
    library(tmp_path)
    (tmp_path / "python" / "lockers" / "broken.py").write_text("def (:\n")
    with pytest.raises(LayerError, match=r"broken\.py"):
        compiler.compile(tmp_path)


def test_another_python_is_refused(tmp_path: Path) -> None:
    """Lambda would not read what it writes; the message names interpreter and version."""
    if sys.version_info[:2] == (3, 13):
        pytest.skip("this is the right one")
    with pytest.raises(LayerError, match=r"cpython 3\.\d+\.\d+: wanted a CPython 3\.13"):
        Compiler.of(Path(sys.executable))


@pytest.mark.parametrize("name", ["nowhere", "broken"])
def test_an_interpreter_that_does_not_run_is_named(name: str, tmp_path: Path) -> None:
    """Also a shim that stands for nothing."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(LayerError, match=rf"{name} cannot be run: (No such file|no such version)"):
        Compiler.of(tmp_path / name)


def test_without_the_compiler_it_says_what_else_one_can_do(tmp_path: Path) -> None:
    """Layers silently without bytecode would be slow, and others than the next machine's."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'cause: no route to host' >&2\nexit 2\n")
    uv.chmod(0o755)
    with pytest.raises(LayerError) as refused:
        fetched(uv, tmp_path)
    for part in (COMPILER, "no route to host", "LAYER_PYTHON=", "BYTECODE=no"):
        assert part in str(refused.value)


def test_the_fetched_compiler_is_asked_for_by_its_exact_version(
    compiler: Compiler, tmp_path: Path
) -> None:
    """From uv's own store below the project, not whatever the machine has."""
    uv, asked = tmp_path / "uv", tmp_path / "asked"
    uv.write_text(
        f'#!/bin/sh\necho "$UV_PYTHON_INSTALL_DIR $*" >> {asked}\n'
        f'test "$2" = install || echo {compiler.python}\n'
    )
    uv.chmod(0o755)
    assert fetched(uv, tmp_path / "store") == compiler
    install, find = asked.read_text().splitlines()
    for line in (install, find):
        assert line.startswith(f"{tmp_path / 'store'} python ")
        assert line.endswith(f" {COMPILER}")
    assert "--managed-python" in find


def test_a_wrong_interpreter_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and one line; nothing is built."""
    assert main(["--python", str(tmp_path / "python3.13")]) == 1
    assert capsys.readouterr().err == (
        f"layers: {tmp_path / 'python3.13'} cannot be run: No such file or directory\n"
    )
