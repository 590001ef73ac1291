"""What a node should hold: the files sparkctl owns, and the secret it puts there without reading it here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sparkctl.inventory.names import ONLY

Stage = Literal["network", "engine"]

NCCL_ENV = ONLY.nccl
ENGINE_ENV = ONLY.environment
ENGINE_SCRIPT = ONLY.script
ENGINE_UNIT = ONLY.unit_file
API_KEY = ONLY.key
UNIT_NAME = ONLY.unit
CONTAINER = ONLY.container


@dataclass(frozen=True)
class Artifact:
    """One desired file, owned by root:root."""

    path: str
    content: str
    mode: int
    stage: Stage

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True)
class SecretFile:
    """A file whose content is read from `source`, on the controller, only when a plan runs; never rendered."""

    source: str
    path: str = API_KEY
    mode: int = 0o600
    stage: Stage = "engine"


@dataclass(frozen=True)
class EngineCommand:
    """One rank: the engine's own words (without container or unit around them) and its environment but secrets.

    `wave` is its place in the order of starts; ranks of the next one start when this one listens at `ready`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    wave: int = 0
    ready: tuple[int, ...] = ()


@dataclass(frozen=True)
class NodeRendering:
    """Everything that one node should hold. `nccl` is what nccl.env says, as a mapping."""

    files: tuple[Artifact, ...]
    secrets: tuple[SecretFile, ...] = ()
    nccl: Mapping[str, str] = field(default_factory=dict)
    engine: EngineCommand | None = None

    def to_json(self) -> dict[str, object]:
        """The node's part of `render --format json`."""
        files = {file.path: {"content": file.content, "mode": f"{file.mode:04o}"} for file in self.files}
        engine = {"argv": list(self.engine.argv), "env": dict(self.engine.env)} if self.engine else None
        return {"files": files, "nccl": dict(self.nccl), "engine": engine}


@dataclass(frozen=True)
class SwitchRendering:
    """The scripts for one switch, which people import; their paths are relative. Nothing installs them."""

    files: tuple[Artifact, ...]

    def to_json(self) -> dict[str, object]:
        """The switch's part of `render --format json`."""
        return {"files": {file.path: {"content": file.content, "mode": f"{file.mode:04o}"} for file in self.files}}


@dataclass(frozen=True)
class Rendering:
    """What all nodes should hold, and what the switches of known models are to import."""

    cluster: str
    nodes: Mapping[str, NodeRendering]
    switches: Mapping[str, SwitchRendering] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """`render --format json` as a mapping; its format is stable."""
        nodes = {name: node.to_json() for name, node in self.nodes.items()}
        switches = {name: switch.to_json() for name, switch in self.switches.items()}
        return {"version": 1, "cluster": self.cluster, "nodes": nodes, "switches": switches}
