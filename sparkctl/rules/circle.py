"""TOP, for mesh and ring: which node each cable must lead to, and what such a fabric can not promise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from sparkctl.fabric.graph import shape
from sparkctl.inventory.model import Cluster, Link, Path
from sparkctl.inventory.words import listed
from sparkctl.rule import Hit, rule

_TOPOLOGY: Path = ("fabric", "topology")
_LEAST = 4  # a ring of three is the mesh that NVIDIA supports (facts: engine-nccl-netplan B5)


def _pairs(cluster: Cluster) -> set[frozenset[str]]:
    return {frozenset((link.a.owner, link.b.owner)) for link in cluster.links}


@rule(
    "TOP004", "error", "`mesh` is not three nodes, each cabled to both others", "facts: engine-nccl-netplan B5", "shape"
)
def mesh_joins_every_pair(cluster: Cluster) -> Iterator[Hit]:
    """Three nodes and three cables, one for every pair."""
    count = len(cluster.nodes)
    if cluster.fabric.topology != "mesh":
        return
    if count != 3:
        use = {1: "list all three nodes", 2: "write `topology: direct`"}
        said = f"`mesh` joins exactly 3 nodes; this inventory has {count}"
        yield Hit(_TOPOLOGY, said, use.get(count, "use `switch`, or `ring`, which is experimental"))
        return
    if shape(cluster) in ("switch", "mixed"):  # TOP009 and TOP012 say it
        return
    missing = [
        pair for pair in combinations((n.name for n in cluster.nodes), 2) if frozenset(pair) not in _pairs(cluster)
    ]
    for a, b in missing:
        said = f"a mesh has a cable between every two nodes, and `{a}` and `{b}` have none"
        yield Hit(("links",), said, f"add `- [{_cable(cluster, a, b)}]`")


def _cable(cluster: Cluster, a: str, b: str) -> str:
    """The cable between two neighbours in the circle: p0 of the one to p1 of the next."""
    first, second = (a, b) if _is_next(cluster, a, b) else (b, a)
    return f"{first}:p0, {second}:p1"


def _is_next(cluster: Cluster, a: str, b: str) -> bool:
    return (cluster.node(a).rank + 1) % len(cluster.nodes) == cluster.node(b).rank


@rule(
    "TOP005",
    "error",
    "cables of a mesh or ring that do not follow the order of the nodes",
    "facts: field-faults, row 12",
    "shape",
)
def circle_follows_the_ranks(cluster: Cluster) -> Iterator[Hit]:
    """p0 of each node leads to p1 of the next, and the last closes the circle."""
    if not _is_circle(cluster):
        return
    misplaced = [link for link in cluster.links if not _is_in_place(cluster, link)]
    order = _order(cluster)
    if misplaced and order:
        said = f"the cables lead from p0 to p1 in the order {listed(order, limit=12)}, and `nodes` has another one"
        yield Hit(("nodes",), said, "list the nodes in the order of the cables: their order is the rank")
    else:
        yield from (Hit(("links", link.index), *_misplaced(cluster, link)) for link in misplaced)
    if cluster.fabric.topology == "ring":
        yield from _gaps(cluster)


def _is_circle(cluster: Cluster) -> bool:
    """Whether the order can be judged: so many nodes, and cables between nodes only."""
    least = {"mesh": 3, "ring": _LEAST}.get(cluster.fabric.topology)
    names = {node.name for node in cluster.nodes}
    between = all({link.a.owner, link.b.owner} <= names for link in cluster.links)
    return least is not None and len(cluster.nodes) >= least and between


def _is_in_place(cluster: Cluster, link: Link) -> bool:
    ends = {end.port: end.owner for end in (link.a, link.b)}
    return set(ends) == {"p0", "p1"} and _is_next(cluster, ends["p0"], ends["p1"])


def _misplaced(cluster: Cluster, link: Link) -> tuple[str, str]:
    kind, a, b = cluster.fabric.topology, link.a.owner, link.b.owner
    if _is_next(cluster, a, b) or _is_next(cluster, b, a):
        said = f"in a {kind}, p0 of a node leads to p1 of the next; this is `{link.a}` to `{link.b}`"
        return said, f"cable it as `[{_cable(cluster, a, b)}]`: carrier alone does not show a wrong port"
    said = f"`{a}` and `{b}` are not neighbours in the order of `nodes`"
    return said, "cable p0 of each node to p1 of the next, and p0 of the last to p1 of the first"


def _order(cluster: Cluster) -> tuple[str, ...]:
    """The nodes as the cables lead from p0 to p1, from the head on; empty when they make no such circle."""
    following = {}
    for link in cluster.links:
        ends = {end.port: end.owner for end in (link.a, link.b)}
        if set(ends) == {"p0", "p1"}:
            following[ends["p0"]] = ends["p1"]
    found = [cluster.head.name]
    while (after := following.get(found[-1])) is not None and after not in found:
        found.append(after)
    return tuple(found) if len(found) == len(cluster.nodes) and after == found[0] else ()


def _gaps(cluster: Cluster) -> Iterator[Hit]:
    """Neighbours without a cable, when all cables that there are lie right."""
    if not all(_is_in_place(cluster, link) for link in cluster.links):
        return
    pairs = _pairs(cluster)
    for node in cluster.nodes:
        after = cluster.nodes[(node.rank + 1) % len(cluster.nodes)]
        if frozenset((node.name, after.name)) not in pairs:
            said = f"the ring is not closed: no cable joins `{node.name}` and `{after.name}`"
            yield Hit(("links",), said, f"add `- [{node.name}:p0, {after.name}:p1]`")


@rule("TOP006", "error", "`ring` with fewer than four nodes", "facts: engine-nccl-netplan B5", "shape")
def ring_is_no_mesh(cluster: Cluster) -> Iterator[Hit]:
    """Three nodes in a circle are a mesh, which is supported and tuned differently."""
    count = len(cluster.nodes)
    if cluster.fabric.topology == "ring" and count < _LEAST:
        use = {1: "list the other nodes", 2: "write `topology: direct`", 3: "write `topology: mesh`"}
        yield Hit(_TOPOLOGY, f"a ring has {_LEAST} nodes or more; this inventory has {count}", use[count])


@rule("TOP007", "warning", "`ring` is experimental", "facts: field-faults, row 11", "shape")
def ring_is_experimental(cluster: Cluster) -> Iterator[Hit]:
    """NVIDIA supports three nodes in a circle, and switches for more."""
    if cluster.fabric.topology == "ring" and len(cluster.nodes) >= _LEAST and shape(cluster) == "ring":
        said = (
            "`ring` is experimental and not supported by NVIDIA: nodes that are not neighbours cannot talk over RDMA, "
            "so NCCL needs NCCL_ALGO=Ring (which is set), 2.30.7 or newer, and by some reports a patched library"
        )
        yield Hit(_TOPOLOGY, said, "use a switch, or silence this where you have proved your NCCL")
