"""Nodes on one switch, or on several that cables join: one segment for all."""

from __future__ import annotations

from sparkctl.fabric.graph import both_ways, switch_groups
from sparkctl.fabric.topologies.base import Segment, Topology, register
from sparkctl.inventory.model import Cluster, LinkEnd


class Switched(Topology):
    """Switch k is segment k; joined switches are one segment, that of the first of them.

    A node's second cable to the same switches gets segment `number of switches + k`: two netdevs of a node must
    never share a subnet (facts ff5), although the switch would carry both.
    """

    name = "switch"

    def segments(self, cluster: Cluster) -> tuple[Segment, ...]:
        """The first cable of each node, and, in segments of their own, the second ones."""
        position = {switch.name: k for k, switch in enumerate(cluster.switches)}
        index = {name: position[group[0]] for group in switch_groups(cluster) for name in group}
        ends: dict[int, list[LinkEnd]] = {}
        used: set[tuple[str, int]] = set()
        for end, switch in _node_ends(cluster):
            base = index[switch]
            segment = base + (len(cluster.switches) if (end.owner, base) in used else 0)
            used.add((end.owner, base))
            ends.setdefault(segment, []).append(end)
        return tuple(Segment(k, tuple(ends[k])) for k in sorted(ends))


def _node_ends(cluster: Cluster) -> list[tuple[LinkEnd, str]]:
    """Each node end with the switch it is cabled to, in port order: p0 comes before p1."""
    switches = {switch.name for switch in cluster.switches}
    found = [(end, far.owner) for end, far in both_ways(cluster.links) if far.owner in switches]
    return sorted((pair for pair in found if pair[0].owner not in switches), key=lambda pair: pair[0].port)


register(Switched())
