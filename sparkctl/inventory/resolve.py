"""RawInventory to Cluster: every default is filled in here, and nowhere after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import PurePosixPath

from sparkctl.inventory.model import (
    Cluster,
    EngineIntent,
    FabricIntent,
    Link,
    LinkEnd,
    Node,
    Parallel,
    Runtime,
    Source,
    SshAccess,
    Switch,
)
from sparkctl.inventory.raw import (
    Cable,
    RawAddresses,
    RawEngine,
    RawFabric,
    RawInventory,
    RawNode,
    RawParallel,
    RawSsh,
    layout,
)

MANAGEMENT = "enP7s7"  # the RJ45 10GbE jack of every Spark: facts ff3.1


@dataclass(frozen=True)
class Controller:
    """Where sparkctl runs: who runs it, their home, and the folder of the inventory (both absolute).

    `is_open` says whether others than its owner may read a file there; one that is not there is not open.
    """

    user: str
    home: PurePosixPath
    folder: PurePosixPath
    is_open: Callable[[str], bool] = lambda path: False

    def absolute(self, path: str | None) -> str | None:
        """A path of the file as an absolute one: `~/` is the home, relative ones start at the inventory."""
        if path is None or (path.startswith("~") and not path.startswith("~/")):
            return path  # `~name` is refused by INV008
        return str(self.home / path[2:]) if path.startswith("~/") else str(self.folder / path)


def resolve(raw: RawInventory, source: Source, controller: Controller) -> Cluster:
    """What `raw` means; `source` goes along so that every finding knows its line."""
    access = _ssh(raw.ssh, controller)
    return Cluster(
        name=raw.metadata.name,
        ssh=access,
        nodes=tuple(_node(node, rank, access.user) for rank, node in enumerate(raw.nodes)),
        links=tuple(_link(cable, index) for index, cable in enumerate(raw.links)),
        switches=tuple(Switch(s.name, s.model, s.address, s.l2mtu, s.qos) for s in raw.switches),
        fabric=_fabric(raw.fabric),
        engine=None if raw.engine is None else _engine(raw.engine, controller),
        source=source,
        exposed=frozenset(filter(controller.is_open, _secrets(raw, controller))),
    )


def _secrets(raw: RawInventory, controller: Controller) -> list[str]:
    named = (raw.ssh.identity_file, raw.engine.api_key_file if raw.engine is not None else None)
    return [path for path in map(controller.absolute, named) if path is not None]


def _ssh(raw: RawSsh, controller: Controller) -> SshAccess:
    # ssh.user: whoever runs it, as ssh itself does; the literal defaults stand in the raw models
    files = (controller.absolute(raw.identity_file), controller.absolute(raw.known_hosts))
    return SshAccess(raw.user or controller.user, *files, raw.sudo)


def _node(raw: RawNode, rank: int, user: str) -> Node:
    interface = raw.management.interface if raw.management else None
    kept = _addresses(raw.addresses) if raw.addresses else {}
    return Node(raw.name, raw.address, rank, raw.port, raw.user or user, interface or MANAGEMENT, kept)


def _addresses(raw: RawAddresses) -> Mapping[tuple[str, str], IPv4Interface]:
    ports = ((port, of) for port, of in (("p0", raw.p0), ("p1", raw.p1)) if of is not None)
    written = ((port, rail, text) for port, of in ports for rail, text in (("A", of.A), ("B", of.B)))
    return {(port, rail): IPv4Interface(text) for port, rail, text in written if text is not None}


def _link(raw: Cable, index: int) -> Link:
    a, b = raw if isinstance(raw, list) else (raw.a, raw.b)
    return Link(_end(a), _end(b), index)


def _end(text: str) -> LinkEnd:
    owner, _, port = text.partition(":")
    return LinkEnd(owner, port)


def _fabric(raw: RawFabric) -> FabricIntent:
    return FabricIntent(raw.topology, raw.mtu, raw.subnet_pool, raw.transport, raw.rails, dict(raw.nccl))


def _engine(raw: RawEngine, controller: Controller) -> EngineIntent:
    return EngineIntent(
        kind=raw.kind,
        runtime=Runtime(raw.runtime.docker, raw.runtime.venv),
        model=raw.model,
        parallel=_parallel(raw.parallel),
        port=raw.port,
        served_model_name=raw.served_model_name,
        max_model_len=raw.max_model_len,
        gpu_memory_utilization=raw.gpu_memory_utilization,
        api_key_file=controller.absolute(raw.api_key_file),
        volumes=dict(raw.volumes),
        env=dict(raw.env),
        args={flag.removeprefix("--"): value for flag, value in raw.args.items()},
    )


def _parallel(raw: str | RawParallel) -> Parallel:
    if isinstance(raw, RawParallel):
        return Parallel(raw.tensor, raw.pipeline, raw.data)
    return Parallel(*(layout(raw) or ()))
