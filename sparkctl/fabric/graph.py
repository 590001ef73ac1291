"""What the cables make: who is connected to whom, and which topology that is.

No graph library: connected groups and the number of neighbours are all that is asked, and networkx alone would take a
third of the time of `sparkctl validate`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Literal

from sparkctl.inventory.model import Cluster, Link

Shape = Literal["nothing", "direct", "chain", "mesh", "ring", "switch", "mixed", "pieces", "other"]
CableKind = Literal["direct", "switch", "uplink"]
_KINDS: tuple[CableKind, CableKind, CableKind] = ("direct", "switch", "uplink")  # by how many ends are on switches


def components(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Nodes and switches in connected groups, both in the order of the inventory; dangling cables are left out."""
    return _groups([*_nodes(cluster), *_switches(cluster)], cluster.links)


def switch_groups(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    """Switches in groups that cables between switches join, in the order of the inventory."""
    return _groups(_switches(cluster), cluster.links)


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
    if len(_groups(nodes, links)) > 1:
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


def _groups(names: Iterable[str], links: Iterable[Link]) -> tuple[tuple[str, ...], ...]:
    """Connected groups by union-find with path halving, near to linear; both levels in the order of `names`."""
    parent = {name: name for name in names}
    for a, b in _edges(parent, links):
        parent[_root(parent, a)] = _root(parent, b)
    members: dict[str, list[str]] = {}
    for name in parent:
        members.setdefault(_root(parent, name), []).append(name)
    return tuple(tuple(group) for group in members.values())


def _root(parent: dict[str, str], name: str) -> str:
    while parent[name] != name:
        parent[name] = parent[parent[name]]
        name = parent[name]
    return name


def _edges(names: Container[str], links: Iterable[Link]) -> list[tuple[str, str]]:
    """The cables whose ends are two different ones of `names`."""
    pairs = ((link.a.owner, link.b.owner) for link in links)
    return [(a, b) for a, b in pairs if a != b and a in names and b in names]
