"""Keeps the key of the emulator's own CA loaded, for certificates by the thousand.

Gap: MiniStack parses its CA's RSA key anew, and has OpenSSL check it, for every CSR that it signs:
40 ms in which its one thread does nothing else, so a fleet got 25 certificates a second. Seen in
MiniStack 1.5.33; delete this file when upstream keeps the key.

How: `local.ministack_main` gives MiniStack's X.509 module, in MiniStack's process, a
`serialization` that remembers the last private key it has loaded. The same PEM is the same key, so
a new CA is a new entry; the PEM itself is in that process's memory anyway.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any


class KeptKey:
    """`cryptography`'s `serialization`, but the last private key loaded is loaded once."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs
        self.load_pem_private_key = lru_cache(maxsize=1)(theirs.load_pem_private_key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)


def install(x509_utils: ModuleType) -> None:
    """Replace the module's `serialization`.

    MiniStack imports `cryptography` on first use and sets the module's names then, which would undo
    a replacement made before: so have it do that first.

    Raises
    ------
    AttributeError
        This version of MiniStack has no such import, or no such name.
    """
    x509_utils._require_crypto()  # noqa: SLF001
    vars(x509_utils)["serialization"] = KeptKey(x509_utils.serialization)
