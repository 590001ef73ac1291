"""Steps on files; each is a call of a function of `templates/checkpoint/files.sh`."""

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


def restore(path: str, name: str, digest: str) -> Words:
    """Put `path` back from the baseline `name`, if that is still `digest`: content, mode, owner and times."""
    return ("restore_file", path, name, digest)


def set_aside(path: str, number: int, digest: str, ours: str, netdevs: tuple[str, ...]) -> Words:
    """Make the content of file change `number`: `path` without the stanzas of `netdevs`; refuse if not `digest`."""
    return ("set_aside", path, str(number), digest, ours, *netdevs)


def save(path: str, number: int, digest: str) -> Words:
    """Keep the before-image of `path`; refuse when it is not `digest` any more."""
    return ("save_file", path, str(number), digest)


def undo(path: str, number: int, digest: str) -> Words:
    """Put `path` back from the before-image of this run, which must still be `digest`."""
    return ("undo_file", path, str(number), digest)


def keep(number: int, name: str) -> Words:
    """Make the before-image `number` the baseline that teardown restores."""
    return ("keep", str(number), name)


def spare(path: str, name: str) -> Words:
    """Lay the baseline `name` beside `path`, which somebody edited."""
    return ("spare", path, name)


def keep_netdev(netdev: str) -> Words:
    """The same for a netdev."""
    return ("keep", f"net.{netdev}", f"net.{netdev}")


def forget_netdev(netdev: str) -> Words:
    """Drop the baseline of a netdev that is as it was before sparkctl came."""
    return ("forget_netdev", netdev)
