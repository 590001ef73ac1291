"""What an engine is called on its nodes: its unit, its container and its files."""

from __future__ import annotations

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
