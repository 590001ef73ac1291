"""Two nodes and a cable between them; a second cable is allowed and brings nothing but two more subnets."""

from __future__ import annotations

from sparkctl.fabric.topologies.base import Topology, register


class Direct(Topology):
    """Every cable is a segment of its own."""

    name = "direct"


register(Direct())
