"""What the nodes of a lab take of this machine, and whether that is there: looked at before anything is booted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkctl.errors import Refused
from sparkctl.inventory.words import counted
from sparkctl.lab.spec import LabSpec

Room = Mapping[str, tuple[int, int]]
"""Of each limit: the most that this machine gives, and what is in use."""
INSTANCES, WATCHES = "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"
PIDS, THREADS = "kernel.pid_max", "kernel.threads-max"
MEMORY = "MemAvailable"
_PROC = Path("/proc")


@dataclass(frozen=True)
class Need:
    """What one node takes of a limit, named as sysctl does, and how much more where it serves an engine."""

    limit: str
    what: str
    node: int
    engine: int = 0


def require(spec: LabSpec, needs: Iterable[Need]) -> None:
    """Refused when the nodes of `spec` do not fit into this machine: what is short, and the lines that raise it."""
    short = list(shortages(spec, needs, room()))
    if short:
        left = (f"{n.what}: {wanted} more, and {max(0, most - used)} are left" for n, wanted, most, used in short)
        told = "; ".join(left)
        raise Refused(
            f"{counted(len(spec.nodes), 'node')} do not fit into this machine: {told}", "; ".join(remedies(short))
        )


def shortages(spec: LabSpec, needs: Iterable[Need], room: Room) -> Iterator[tuple[Need, int, int, int]]:
    """Every need that is more than what is left: it, what is wanted, the most there can be, what is in use."""
    for need in needs:
        wanted = len(spec.nodes) * (need.node + (need.engine if spec.engine else 0))
        most, used = room.get(need.limit, (wanted, 0))
        if used + wanted > most:
            yield need, wanted, most, used


def remedies(short: Iterable[tuple[Need, int, int, int]]) -> Iterator[str]:
    """A line to paste for each limit that can be set, with room for as many nodes again."""
    for need, wanted, _, used in short:
        if need.limit == MEMORY:
            yield "end other programs or labs (`sparkctl lab list`), or write fewer nodes"
        else:
            yield f"sudo sysctl {need.limit}={1 << (used + 2 * wanted).bit_length()}"


def room() -> Room:
    """What this machine says; a limit that it does not tell is left out, so nothing is refused for it."""
    instances = [watches for program in _PROC.glob("[0-9]*") for watches in inotify(program)]
    threads = int(_text(_PROC / "loadavg").partition("/")[2].split()[0])
    used = {INSTANCES: len(instances), WATCHES: sum(instances), PIDS: threads, THREADS: threads}
    most = {name: _text(_PROC / "sys" / name.replace(".", "/")) for name in used}
    memory = dict(line.split(":") for line in _text(_PROC / "meminfo").splitlines())
    found = {name: (int(most[name]), used[name]) for name in used if most[name]}
    return found | {MEMORY: (int(memory["MemAvailable"].split()[0]) // 1024, 0)}


def inotify(program: Path) -> Sequence[int]:
    """The watches of every inotify instance that `program`, a folder of /proc, has; none of another user's."""
    try:
        if program.stat().st_uid != os.geteuid():
            return ()
        handles = [handle.name for handle in (program / "fd").iterdir() if _is_inotify(handle)]
    except OSError:
        return ()
    return [_text(program / "fdinfo" / handle).count("inotify wd:") for handle in handles]


def _is_inotify(handle: Path) -> bool:
    try:
        return str(handle.readlink()) == "anon_inode:inotify"
    except OSError:
        return False  # closed meanwhile


def _text(path: Path) -> str:
    """A file of /proc; empty where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
