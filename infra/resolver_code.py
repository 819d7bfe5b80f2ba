"""Assembles the code of a resolver from its file and the fragments that it imports.

APPSYNC_JS cannot import local files. The sources do, so that editors and people can follow them;
here each `import { … } from './fragment.js';` is replaced by the fragment itself. No bundler, and
what AppSync runs is readable in its console.
"""

import re
from pathlib import Path

from infra.errors import ResolverError

SOURCES = Path(__file__).parent / "resolvers"
_LOCAL_IMPORT = re.compile(
    r"^import \{ [\w, ]+ \} from '\./(?P<fragment>\w+\.js)';\n", re.MULTILINE
)
_UTIL_IMPORT = "import { util } from '@aws-appsync/utils';\n"


def resolver_fields() -> list[tuple[str, str]]:
    """(type, field) of every resolver, from the files' names: `<Type>.<field>.js`."""
    return [
        (type_name, field)
        for type_name, field in (path.stem.split(".", 1) for path in sorted(SOURCES.glob("*.*.js")))
    ]


def resolver_code(type_name: str, field: str, *, sources: Path = SOURCES) -> str:
    """One APPSYNC_JS module: fragments in the order of their import, then the resolver.

    Raises
    ------
    ResolverError
        A fragment does not exist or imports another one.
    """
    resolver = _read(sources / f"{type_name}.{field}.js")
    names = [match["fragment"] for match in _LOCAL_IMPORT.finditer(resolver)]
    parts = [_fragment(sources / name) for name in names]
    parts.append(_LOCAL_IMPORT.sub("", resolver))
    body = "\n".join(part.replace(_UTIL_IMPORT, "") for part in parts)
    return f"{_UTIL_IMPORT}\n{body}"


def _fragment(path: Path) -> str:
    text = _read(path)
    if _LOCAL_IMPORT.search(text):
        raise ResolverError(f"{path.name} imports another fragment; import both in the resolver")
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResolverError(f"{path} does not exist") from None
