"""Every value of an inventory that becomes a file name, a file's content or an argument, with the form it must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sparkctl.inventory.model import Cluster, EngineIntent, Path
from sparkctl.rule import arg_path, cable_ends

Kind = Literal[
    "name", "user", "netdev", "port", "host", "path", "target", "local path", "image",
    "model", "word", "flag", "variable", "nccl name", "nccl value", "text",
]  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A text of the inventory, where it stands, and what it must be."""

    path: Path
    text: str
    kind: Kind


def values(cluster: Cluster) -> Iterator[Value]:
    """All of them, in the order of the file format."""
    yield Value(("metadata", "name"), cluster.name, "name")
    yield from _access(cluster)
    yield from _nodes(cluster)
    yield from (Value(path, end.port, "port") for path, end in cable_ends(cluster))
    yield from _switches(cluster)
    for name, value in cluster.fabric.nccl.items():
        yield Value(("fabric", "nccl", name), name, "nccl name")
        yield Value(("fabric", "nccl", name), value, "nccl value")
    if cluster.engine is not None:
        yield from _engine(cluster.engine)
        yield from _arguments(cluster, cluster.engine)


def _given(cluster: Cluster, path: Path, text: str | None, kind: Kind) -> Iterator[Value]:
    """Only what is written: a default is sparkctl's own or the operator's, and not the file's fault."""
    if text is not None and path in cluster.source.places:
        yield Value(path, text, kind)


def _access(cluster: Cluster) -> Iterator[Value]:
    yield from _given(cluster, ("ssh", "user"), cluster.ssh.user, "user")
    yield from _given(cluster, ("ssh", "identity_file"), cluster.ssh.identity_file, "local path")
    yield from _given(cluster, ("ssh", "known_hosts"), cluster.ssh.known_hosts, "local path")


def _nodes(cluster: Cluster) -> Iterator[Value]:
    for i, node in enumerate(cluster.nodes):
        yield Value(("nodes", i, "name"), node.name, "name")
        yield Value(("nodes", i, "address"), node.address, "host")
        yield from _given(cluster, ("nodes", i, "user"), node.user, "user")
        yield from _given(cluster, ("nodes", i, "management", "interface"), node.management, "netdev")


def _switches(cluster: Cluster) -> Iterator[Value]:
    for i, switch in enumerate(cluster.switches):
        yield Value(("switches", i, "name"), switch.name, "name")
        yield from _given(cluster, ("switches", i, "model"), switch.model, "word")
        yield from _given(cluster, ("switches", i, "address"), switch.address, "host")


def _engine(engine: EngineIntent) -> Iterator[Value]:
    written: tuple[tuple[Path, str | None, Kind], ...] = (
        (("runtime", "docker"), engine.runtime.docker, "image"),
        (("runtime", "venv"), engine.runtime.venv, "path"),
        (("model",), engine.model, "model"),
        (("served_model_name",), engine.served_model_name, "word"),
        (("api_key_file",), engine.api_key_file, "local path"),
    )
    for path, text, kind in written:
        if text is not None:
            yield Value(("engine", *path), text, kind)
    for source, target in engine.volumes.items():
        yield Value(("engine", "volumes", source), source, "path")
        yield Value(("engine", "volumes", source), target, "target")
    for name, value in engine.env.items():
        yield Value(("engine", "env", name), name, "variable")
        yield Value(("engine", "env", name), value, "text")


def _arguments(cluster: Cluster, engine: EngineIntent) -> Iterator[Value]:
    for flag, value in engine.args.items():
        path = arg_path(cluster, flag)
        yield Value(path, flag, "flag")
        for text in _texts(value):
            yield Value(path, text, "text")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
