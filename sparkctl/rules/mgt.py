"""MGT: the way to the nodes, which no change of the fabric may touch."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.fabric.ports import MANAGEMENT, NETDEVS, WIFI
from sparkctl.inventory.model import Cluster, Path
from sparkctl.rules.base import Hit, rule


def _interface(rank: int) -> Path:
    return ("nodes", rank, "management", "interface")


@rule("MGT001", "warning", "management over Wi-Fi", "facts: field-faults, rows 14 and 29")
def management_is_wired(cluster: Cluster) -> Iterator[Hit]:
    """Serving dies when the Wi-Fi drops."""
    for node in cluster.nodes:
        if node.management == WIFI:
            said = f"node `{node.name}` is managed over Wi-Fi ({WIFI})"
            yield Hit(_interface(node.rank), said, f"use the wired jack, {MANAGEMENT}")


@rule(
    "MGT002", "error", "management on a netdev of the fabric", "design, section 7: management must survive the change"
)
def management_is_not_fabric(cluster: Cluster) -> Iterator[Hit]:
    """Applying the fabric would cut the way in."""
    for node in cluster.nodes:
        if node.management in NETDEVS:
            said = f"node `{node.name}` is managed over {node.management}, which is part of a QSFP port"
            yield Hit(_interface(node.rank), said, f"use the wired jack, {MANAGEMENT}")


@rule("MGT004", "warning", "logging in as root", "least privilege: sudo asks for what needs it, and leaves a trace")
def login_is_not_root(cluster: Cluster) -> Iterator[Hit]:
    """Only where the file says so: who runs sparkctl is not the file's fault."""
    written: list[tuple[Path, str]] = [(("ssh", "user"), cluster.ssh.user)]
    written += [(("nodes", node.rank, "user"), node.user) for node in cluster.nodes]
    for path, user in written:
        if user == "root" and path in cluster.source.places:
            yield Hit(path, "SSH logs in as root", "use a login of its own, with sudo")
