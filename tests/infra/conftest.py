"""The templates of every stage and route, synthesized once a session."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from infra.bytecode import Compiler
from infra.errors import LayerError
from infra.layers import PYTHONS
from tests.support.appsync_stack import MiniStack, ministack
from tests.support.templates import Assembly, end_synthesis, start_synthesis

VARIANTS = [f"{stage}-{route}" for stage, route in product(("dev", "prod"), ("bus", "direct"))]


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Assembly]:
    """By `<stage>-<route>`. The app is run twice at a time: it is one core's work."""
    folder = tmp_path_factory.mktemp("assemblies")
    done: dict[str, Assembly] = {}
    for pair in (VARIANTS[:2], VARIANTS[2:]):
        running = {}
        for variant in pair:
            stage, route = variant.split("-")
            out = folder / variant
            running[variant] = start_synthesis(out, {"stage": stage, "route": route})
            done[variant] = Assembly(stage, route, out)
        for variant, process in running.items():
            status, errors = end_synthesis(process)
            assert status == 0, f"{variant}: {errors}"
    return done


@pytest.fixture(params=VARIANTS)
def assembly(request: pytest.FixtureRequest, assemblies: dict[str, Assembly]) -> Assembly:
    """Each of them in turn."""
    return assemblies[request.param]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """MiniStack with authorization on."""
    folder: Path = tmp_path_factory.mktemp("emulator")
    with ministack(folder) as running:
        yield running


@pytest.fixture(scope="session")
def compilers() -> dict[str, Compiler]:
    """Every CPython 3.13 of this machine, by its version."""
    on_path = shutil.which("python3.13")
    installed = [
        *PYTHONS.glob("cpython-3.13*/bin/python3.13"),
        *(Path.home() / ".pyenv" / "versions").glob("3.13*/bin/python"),
    ]
    found: dict[str, Compiler] = {}
    for python in [*([Path(on_path)] if on_path else []), *installed]:
        try:
            compiler = Compiler.of(python)
        except LayerError:  # a shim may be there without what it stands for
            continue
        found.setdefault(compiler.version, compiler)
    return found
