"""Builds the dashboard into dashboard/dist, if what it is made from has changed.

`python -m local.page_build` (`make dashboard`) needs a package registry the first time, and again
when dashboard/package-lock.json has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from local.digest import add_files, source_files
from local.errors import LocalStackError, PageError
from local.node import npm, path_with_node

FOLDER = Path(__file__).resolve().parent.parent / "dashboard"
DIST = "dist"
NOT_SOURCES = frozenset({"node_modules", DIST, "coverage", "tests", "README.md"})
INSTALL = ("ci", "--no-audit", "--no-fund", "--loglevel=error")
BUILD = ("run", "build", "--loglevel=error")
TIMEOUT_S = 600
_PACKAGES = "packages.sha256"
_PAGE = "page.sha256"
"""Stamps in node_modules, which npm empties: what its packages and the page were made from."""
_OUTPUT_TAIL = 15


def build(folder: Path = FOLDER, *, on_progress: Callable[[str], None] = print) -> Path:
    """Return the folder with the page, fresh. Safe to call from several processes at once.

    Raises
    ------
    PageError
        Packages could not be fetched, or the build failed; with the end of what npm said.
    """
    lock_file = folder / "package-lock.json"
    if not lock_file.is_file():
        raise PageError(f"{folder} holds no dashboard: package-lock.json is missing")
    dist, packages = folder / DIST, folder / "node_modules"
    with lock_file.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = _digest(folder, source_files(folder, but=NOT_SOURCES))
        if (dist / "index.html").is_file() and _is_stamped(packages / _PAGE, sources):
            return dist
        locked = _digest(folder, [folder / "package.json", lock_file])
        if not _is_stamped(packages / _PACKAGES, locked):
            on_progress("dashboard: installing locked packages into dashboard/node_modules")
            _run(
                INSTALL, folder, "is there a network, or a package registry that npm is set up for?"
            )
            packages.mkdir(exist_ok=True)
            (packages / _PACKAGES).write_text(locked)
        on_progress("dashboard: building")
        _run(BUILD, folder, "what npm said:")
        (packages / _PAGE).write_text(sources)
    return dist


def _run(arguments: Sequence[str], folder: Path, advice: str) -> None:
    environment: Mapping[str, str] = {**os.environ, "PATH": path_with_node(os.environ), "CI": "1"}
    what = f"npm {' '.join(each for each in arguments if not each.startswith('--'))}"
    try:
        done = subprocess.run(
            [*npm(), *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PageError(f"dashboard: {what} did not end within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-_OUTPUT_TAIL:])
        raise PageError(f"dashboard: {what} failed; {advice}\n{tail}")


def _is_stamped(stamp: Path, digest: str) -> bool:
    try:
        return stamp.read_text() == digest
    except OSError:
        return False


def _digest(folder: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    add_files(digest, folder, paths)
    return digest.hexdigest()


def main() -> int:
    try:
        build()
    except LocalStackError as error:
        print(f"latchline: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
