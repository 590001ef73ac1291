"""Four or more nodes in a closed ring of cables, without a switch: experimental (facts ff11)."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.model import Attachment, Endpoint
from sparkctl.fabric.topologies import circle
from sparkctl.fabric.topologies.base import Segment, register
from sparkctl.inventory.model import Cluster, Node

# Trees would connect nodes that no cable joins, and RDMA does not follow IP routes (facts ff11).
ALONG_THE_CABLES = {"NCCL_ALGO": "Ring"}


class Ring:
    """p0 of a node leads to p1 of the next in rank order, and the last closes the ring."""

    name = "ring"

    def segments(self, cluster: Cluster) -> tuple[Segment, ...]:
        """Cable k is segment k."""
        return circle.segments(cluster)

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """The node's management netdev and address."""
        return circle.endpoint(node, attachments)

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """What finds the port to each neighbour, and the one algorithm that talks to neighbours alone."""
        return {**circle.nccl(cluster), **ALONG_THE_CABLES}


register(Ring())
