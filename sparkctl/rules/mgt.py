"""MGT: the way to the nodes, which no change of the fabric may touch."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.engines import ENGINES
from sparkctl.fabric.ports import MANAGEMENT, NETDEVS, WIFI
from sparkctl.inventory.model import Cluster, EngineIntent, Path
from sparkctl.rule import Hit, engine_rule, rule
from sparkctl.rules.adr import parse_address


def _interface(rank: int) -> Path:
    return ("nodes", rank, "management", "interface")


@rule("MGT001", "warning", "management over Wi-Fi", "facts ff14 and ff29")
def management_is_wired(cluster: Cluster) -> Iterator[Hit]:
    """Serving dies when the Wi-Fi drops."""
    for node in cluster.nodes:
        if node.management == WIFI:
            said = f"node `{node.name}` is managed over Wi-Fi ({WIFI})"
            yield Hit(_interface(node.rank), said, f"use the wired jack, {MANAGEMENT}")


@rule("MGT002", "error", "management on a netdev of the fabric", "our choice: management must survive the change")
def management_is_not_fabric(cluster: Cluster) -> Iterator[Hit]:
    """Applying the fabric would cut the way in."""
    for node in cluster.nodes:
        if node.management in NETDEVS:
            said = f"node `{node.name}` is managed over {node.management}, which is part of a QSFP port"
            yield Hit(_interface(node.rank), said, f"use the wired jack, {MANAGEMENT}")


@rule("MGT003", "warning", "different management interfaces where the ranks meet", "facts ff29")
def management_is_alike(cluster: Cluster) -> Iterator[Hit]:
    """On a mesh or ring the ranks meet over management; Ray copies the head's interface names to all (facts A8)."""
    if cluster.fabric.topology not in ("mesh", "ring") and not _one_environment(cluster):
        return
    usual = cluster.head.management
    for node in cluster.nodes:
        if node.management != usual:
            said = f"node `{node.name}` is managed over {node.management}, the head `{cluster.head.name}` over {usual}"
            yield Hit(_interface(node.rank), said, "use the same jack on all nodes: the ranks meet over management")


def _one_environment(cluster: Cluster) -> bool:
    kind = cluster.engine.kind if cluster.engine is not None else ""
    return kind in ENGINES and ENGINES[kind].one_environment


@rule("MGT004", "warning", "logging in as root", "least privilege: sudo asks for what needs it, and leaves a trace")
def login_is_not_root(cluster: Cluster) -> Iterator[Hit]:
    """Only where the file says so: who runs sparkctl is not the file's fault."""
    written: list[tuple[Path, str]] = [(("ssh", "user"), cluster.ssh.user)]
    written += [(("nodes", node.rank, "user"), node.user) for node in cluster.nodes]
    for path, user in written:
        if user == "root" and path in cluster.source.places:
            yield Hit(path, "SSH logs in as root", "use a login of its own, with sudo")


@engine_rule("MGT005", "error", "a mesh or ring whose ranks would meet at a host name", "facts A5")
def meeting_place_is_an_address(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """A rank binds its own address, which must be one of the node; a name cannot be bound."""
    for node in cluster.nodes if cluster.fabric.topology in ("mesh", "ring") else ():
        if parse_address(node.address) is None:
            said = f"the ranks of a {cluster.fabric.topology} meet over management, and `{node.address}` is a name"
            yield Hit(("nodes", node.rank, "address"), said, f"write the IP address of `{node.name}`")
