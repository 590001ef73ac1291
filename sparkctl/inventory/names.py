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
OWNED = frozenset({NETPLAN, ONLY.nccl, ONLY.environment, ONLY.script, ONLY.key, ONLY.unit_file})
"""The files that sparkctl makes; in netplan's folder it may also move what others defined for the fabric aside."""
_PLAIN = re.compile(r"[\w.@+:-]+", re.ASCII)


def may_change(path: str, mode: int = 0, baseline: str = "x") -> bool:
    """Whether a plan or a record may name this file, with permissions alone and the image kept under a plain name."""
    name = path.removeprefix(NETPLAN_FOLDER)
    beside = path.startswith(NETPLAN_FOLDER) and _PLAIN.fullmatch(name) and name.endswith(".yaml")
    plain = _PLAIN.fullmatch(baseline) and set(baseline) != {"."}
    return bool((path in OWNED or beside) and plain) and 0 <= mode <= 0o777
