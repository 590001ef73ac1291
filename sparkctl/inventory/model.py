"""The Cluster: what an inventory means, with every default filled in. Nothing after resolve guesses one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Interface
from typing import Literal, TypeAlias

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding, Location, Remedy, Severity

Path: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = str | int | float | bool | None
ArgValue: TypeAlias = Scalar | list[Scalar] | dict[str, object]

TopologyName = Literal["direct", "mesh", "ring", "switch"]
Transport = Literal["roce", "tcp"]
Rails = Literal["both", "A"]
Qos = Literal["none", "roce"]


def canonical(flag: str) -> str:
    """A flag's name for comparing: `--max_model_len` and `max-model-len` are one flag, and `-tp` is `tp`.

    What follows a dot is a key inside the flag's value and stays as it is written.
    """
    name, dot, key = flag.lstrip("-").partition(".")
    return f"{name.replace('_', '-')}{dot}{key}"


def where(path: Path) -> str:
    """`("links", 0, "a")` as people write it: `links[0].a`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return visible(text) or "."


def _line(text: str) -> str:
    """One line that a terminal shows as it is, however hostile the values that it cites."""
    return visible(text if len(text) <= 500 else f"{text[:500]}...")


@dataclass(frozen=True)
class Source:
    """Where every key and item of an inventory stands in its file."""

    path: str
    places: Mapping[Path, tuple[int, int]]

    def locate(self, path: Path) -> Location:
        """The place of `path`, or of its nearest written parent when it was left to its default."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return Location(self.path, line, column)

    def finding(self, rule: str, severity: Severity, path: Path, message: str, remedy: str) -> Finding:
        """A finding at `path`."""
        here = where(path)
        cure = Remedy.again(_line(remedy), remedy, here)
        return Finding(rule, severity, here, self.locate(path), _line(message), cure)


@dataclass(frozen=True)
class SshAccess:
    """How to log in; paths are absolute. `known_hosts` None means the user's own ~/.ssh/known_hosts."""

    user: str
    identity_file: str | None = None
    known_hosts: str | None = None
    sudo: Literal["passwordless", "prompt"] = "passwordless"


@dataclass(frozen=True)
class Node:
    """One DGX Spark; `rank` is its position in the inventory and 0 is the head.

    `addresses` are those of its fabric ports that are kept, by port and rail.
    """

    name: str
    address: str
    rank: int
    port: int
    user: str
    management: str
    addresses: Mapping[tuple[str, str], IPv4Interface] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Switch:
    """One switch; `l2mtu` None means nobody said."""

    name: str
    model: str | None = None
    address: str | None = None
    l2mtu: int | None = None
    qos: Qos = "none"


@dataclass(frozen=True)
class LinkEnd:
    """One end of a cable as written: a thing's name and the name of a port of it (`p0`, `p1` or a switch port)."""

    owner: str
    port: str

    def __str__(self) -> str:
        return f"{self.owner}:{self.port}"


@dataclass(frozen=True)
class Link:
    """One cable as written."""

    a: LinkEnd
    b: LinkEnd
    index: int


@dataclass(frozen=True)
class FabricIntent:
    """The `fabric` section."""

    topology: TopologyName
    mtu: int = 9000
    subnet_pool: str = "10.20.0.0/16"
    transport: Transport = "roce"
    rails: Rails = "both"
    nccl: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """Where the engine's program comes from: an image or a venv (exactly one of them)."""

    docker: str | None = None
    venv: str | None = None


@dataclass(frozen=True)
class Parallel:
    """Layout of the ranks: TP2 = Parallel(2, 1, 1)."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1

    @property
    def size(self) -> int:
        """How many ranks the layout needs."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        named = (("TP", self.tensor), ("PP", self.pipeline), ("DP", self.data))
        return "".join(f"{key}{n}" for key, n in named if n > 1) or "TP1"


@dataclass(frozen=True)
class EngineIntent:
    """The `engine` section. `accelerator` is `gpu` but for the lab's overlay, which has none."""

    kind: str
    runtime: Runtime
    model: str
    parallel: Parallel
    port: int = 8000
    served_model_name: str | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    api_key_file: str | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    accelerator: Literal["gpu", "cpu"] = "gpu"


@dataclass(frozen=True)
class Cluster:
    """What one inventory means; `exposed` holds those of its secret files that others than their owner may read."""

    name: str
    ssh: SshAccess
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    switches: tuple[Switch, ...]
    fabric: FabricIntent
    engine: EngineIntent | None
    source: Source
    exposed: frozenset[str] = frozenset()

    @property
    def head(self) -> Node:
        """The node of rank 0."""
        return self.nodes[0]

    def node(self, name: str) -> Node:
        """The node called `name`; KeyError when there is none."""
        return self._by_name[name]

    @cached_property
    def kept(self) -> Mapping[tuple[str, str, str], IPv4Interface]:
        """The addresses that nodes keep, by node, port and rail."""
        return {(node.name, *place): address for node in self.nodes for place, address in node.addresses.items()}

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}
