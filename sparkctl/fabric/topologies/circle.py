"""What mesh and ring share: each cable is a segment of its own, and management is what reaches everyone."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.model import Attachment, Endpoint
from sparkctl.fabric.topologies.base import Topology, prefix_length
from sparkctl.inventory.model import Cluster, Node

# How NCCL finds the port that leads to a peer (facts B5, from 2.30.7 on), and no plugin that would
# replace what knows how. MERGE_NICS is disputed (facts ff3.6): NCCL merges the devices of one PCIe card,
# which on a Spark are those of two *different* cages, and here two cages lead to two neighbours (facts B4); 0 is
# what most owners report as working where each rail has a subnet of its own. `fabric.nccl` overrides every one of them.
ROUTED = {"NCCL_IB_SUBNET_AWARE_ROUTING": "1", "NCCL_NET_PLUGIN": "none", "NCCL_IB_MERGE_NICS": "0"}
ASSUMED_PREFIX = 24  # NCCL's own NCCL_IB_SUBNET_PREFIX_LEN (facts B3)


class Circle(Topology):
    """p0 of a node leads to p1 of the next, and the last closes the circle."""

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """Management: no port of the fabric reaches all other nodes (facts ff3.6)."""
        return Endpoint(node.management, node.address)

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """What NCCL needs to take the right port to each neighbour; nothing of it concerns sockets."""
        if cluster.fabric.transport != "roce":
            return {}
        prefix = prefix_length(self.segments(cluster), cluster)
        return ROUTED if prefix == ASSUMED_PREFIX else {**ROUTED, "NCCL_IB_SUBNET_PREFIX_LEN": str(prefix)}
