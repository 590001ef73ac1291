"""Four or more nodes in a closed ring of cables, without a switch: experimental (facts ff11)."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.topologies.base import register
from sparkctl.fabric.topologies.circle import Circle
from sparkctl.inventory.model import Cluster

# Trees would connect nodes that no cable joins, and RDMA does not follow IP routes (facts ff11).
ALONG_THE_CABLES = {"NCCL_ALGO": "Ring"}


class Ring(Circle):
    """A circle of more than three, in rank order."""

    name = "ring"

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """What finds the port to each neighbour, and the one algorithm that talks to neighbours alone."""
        return {**super().nccl(cluster), **ALONG_THE_CABLES}


register(Ring())
