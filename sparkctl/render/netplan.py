"""The netplan file: one address and the MTU for every cabled netdev of a node, and nothing else."""

from __future__ import annotations

from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, Node
from sparkctl.inventory.names import NETPLAN
from sparkctl.render.artifact import Artifact
from sparkctl.render.environment import text_of


def netplan_file(cluster: Cluster, fabric: Fabric, node: Node) -> Artifact:
    """`95-`: after NVIDIA's 40-cx7, before Sync's 99-; 0600 because netplan warns of anything wider (facts D4, D8).

    `optional` keeps networkd from holding up the boot for an unplugged cable; NetworkManager ignores it. With
    `link-local: []` and no accept-ra a port has no other address that NCCL could take for its GID (facts B3).
    """
    content = text_of("netplan/95-sparkctl.yaml.j2", cluster=cluster, node=node, attachments=fabric.of(node.name))
    return Artifact(NETPLAN, content, 0o600, "network")
