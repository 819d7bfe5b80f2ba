"""How large the zips are that are deployed: a function's code, and the layer with its libraries.

Our layers are those that `make deploy` would upload, the textbook's come from locks of their own by
the same recipe. They are compared by their sources; ours hold bytecode as well.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import benchmarks.textbook
from benchmarks.comparison.designs import OURS, Design, Function
from infra.errors import LayerError
from infra.layers import build, built_with, layer_directory
from local.assembly import read_assembly
from local.synth import synthesize


def source_bytes(design: Design, function: Function) -> int:
    """Code and layer together, without bytecode (blocking).

    Raises
    ------
    LayerError
        Our layer is not built, or the textbook's cannot be: there is no package index.
    """
    layer = _files(_layer(design, function))
    return zipped(_code(design, function)) + zipped(
        file for file in layer if "__pycache__" not in file.parts
    )


def deployed_bytes(function: Function) -> int:
    """Ours, as uploaded (blocking); raises as `source_bytes` does."""
    return zipped(_code(OURS, function)) + zipped(_files(_layer(OURS, function)))


def zipped(files: Iterable[Path]) -> int:
    """Bytes of a zip of the files, compressed as usual; names hardly weigh anything."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.as_posix())
    return buffer.tell()


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _layer(design: Design, function: Function) -> Path:
    layer = design.layers[function]
    if built_with(layer) is None:
        if design == OURS:
            raise LayerError(
                f"the layer {layer} is not built from its lock as it is now: run `make layers`"
            )
        build(layer, compiler=None)
    return layer_directory(layer)


def _code(design: Design, function: Function) -> list[Path]:
    """The function's own asset; ours is the one that the synthesized template refers to."""
    if design != OURS:
        return [Path(benchmarks.textbook.__file__).with_name(f"{function}.py")]
    for stack in read_assembly(synthesize("bus")):
        for resource in stack.template["Resources"].values():
            properties = resource.get("Properties", {})
            if properties.get("Handler") == f"pipeline.{function}.handler":
                key = properties["Code"]["S3Key"]
                (asset,) = (each for each in stack.assets if each.key == key)
                return _files(asset.source)
    raise LayerError(f"no function in the templates has the handler pipeline.{function}.handler")
