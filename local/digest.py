"""A digest of files: whether what was made from them is still what they would make."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def source_files(folder: Path, *, but: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Files below a folder in a fixed order, without caches and without what `but` names."""
    ignored = but | {"__pycache__"}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - ignored)  # where os.walk goes next
        yield from (Path(parent) / name for name in sorted(set(files) - ignored))


def add_files(digest: hashlib._Hash, root: Path, paths: Iterable[Path]) -> None:
    """Add names below `root`, and contents."""
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode())
        digest.update(content)
