"""What is called how on nodes: an engine's unit, container and files, and all that sparkctl may change there."""

from __future__ import annotations

import re
from typing import NamedTuple


class EngineNames(NamedTuple):
    """Of one engine. `nccl`: what NCCL must know of the fabric; `environment`: its own variables; `key`: of its API."""

    unit: str
    unit_file: str
    container: str
    nccl: str
    environment: str
    script: str
    key: str


def names_of(stem: str = "sparkctl-engine", folder: str = "/etc/sparkctl") -> EngineNames:
    """All of them follow from one stem and one folder."""
    files = (f"{folder}/{name}" for name in ("nccl.env", "engine.env", "engine.sh", "api.key"))
    return EngineNames(f"{stem}.service", f"/etc/systemd/system/{stem}.service", stem, *files)


ONLY = names_of()
"""Of the one engine that an inventory has."""
NETPLAN_FOLDER = "/etc/netplan/"
NETPLAN = f"{NETPLAN_FOLDER}95-sparkctl.yaml"
PROFILES = "/etc/NetworkManager/system-connections/"
NETWORKS = "/etc/systemd/network/"
BESIDE = {NETPLAN_FOLDER: ".yaml", PROFILES: "", NETWORKS: ".network"}
"""Folders of the network's files, and how those end: others may have defined the fabric there."""
OWNED = frozenset({NETPLAN, ONLY.nccl, ONLY.environment, ONLY.script, ONLY.key, ONLY.unit_file})
"""The files that sparkctl makes; in the folders of BESIDE it may also move what others defined for the fabric aside."""
_PLAIN = re.compile(r"[\w.@+:-]+", re.ASCII)
_NAME = re.compile(r"[\w@+]([\w.@+: ()-]*[\w)])?", re.ASCII)


def may_change(path: str, mode: int = 0, baseline: str = "x") -> bool:
    """Whether a plan or a record may name this file, with permissions alone and the image kept under a plain name."""
    folder, _, name = path.rpartition("/")
    end = BESIDE.get(f"{folder}/")
    beside = end is not None and name.endswith(end) and (_NAME if is_owner(path) else _PLAIN).fullmatch(name)
    plain = _PLAIN.fullmatch(baseline) and set(baseline) != {"."}
    return bool((path in OWNED or beside) and plain) and 0 <= mode <= 0o777


def is_owner(path: str) -> bool:
    """A file of NetworkManager's or networkd's own: it goes and comes back whole, and is never written."""
    return path.startswith((PROFILES, NETWORKS))
