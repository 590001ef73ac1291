"""Files of a node: mode, owner, digest and, where it may be shown, content."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from sparkctl.facts.base import Probe, number
from sparkctl.inventory.words import quoted

SPECIAL = "special"


@dataclass(frozen=True)
class FileState:
    """A plain file; `digest` is SHA-256 in hex, or SPECIAL for anything else there, or below what is not root's."""

    mode: int
    uid: int
    gid: int
    digest: str
    content: str | None = None


def probe(path: str, *, secret: bool = False) -> Probe:
    """Asks for `path`; the content of a secret stays on the node."""
    return Probe(f"file:{path}", ("file_state", path, "secret" if secret else "shown"))


def parse(text: str) -> FileState:
    """First line: mode, uid, gid, digest; second: content in base64."""
    first, _, rest = text.partition("\n")
    mode, uid, gid, digest = first.split()
    content = base64.b64decode(rest).decode("utf-8", "replace") if rest.strip() else None
    return FileState(octal(mode), number(uid), number(gid), digest, content)


def octal(mode: str) -> int:
    """A file's mode as stat(1) writes it; ValueError for any other text."""
    if not re.fullmatch("[0-7]{1,6}", mode):
        raise ValueError(f"not a mode: {quoted(mode)}")
    return int(mode, 8)
