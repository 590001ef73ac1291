"""Where reports go: whether they can be written there is said before a node is asked, not after."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from sparkctl.errors import UsageError


def _mode(path: Path) -> int | None:
    """What is at `path`, links followed; None: nothing. UsageError when nobody may look."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name another place") from None


def there(path: Path) -> bool:
    """Whether something is at `path`."""
    return _mode(path) is not None


def folder(path: Path) -> bool:
    """Whether a folder is at `path`."""
    return stat.S_ISDIR(_mode(path) or 0)


def writable(path: Path, *, fresh: bool = False) -> None:
    """UsageError unless a file at `path` can be written; `fresh`: by another one that takes its place."""
    if folder(path) or not folder(path.parent):
        raise UsageError(f"{path} cannot be written", "name a file in a folder that is there")
    _may_write(path.parent if fresh or not there(path) else path, path)


def empty(path: Path) -> None:
    """UsageError unless `path` can be made, or is an empty folder: two reports never mix."""
    try:
        taken = path.is_symlink() or (there(path) and (not folder(path) or any(path.iterdir())))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name another folder") from None
    if taken:
        raise UsageError(f"{path} is there and not an empty folder", "name a new one: nothing is overwritten")
    nearest = next(place for place in (path, *path.absolute().parents) if there(place))
    if not folder(nearest):
        raise UsageError(f"{path} cannot be written: {nearest} is not a folder", "name another folder")
    _may_write(nearest, path)


def _may_write(place: Path, path: Path) -> None:
    if not os.access(place, os.W_OK | (os.X_OK if folder(place) else 0)):
        raise UsageError(f"{path} cannot be written: {place} is not yours to write", "name another place")


def save(folder: Path, written: Mapping[str, str]) -> None:
    """Files by their paths below `folder`, for the owner alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, text in written.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(path, text)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", "name another folder") from None


def write(path: Path, text: str) -> None:
    """For the owner alone, also where others could read what was there: a report says much about a network."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            if stat.S_ISREG(os.fstat(number).st_mode):
                os.fchmod(number, 0o600)
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None
