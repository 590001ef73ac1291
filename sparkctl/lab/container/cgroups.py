"""A cgroup of the lab's own in every hierarchy, v1, hybrid or v2, with one child per node; and its removal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_WANTED = ("cpu", "cpuset", "io", "memory", "pids")


def homes(group: str, root: Path = ROOT, own: str | None = None) -> tuple[Path, ...]:
    """Where the lab's cgroups are to be: below the caller's own on v1, so that its limits hold for the lab as well.

    On pure v2 at the top, because a cgroup with programs in it, as the caller's is, cannot hand controllers on.
    """
    text = Path("/proc/self/cgroup").read_text() if own is None else own
    if (root / "cgroup.controllers").exists():
        return (root / group,)
    return tuple(parent / group for line in text.splitlines() if (parent := _parent(root, line)) is not None)


def _parent(root: Path, line: str) -> Path | None:
    """The caller's cgroup of one line of /proc/self/cgroup; the top of the hierarchy when a namespace hides it."""
    _, controllers, path = line.split(":", 2)
    mount = root / (controllers.removeprefix("name=") or "unified")
    own = mount / path.lstrip("/")
    return own if own.is_dir() else mount if mount.is_dir() else None


def make(home: Path, child: str) -> Path:
    """Make `home/child` ready for programs; answers its cgroup.procs."""
    for folder in (home, home / child):
        folder.mkdir(exist_ok=True)
        _inherit_cpuset(folder)
    for folder in (home.parent, home):
        _hand_on(folder)
    return home / child / "cgroup.procs"


def _inherit_cpuset(folder: Path) -> None:
    """A new v1 cpuset is empty, and nothing can enter it before it is filled."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = folder / name
        if own.exists() and not (folder / "cgroup.controllers").exists():
            own.write_text((folder.parent / name).read_text())


def _hand_on(folder: Path) -> None:
    """On v2: let children have controllers, those that there are and that can be handed on."""
    control = folder / "cgroup.subtree_control"
    if not control.exists():
        return
    there = (folder / "cgroup.controllers").read_text().split()
    for controller in (name for name in _WANTED if name in there):
        with suppress(OSError):
            control.write_text(f"+{controller}")


def remove(every: Iterable[Path], seconds: float = 10.0) -> tuple[Path, ...]:
    """Remove the cgroups as their programs end; answers those that are still there after `seconds`."""
    deadline = time.monotonic() + seconds
    left = tuple(home for home in every if not _removed(home))
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = tuple(home for home in left if not _removed(home))
    return left


def _removed(home: Path) -> bool:
    if not home.exists():
        return True
    # os.walk passes over what vanishes meanwhile: the keeper and `lab down` may both be at it.
    for folder, _, _ in os.walk(home, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    return not home.exists()
