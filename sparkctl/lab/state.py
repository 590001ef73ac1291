"""What is known of a running lab, on disk: who supervises it, and how each node is reached."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_state_path
from pydantic import ValidationError

from sparkctl.errors import Refused
from sparkctl.facts.record import Frozen
from sparkctl.inventory.words import quoted

VERSION = 1
Renderer = Literal["networkd", "NetworkManager"]
BackendName = Literal["container", "vm"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Supervisor(Frozen):
    """One running program; `started` (clock ticks since the machine's boot) tells it from a later one with its pid."""

    pid: int
    started: int


class LabNode(Frozen):
    """How to reach one emulated node: from inside the lab's network namespace, or a virtual one from anywhere here."""

    name: str
    address: str
    port: int
    user: str
    netdev: str
    known_hosts: str
    identity_file: str
    seconds: float = 0.0


class LabState(Frozen):
    """One lab. `ready` is False while it boots; `engine` is the folder of the lab's engine, when it has one.

    `limited` means that this machine's root may not raise limits (RLIMIT_*), so containers cannot get higher ones.
    """

    version: int = VERSION
    cluster: str
    inventory: str
    backend: BackendName
    renderer: Renderer = "networkd"
    supervisor: Supervisor
    nodes: tuple[LabNode, ...]
    engine: str | None = None
    limited: bool = False
    ready: bool = False

    def node(self, name: str) -> LabNode:
        """The node called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise Refused(f"the lab {self.cluster} has no node {name}", f"name one of: {known}")

    def booted(self, seconds: Iterable[float]) -> LabState:
        """The same when all nodes are up, in so many seconds each."""
        timed = zip(self.nodes, seconds, strict=True)
        nodes = tuple(node.model_copy(update={"seconds": round(took, 2)}) for node, took in timed)
        return self.model_copy(update={"nodes": nodes, "ready": True})

    @property
    def alive(self) -> bool:
        """Whether the supervisor still runs."""
        return started(self.supervisor.pid) == self.supervisor.started


def labs() -> Path:
    """The folder that holds one folder per lab."""
    return user_state_path("sparkctl") / "labs"


def cache() -> Path:
    """The folder of what is built once: node images and the engine."""
    return user_cache_path("sparkctl") / "lab"


def folder(cluster: str) -> Path:
    """The folder of the lab of `cluster`."""
    if not _NAME.fullmatch(cluster):
        raise Refused(
            f"{quoted(cluster)} cannot be the name of a lab", "use letters, digits, dot, dash in metadata.name"
        )
    return labs() / cluster


def group(state_folder: Path) -> str:
    """The name of a lab's cgroup: equal names of clusters under different users or state folders stay apart."""
    return f"sparkctl-lab-{state_folder.name}-{sha256(str(state_folder).encode()).hexdigest()[:8]}"


def started(pid: int) -> int | None:
    """When `pid` started, in clock ticks since the machine's boot; None when there is no such program (or a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def save(state: LabState) -> None:
    """Write it so that a reader sees the old or the new one, never half of it."""
    target = folder(state.cluster) / "state.json"
    fresh = target.with_suffix(".new")
    fresh.write_text(state.model_dump_json(indent=2) + "\n")
    fresh.rename(target)


def load(cluster: str) -> LabState | None:
    """What is on disk, of a lab that runs or of one that ended without saying so; None when there is nothing."""
    path = folder(cluster) / "state.json"
    try:
        return LabState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise Refused(f"{path} cannot be read: {str(error).splitlines()[0]}", f"remove {path.parent}") from None


def find(cluster: str) -> LabState:
    """The running lab of `cluster`; Refused when none runs."""
    state = load(cluster)
    if state is None or not state.alive:
        crashed = " any more: it ended by itself" if state else ""
        raise Refused(f"no lab runs for cluster {cluster}{crashed}", "`sparkctl lab up`")
    if not state.ready:
        raise Refused(f"the lab of cluster {cluster} is still booting", "wait for `sparkctl lab up` to end")
    return state


def every() -> tuple[LabState, ...]:
    """All labs on disk, running or not, by name."""
    names = sorted(path.parent.name for path in labs().glob("*/state.json"))
    return tuple(state for name in names if (state := load(name)) is not None)
