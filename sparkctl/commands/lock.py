"""The lock of a node: a lease on the node's own monotonic clock."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sparkctl.commands.base import Words

Mode: TypeAlias = Literal["new", "recover", "break"]
HELD = 75
INTERRUPTED = 77
STALE = 78


def lock(run: str, lease: int, owner: str, mode: Mode = "new") -> Words:
    """Take the lock for `lease` seconds, or end with HELD or INTERRUPTED.

    `recover`: also on a node with an interrupted run; `break`: also while another run's lease goes on.
    """
    return ("lock", run, str(lease), owner, mode)


def hold(run: str, lease: int) -> Words:
    """Prove that the lock is still ours and extend it (and the revert timer) to `lease` seconds from now."""
    return ("hold", run, str(lease))


def keepalive(run: str, lease: int) -> Words:
    """The same beside a step that is still running and holds the guard."""
    return ("keepalive", run, str(lease))


def unlock(run: str) -> Words:
    """Give the lock back; nothing is left on a node that had nothing."""
    return ("unlock", run)
