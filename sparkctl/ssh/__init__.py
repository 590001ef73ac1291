"""How nodes are reached: logins, keys, host keys, connections, and the one gate for commands."""

from __future__ import annotations

import ctypes.util
import re
import sys
from pathlib import Path

_CACHE = Path("/etc/ld.so.cache")
"""What the dynamic loader knows, by name; ldconfig writes it."""


def _library(name: str) -> str | None:
    """The file name of a shared library, or None. ctypes' own search runs ldconfig, gcc and ld for each name."""
    try:
        found = re.search(rb"\blib%s\.so[\w.]*" % re.escape(name.encode()), _CACHE.read_bytes())
    except OSError:
        return None
    return found[0].decode() if found else None


# asyncssh looks for two libraries when it is imported, by four names: 27 processes where a compiler is installed. And
# it reads all that can be done with X.509 certificates, which no node of ours shows; it can do without.
_X509 = "asyncssh.crypto.x509"
_searching, ctypes.util.find_library = ctypes.util.find_library, _library
_hidden = sys.modules.setdefault(_X509, None)  # type: ignore[arg-type]
try:
    import asyncssh
finally:
    ctypes.util.find_library = _searching
    if _hidden is None:
        del sys.modules[_X509]

__all__ = ["asyncssh"]
