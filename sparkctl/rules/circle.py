"""TOP, for mesh and ring: which node each cable must lead to, and what such a fabric can not promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from sparkctl.fabric.graph import shape
from sparkctl.fabric.moves import Pair, Recabling, circle, fewest_moves, offer, relabelled
from sparkctl.inventory.model import Cluster, Link, Path
from sparkctl.inventory.words import listed
from sparkctl.outcome import Named, Remedy
from sparkctl.rule import Hit, rule

_TOPOLOGY: Path = ("fabric", "topology")
_LEAST = 4  # a ring of three is the mesh that NVIDIA supports (facts B5)


def _pairs(cluster: Cluster) -> set[frozenset[str]]:
    return {frozenset((link.a.owner, link.b.owner)) for link in cluster.links}


@rule("TOP004", "error", "`mesh` is not three nodes, each cabled to both others", "facts B5", "shape")
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
    plan = _plan(cluster)[1]
    how = {_joined(turn.wanted): plan.words(turn) for turn in plan.turns}
    how |= {_joined(pair): _add(pair) for pair in plan.missing}
    for a, b in combinations((n.name for n in cluster.nodes), 2):
        if frozenset((a, b)) not in _pairs(cluster):
            said = f"a mesh has a cable between every two nodes, and `{a}` and `{b}` have none"
            yield Hit(("links",), said, how[frozenset((a, b))])


def _plan(cluster: Cluster) -> tuple[tuple[str, ...], Recabling, str]:
    """The order of the nodes, what to move for it, and what another order would save.

    The order is another one where the cables follow that and no plug must move.
    """
    order, there = tuple(node.name for node in cluster.nodes), [(link.a, link.b) for link in cluster.links]
    plan = fewest_moves(there, circle(order))
    other, instead = relabelled(there, order, plan)
    if other == order or instead.count == 0:
        return other, instead, ""
    return order, plan, offer(other, instead, plan.count)


def _joined(pair: Pair) -> frozenset[str]:
    return frozenset((pair[0].owner, pair[1].owner))


def _add(pair: Pair) -> str:
    return Remedy(f"add `- [{pair[0]}, {pair[1]}]`", Named("cable", str(pair[1]), str(pair[0])))


@rule(
    "TOP005",
    "error",
    "cables of a mesh or ring that do not follow the order of the nodes",
    "facts ff12",
    "shape",
)
def circle_follows_the_ranks(cluster: Cluster) -> Iterator[Hit]:
    """p0 of each node leads to p1 of the next, and the last closes the circle."""
    if not _is_circle(cluster):
        return
    order, plan, saves = _plan(cluster)
    if order != tuple(node.name for node in cluster.nodes):
        said = f"the cables lead from p0 to p1 in the order {listed(order, limit=12)}, and `nodes` has another one"
        yield Hit(("nodes",), said, "list the nodes in the order of the cables: their order is the rank")
    turns = {turn.cable: turn for turn in plan.turns}
    for link in (link for link in cluster.links if (link.a, link.b) in turns):
        remedy = plan.words(turns[link.a, link.b])
        yield Hit(("links", link.index), _misplaced(cluster, link), Remedy.again(remedy + saves, remedy, ""))
        saves = ""  # said once
    yield from _gaps(cluster, plan.missing)


def _is_circle(cluster: Cluster) -> bool:
    """Whether the order can be judged: so many nodes, and cables between nodes only."""
    least = {"mesh": 3, "ring": _LEAST}.get(cluster.fabric.topology)
    names = {node.name for node in cluster.nodes}
    between = all({link.a.owner, link.b.owner} <= names for link in cluster.links)
    return least is not None and len(cluster.nodes) >= least and between


def _misplaced(cluster: Cluster, link: Link) -> str:
    kind, a, b = cluster.fabric.topology, link.a.owner, link.b.owner
    if _is_next(cluster, a, b) or _is_next(cluster, b, a):
        return f"in a {kind}, p0 of a node leads to p1 of the next; this is `{link.a}` to `{link.b}`"
    return f"`{a}` and `{b}` are not neighbours in the order of `nodes`"


def _is_next(cluster: Cluster, a: str, b: str) -> bool:
    return (cluster.node(a).rank + 1) % len(cluster.nodes) == cluster.node(b).rank


def _gaps(cluster: Cluster, missing: Iterable[Pair]) -> Iterator[Hit]:
    """Neighbours for whom no cable is left; where two nodes of a mesh have none now, TOP004 says it."""
    pairs, kind = _pairs(cluster), cluster.fabric.topology
    for pair in missing:
        if _joined(pair) in pairs or kind == "ring":
            what = "no cable is left for" if _joined(pair) in pairs else "no cable joins"
            said = f"the {kind} is not closed: {what} `{pair[0].owner}` and `{pair[1].owner}`"
            yield Hit(("links",), said, _add(pair))


@rule("TOP006", "error", "`ring` with fewer than four nodes", "facts B5", "shape")
def ring_is_no_mesh(cluster: Cluster) -> Iterator[Hit]:
    """Three nodes in a circle are a mesh, which is supported and tuned differently."""
    count = len(cluster.nodes)
    if cluster.fabric.topology == "ring" and count < _LEAST:
        use = {1: "list the other nodes", 2: "write `topology: direct`", 3: "write `topology: mesh`"}
        yield Hit(_TOPOLOGY, f"a ring has {_LEAST} nodes or more; this inventory has {count}", use[count])


@rule("TOP007", "warning", "`ring` is experimental", "facts ff11", "shape")
def ring_is_experimental(cluster: Cluster) -> Iterator[Hit]:
    """NVIDIA supports three nodes in a circle, and switches for more."""
    if cluster.fabric.topology == "ring" and len(cluster.nodes) >= _LEAST and shape(cluster) == "ring":
        said = (
            "`ring` is experimental and not supported by NVIDIA: nodes that are not neighbours cannot talk over RDMA, "
            "so NCCL needs NCCL_ALGO=Ring (which is set), 2.30.7 or newer, and by some reports a patched library"
        )
        yield Hit(_TOPOLOGY, said, "use a switch, or silence this where you have proved your NCCL")
