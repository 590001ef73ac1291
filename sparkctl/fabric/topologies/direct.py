"""Two nodes and a cable between them; a second cable is allowed and brings nothing but two more subnets."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.model import Attachment, Endpoint
from sparkctl.fabric.topologies.base import Segment, own_port, register
from sparkctl.inventory.model import Cluster, Node


class Direct:
    """Every cable is a segment of its own."""

    name = "direct"

    def segments(self, cluster: Cluster) -> tuple[Segment, ...]:
        """Cable k is segment k."""
        return tuple(Segment(link.index, (link.a, link.b)) for link in cluster.links)

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """Rail A of the port of the first cable."""
        return own_port(node, attachments)

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """Nothing beyond the common variables (facts ff3.6)."""
        return {}


register(Direct())
