"""Three nodes and three cables: every node is a neighbour of both others."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.model import Attachment, Endpoint
from sparkctl.fabric.topologies import circle
from sparkctl.fabric.topologies.base import Segment, register
from sparkctl.inventory.model import Cluster, Node


class Mesh:
    """p0 of a node leads to p1 of the next, and the third closes the circle."""

    name = "mesh"

    def segments(self, cluster: Cluster) -> tuple[Segment, ...]:
        """Cable k is segment k."""
        return circle.segments(cluster)

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """The node's management netdev and address."""
        return circle.endpoint(node, attachments)

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """What finds the port to each neighbour."""
        return circle.nccl(cluster)


register(Mesh())
