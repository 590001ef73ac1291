"""What the cables make: who is connected to whom, and which topology that is. The only user of networkx."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import networkx as nx

from sparkctl.inventory.model import Cluster, Link

Shape = Literal["nothing", "direct", "chain", "mesh", "ring", "switch", "mixed", "pieces", "other"]


def components(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Nodes and switches in connected groups, both in the order of the inventory; dangling cables are left out."""
    order = [node.name for node in cluster.nodes] + [switch.name for switch in cluster.switches]
    rank = {name: i for i, name in enumerate(order)}
    groups = [
        tuple(sorted(group, key=rank.__getitem__)) for group in nx.connected_components(_graph(order, cluster.links))
    ]
    return tuple(sorted(groups, key=lambda group: rank[group[0]]))


def switch_groups(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Switches in groups that cables between switches join, in the order of the inventory."""
    order = [switch.name for switch in cluster.switches]
    rank = {name: i for i, name in enumerate(order)}
    groups = [
        tuple(sorted(group, key=rank.__getitem__)) for group in nx.connected_components(_graph(order, cluster.links))
    ]
    return tuple(sorted(groups, key=lambda group: rank[group[0]]))


def shape(cluster: Cluster) -> Shape:
    """The topology that the cables make, whatever the file declares."""
    nodes = [node.name for node in cluster.nodes]
    kinds = cable_kinds(cluster)
    if not kinds:
        return "nothing"
    if len(kinds) > 1 and "direct" in kinds:
        return "mixed"
    if "direct" not in kinds:
        return "switch"
    return _switchless(nx.Graph(_graph(nodes, cluster.links)))


def cable_kinds(cluster: Cluster) -> frozenset[Literal["direct", "switch", "uplink"]]:
    """Which kinds of cables there are: node to node, node to switch, switch to switch."""
    nodes, switches = _names(cluster)
    return frozenset(kind for link in cluster.links if (kind := _kind(link, nodes, switches)))


def _names(cluster: Cluster) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(node.name for node in cluster.nodes), frozenset(switch.name for switch in cluster.switches)


def _kind(link: Link, nodes: frozenset[str], switches: frozenset[str]) -> Literal["direct", "switch", "uplink"] | None:
    ends = [link.a.owner, link.b.owner]
    if any(end not in nodes and end not in switches for end in ends):
        return None
    kinds: tuple[Literal["direct", "switch", "uplink"], ...] = ("direct", "switch", "uplink")
    return kinds[sum(end in switches for end in ends)]


def _switchless(graph: nx.Graph[str]) -> Shape:
    if not nx.is_connected(graph):
        return "pieces"
    degrees = sorted(degree for _, degree in graph.degree())
    if len(graph) == 2:
        return "direct"
    if degrees[0] == 2 and degrees[-1] == 2:
        return "mesh" if len(graph) == 3 else "ring"
    return "chain" if degrees[:2] == [1, 1] and degrees[-1] == 2 and degrees[2] == 2 else "other"


def _graph(names: Iterable[str], links: Iterable[Link]) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(names)
    inside = ((link.a.owner, link.b.owner) for link in links if link.a.owner in graph and link.b.owner in graph)
    graph.add_edges_from((a, b) for a, b in inside if a != b)
    return graph
