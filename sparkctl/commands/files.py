"""Steps on files; each is a call of a function of `templates/checkpoint/node.sh`."""

from __future__ import annotations

from sparkctl.commands.base import Words


def after(number: int) -> str:
    """Where the content of file change `number` lies, below /var/lib/sparkctl."""
    return f"run/after/{number}"


def baseline(name: str) -> str:
    """Where the baseline `name` lies, below /var/lib/sparkctl."""
    return f"baseline/{name}"


def put(path: str, mode: int, number: int) -> Words:
    """Write blob `number` of the run to `path`, owned by root, atomically and flushed."""
    return ("put_file", path, f"{mode:04o}", after(number))


def drop(path: str) -> Words:
    """Remove `path`, and its directory when sparkctl made it and it is empty."""
    return ("drop_file", path)


def restore(path: str, name: str) -> Words:
    """Put `path` back from the baseline `name`: content, mode, owner and times."""
    return ("restore_file", path, name)


def save(path: str, number: int, digest: str) -> Words:
    """Keep the before-image of `path`; refuse when it is not `digest` any more."""
    return ("save_file", path, str(number), digest)


def undo(path: str, number: int) -> Words:
    """Put `path` back from the before-image of this run."""
    return ("undo_file", path, str(number))


def keep(number: int, name: str) -> Words:
    """Make the before-image `number` the baseline that teardown restores."""
    return ("keep", str(number), name)
