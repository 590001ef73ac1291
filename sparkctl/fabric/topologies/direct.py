"""Two nodes and a cable between them; a second cable is allowed and brings nothing but two more subnets."""

from __future__ import annotations

from sparkctl.fabric.model import Attachment, Endpoint
from sparkctl.fabric.topologies.base import Topology, own_port, register
from sparkctl.inventory.model import Node


class Direct(Topology):
    """Every cable is a segment of its own."""

    name = "direct"

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """Rail A of the port of the first cable."""
        return own_port(node, attachments)


register(Direct())
