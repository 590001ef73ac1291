"""The topologies; importing this package registers them all."""

from sparkctl.fabric.topologies import direct, mesh, ring, switch
from sparkctl.fabric.topologies.base import Segment, Topology, expand, known, subnets_needed, topology_of

__all__ = [
    "Segment",
    "Topology",
    "direct",
    "expand",
    "known",
    "mesh",
    "ring",
    "subnets_needed",
    "switch",
    "topology_of",
]
