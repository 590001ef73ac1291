"""What the cables make: who is connected to whom, which topology that is, and what a graph library answers of it."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from sparkctl.inventory.model import Cluster, Link, LinkEnd
from sparkctl.late import late

# Most files have nothing wrong, and then nobody asks: it is a third of what `validate` would cost (docs/adr/0015).
if TYPE_CHECKING:
    import networkx as nx
else:
    nx = late("networkx")

K = TypeVar("K", bound=Hashable)
Shape = Literal["nothing", "direct", "chain", "mesh", "ring", "switch", "mixed", "pieces", "other"]
CableKind = Literal["direct", "switch", "uplink"]
_KINDS: tuple[CableKind, CableKind, CableKind] = ("direct", "switch", "uplink")  # by how many ends are on switches


def both_ways(links: Iterable[Link]) -> Iterator[tuple[LinkEnd, LinkEnd]]:
    """Each end of each cable, with the one at its other end."""
    for link in links:
        yield link.a, link.b
        yield link.b, link.a


def components(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Nodes and switches in connected groups, both in the order of the inventory; dangling cables are left out."""
    names = _nodes(cluster) | _switches(cluster)
    return groups(names, _edges(names, cluster.links))


def switch_groups(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Switches in groups that cables between switches join, in the order of the inventory."""
    names = _switches(cluster)
    return groups(names, _edges(names, cluster.links))


def shape(cluster: Cluster) -> Shape:
    """The topology that the cables make, whatever the file declares."""
    kinds = cable_kinds(cluster)
    if not kinds:
        return "nothing"
    if "direct" not in kinds:
        return "switch"
    return "mixed" if len(kinds) > 1 else _switchless(list(_nodes(cluster)), cluster.links)


def cable_kinds(cluster: Cluster) -> frozenset[CableKind]:
    """Which kinds of cables there are: node to node, node to switch, switch to switch."""
    nodes, switches = _nodes(cluster), _switches(cluster)
    pairs = _edges({**nodes, **switches}, cluster.links)
    return frozenset(_KINDS[(a in switches) + (b in switches)] for a, b in pairs)


def _nodes(cluster: Cluster) -> dict[str, None]:
    return dict.fromkeys(node.name for node in cluster.nodes)


def _switches(cluster: Cluster) -> dict[str, None]:
    return dict.fromkeys(switch.name for switch in cluster.switches)


def _switchless(nodes: list[str], links: Iterable[Link]) -> Shape:
    if len(groups(nodes, _edges(nodes, links))) > 1:
        return "pieces"
    degrees = _degrees(nodes, links)
    if len(nodes) == 2:
        return "direct"
    if degrees == [2] * len(nodes):
        return "mesh" if len(nodes) == 3 else "ring"
    return "chain" if degrees == [1, 1] + [2] * (len(nodes) - 2) else "other"


def _degrees(names: Iterable[str], links: Iterable[Link]) -> list[int]:
    """How many neighbours each has, smallest first; a second cable to the same neighbour does not count."""
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for a, b in _edges(neighbours, links):
        neighbours[a].add(b)
        neighbours[b].add(a)
    return sorted(len(others) for others in neighbours.values())


def groups(names: Iterable[K], pairs: Iterable[tuple[K, K]]) -> tuple[tuple[K, ...], ...]:
    """Connected groups of `names`, to which both ends of all `pairs` belong; both levels in the order of `names`."""
    parent = {name: name for name in names}

    def root(name: K) -> K:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        parent[root(a)] = root(b)
    members: dict[K, list[K]] = {}
    for name in parent:
        members.setdefault(root(name), []).append(name)
    return tuple(tuple(group) for group in members.values())


def heaviest_matching(weights: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """Rows matched with columns, each at most once, so that the weights of the pairs have the largest sum.

    `weights` are whole and positive, which keeps the sum exact; a pair without one is never matched.
    """
    if not weights:
        return {}
    graph = nx.Graph()  # numbers alone, for their order is the same in every process: columns count down from -1
    graph.add_weighted_edges_from((row, -1 - column, weight) for (row, column), weight in weights.items())
    return {max(pair): -1 - min(pair) for pair in sorted(nx.max_weight_matching(graph))}


class Cut(NamedTuple):
    """What falls apart when the cheapest edges between two parts are cut: one part, and what those edges carry."""

    part: frozenset[str]
    capacity: int


def minimum_cuts(edges: Iterable[tuple[str, str, int]]) -> tuple[Cut, ...]:
    """The tree of minimum cuts (Gomory and Hu) of a connected graph: for every two vertices one of them is the least.

    One cut for each vertex but one; with edges that make a tree themselves, one for each edge. `edges`: both ends and
    what one edge carries, several between the same two being added.
    """
    graph, cuts = nx.Graph(), []
    for a, b, capacity in edges:
        graph.add_edge(a, b, capacity=capacity + graph.get_edge_data(a, b, {"capacity": 0})["capacity"])
    tree = nx.gomory_hu_tree(graph)
    for a, b, capacity in tuple(tree.edges(data="weight")):
        tree.remove_edge(a, b)
        cuts.append(Cut(frozenset(nx.node_connected_component(tree, a)), capacity))
        tree.add_edge(a, b)
    return tuple(cuts)


def _edges(names: Container[str], links: Iterable[Link]) -> list[tuple[str, str]]:
    """The cables whose ends are two different ones of `names`."""
    pairs = ((link.a.owner, link.b.owner) for link in links)
    return [(a, b) for a, b in pairs if a != b and a in names and b in names]
