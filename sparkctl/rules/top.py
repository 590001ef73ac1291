"""TOP: the cables, and the topology that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from sparkctl.fabric.graph import Shape, both_ways, cable_kinds, components, shape, switch_groups
from sparkctl.fabric.ports import HALVES, PORTS
from sparkctl.inventory.model import Cluster, LinkEnd, Path
from sparkctl.inventory.words import listed, nearest, quoted
from sparkctl.outcome import Named, Remedy
from sparkctl.rule import Hit, cable_ends, end_path, rule, write

_TOPOLOGY: Path = ("fabric", "topology")
_SIDES: tuple[Literal["a", "b"], Literal["a", "b"]] = ("a", "b")
_SHAPES: dict[Shape, str] = {
    "direct": "two nodes, joined directly",
    "mesh": "three nodes, each joined to both others",
    "ring": "a closed ring",
    "switch": "every node on a switch",
}


def _node_names(cluster: Cluster) -> set[str]:
    return {node.name for node in cluster.nodes}


def _switch_names(cluster: Cluster) -> set[str]:
    return {switch.name for switch in cluster.switches}


@rule("TOP001", "error", "a cable end names no node, switch or port", "facts ff3.1: a Spark has the ports p0 and p1")
def cable_ends_exist(cluster: Cluster) -> Iterator[Hit]:
    """Every end is a known thing, and on a node a port that a Spark has."""
    nodes, switches = _node_names(cluster), _switch_names(cluster)
    if len(nodes) < len(cluster.nodes):
        return  # which node is meant is said by INV006 first
    for path, end in cable_ends(cluster):
        if end.owner not in nodes and end.owner not in switches:
            guess = nearest(end.owner, nodes | switches)
            near = write(f"{guess}:{end.port}", f"did you mean `{guess}:{end.port}`?")
            remedy = near if guess else "name a node of `nodes` or a switch of `switches`"
            yield Hit(path, f"{quoted(end.owner)} is neither a node nor a switch of this inventory", remedy)
        elif end.owner in nodes and end.port not in PORTS:
            said = f"node `{end.owner}` has no port {quoted(end.port)}; a Spark has p0 (next to the RJ45 jack) and p1"
            meant = _meant(end.port)
            yield Hit(path, said, f"write {listed((f'`{end.owner}:{port}`' for port in meant), 'or')}")


def _meant(port: str) -> Sequence[str]:
    """The port by the name of a netdev, a number or in capitals; else all."""
    known = {half.netdev: half.port for half in HALVES} | {half.rdma: half.port for half in HALVES}
    known |= {spelt: name for name in PORTS for spelt in (name.upper(), name[1:], f"port{name[1:]}")}
    return (known[port],) if port in known else PORTS


@rule(
    "TOP002",
    "error",
    "a port with two cables, or a cable that leads back to its own node",
    "a QSFP cage takes one plug",
)
def ports_take_one_cable(cluster: Cluster) -> Iterator[Hit]:
    """A port has at most one cable, and a cable joins two different things."""
    first: dict[LinkEnd, int] = {}
    for link in cluster.links:
        if link.a.owner == link.b.owner:
            said = f"this cable begins and ends on `{link.a.owner}`"
            yield Hit(("links", link.index), said, "connect it to another node, or to a switch")
            continue
        for side, end in zip(_SIDES, (link.a, link.b), strict=True):
            taken = first.setdefault(end, link.index)
            if taken != link.index:
                path = end_path(cluster, link.index, side)
                yield Hit(
                    path, f"port `{end}` already has the cable of links[{taken}]", "give each cable a port of its own"
                )


@rule("TOP003", "error", "`direct` without exactly two nodes", "facts B5", layer="shape")
def direct_is_a_pair(cluster: Cluster) -> Iterator[Hit]:
    """A direct cable joins two nodes."""
    count = len(cluster.nodes)
    if cluster.fabric.topology == "direct" and count != 2:
        said = f"`direct` joins exactly 2 nodes; this inventory has {count}"
        yield Hit(_TOPOLOGY, said, _instead_of_direct(count, shape(cluster)))


def _instead_of_direct(count: int, made: Shape) -> str:
    if made in _SHAPES:
        return f"the cables are those of `{made}`: {_SHAPES[made]}"
    return "list the second node" if count < 2 else "use `switch`, with a switch between the nodes"


@rule("TOP008", "error", "a node of a `switch` fabric, or a switch, without a cable", "by definition", layer="shape")
def everything_is_cabled(cluster: Cluster) -> Iterator[Hit]:
    """On a switch fabric every node has a cable to a switch and every switch has a cable."""
    yield from _idle_switches(cluster)
    if cluster.fabric.topology != "switch" or shape(cluster) in ("direct", "mesh", "ring", "chain"):
        return
    if not cluster.switches:
        remedy = "add it, such as `switches: [{name: sw1, l2mtu: 9216}]`, and cable the nodes to it"
        yield Hit(_TOPOLOGY, "`switch` needs a switch, and `switches` is empty", remedy)
        return
    cabled = _cabled_to_switches(cluster)
    for rank, node in enumerate(cluster.nodes):
        if node.name not in cabled:
            remedy = f"add `- [{node.name}:p1, {cluster.switches[0].name}:PORT]` to `links`"
            yield Hit(("nodes", rank, "name"), f"node `{node.name}` has no cable to a switch", remedy)


def _idle_switches(cluster: Cluster) -> Iterator[Hit]:
    used = _cabled(cluster)
    for index, switch in enumerate(cluster.switches):
        if switch.name not in used:
            said = f"nothing is cabled to switch `{switch.name}`"
            yield Hit(("switches", index, "name"), said, "cable it in `links`, or remove it")


def _cabled(cluster: Cluster) -> set[str]:
    """Everything that has a cable."""
    return {end.owner for _, end in cable_ends(cluster)}


def _cabled_to_switches(cluster: Cluster) -> set[str]:
    """Everything that has a cable whose other end is on a switch."""
    switches = _switch_names(cluster)
    return {near.owner for near, far in both_ways(cluster.links) if far.owner in switches}


@rule(
    "TOP009",
    "error",
    "direct cables and switch cables in one cluster",
    "NVIDIA user guide: either direct or through a switch",
    layer="shape",
)
def cables_are_of_one_kind(cluster: Cluster) -> Iterator[Hit]:
    """Either all nodes are on switches or none is."""
    if len(cable_kinds(cluster)) < 2 or "direct" not in cable_kinds(cluster):
        return
    nodes = _node_names(cluster)
    for link in cluster.links:
        if link.a.owner in nodes and link.b.owner in nodes:
            said = f"this cable joins `{link.a.owner}` and `{link.b.owner}` directly, while others lead to a switch"
            yield Hit(("links", link.index), said, "lead every cable to the switch, or none")


@rule(
    "TOP010",
    "warning",
    "two cables where one is as fast",
    "NVIDIA: two cables do not increase performance (facts ff3.3)",
    layer="shape",
)
def one_cable_is_enough(cluster: Cluster) -> Iterator[Hit]:
    """A second cable between the same two things brings nothing: both cages share the same two PCIe x4 links."""
    nodes, first = _node_names(cluster), dict[frozenset[str], int]()
    for link in cluster.links:
        if link.a.owner not in nodes and link.b.owner not in nodes:
            continue
        taken = first.setdefault(frozenset((link.a.owner, link.b.owner)), link.index)
        if taken != link.index:
            pair = f"`{link.a.owner}` and `{link.b.owner}`"
            said = f"a second cable between {pair} adds no speed; the first is links[{taken}]"
            yield Hit(("links", link.index), said, "remove one: both ports of a Spark share the same PCIe lanes")


@rule("TOP011", "warning", "different ports on different nodes", "facts ff28", layer="shape")
def ports_are_alike(cluster: Cluster) -> Iterator[Hit]:
    """The same cage everywhere gives the same interface names everywhere."""
    if shape(cluster) not in ("direct", "switch"):
        return
    nodes = _node_names(cluster)
    places = {end: path for path, end in cable_ends(cluster) if end.owner in nodes}
    used: dict[str, set[str]] = {}
    for end in places:
        used.setdefault(end.owner, set()).add(end.port)
    usual = next(iter(used), "")
    other = next((end for end in places if used[end.owner] != used[usual]), None)
    if other is None:
        return
    mine, theirs = (listed(sorted(used[owner])) for owner in (other.owner, usual))
    said = f"`{other.owner}` uses {mine}, `{usual}` uses {theirs}"
    remedy = (
        "works, as names are rendered per node; the same port everywhere is simpler and is what NVIDIA's tools expect"
    )
    yield Hit(places[other], f"different ports on different nodes: {said}", remedy)


@rule("TOP012", "error", "the declared topology contradicts the cables", "by definition", layer="shape")
def topology_matches_cables(cluster: Cluster) -> Iterator[Hit]:
    """Says which topology the cables make."""
    declared, made = cluster.fabric.topology, shape(cluster)
    if made not in _SHAPES or made == declared or _is_miscounted(cluster):
        return
    yield Hit(
        _TOPOLOGY,
        f"`{declared}` is declared, but the cables are those of `{made}`: {_SHAPES[made]}",
        Remedy(f"write `topology: {made}`, or correct `links`", Named("inventory", made, "fabric.topology")),
    )


def _is_miscounted(cluster: Cluster) -> bool:
    """Without a switch, TOP003, TOP004 and TOP006 say it better."""
    count, declared = len(cluster.nodes), cluster.fabric.topology
    return {"direct": count != 2, "mesh": count != 3, "ring": count < 4, "switch": False}[declared]


@rule(
    "TOP013",
    "error",
    "switches that are not joined, or a node on two switches",
    "facts ff45",
    layer="shape",
)
def switches_are_joined(cluster: Cluster) -> Iterator[Hit]:
    """Several switches are one fabric only where cables join them."""
    if cluster.fabric.topology != "switch":
        return
    used = _cabled(cluster)
    groups = [group for group in switch_groups(cluster) if used.intersection(group)]  # an idle one is TOP008
    if len(groups) > 1:
        path: Path = ("switches", [switch.name for switch in cluster.switches].index(groups[1][0]), "name")
        said = f"no cable joins `{groups[1][0]}` to `{groups[0][0]}`: their nodes cannot reach one another"
        yield Hit(path, said, f"add a cable such as `{{a: {groups[0][0]}:PORT, b: {groups[1][0]}:PORT}}`")
    yield from _nodes_on_two_switches(cluster)


def _nodes_on_two_switches(cluster: Cluster) -> Iterator[Hit]:
    nodes, home = _node_names(cluster), dict[str, str]()
    for link in cluster.links:
        for end, other in ((link.a, link.b), (link.b, link.a)):
            if end.owner not in nodes or other.owner in nodes:
                continue
            first = home.setdefault(end.owner, other.owner)
            if first != other.owner:
                said = f"node `{end.owner}` is on `{first}` and on `{other.owner}`"
                yield Hit(("links", link.index), said, "cable each node to one switch")


@rule("TOP014", "warning", "more than one switch", "facts ff45", layer="shape")
def several_switches_need_care(cluster: Cluster) -> Iterator[Hit]:
    """Spanning tree may block the cable between the switches when both have an uplink to the same LAN."""
    if cluster.fabric.topology == "switch" and len(cluster.switches) > 1 and len(switch_groups(cluster)) == 1:
        said = "more than one switch: RSTP blocks the cable between them when both have an uplink to the same LAN"
        yield Hit(("switches",), said, "give only one switch an uplink, or raise the path cost of the other's")


@rule("TOP015", "error", "the fabric is not connected", "every rank talks to every other", layer="shape")
def fabric_is_connected(cluster: Cluster) -> Iterator[Hit]:
    """Without switches, a path of cables leads from each node to every other."""
    if cluster.fabric.topology == "switch" or not cable_kinds(cluster) <= {"direct"}:
        return
    ranks = {node.name: node.rank for node in cluster.nodes}
    groups = [group for group in components(cluster) if group[0] in ranks]  # an idle switch is TOP008
    for group in groups[1:]:
        said = f"no cable joins {listed(f'`{name}`' for name in group)} to `{groups[0][0]}`"
        closed = cluster.fabric.topology in ("mesh", "ring")  # whose own rules name the very ports
        such = "that the other findings name" if closed else f"such as `- [{groups[0][0]}:p1, {group[0]}:p1]`"
        remedy = f"add a cable {such}"
        yield Hit(("nodes", ranks[group[0]], "name"), said, remedy)


@rule(
    "TOP016",
    "error",
    "an open chain of three or more nodes",
    "facts B5: NVIDIA supports pairs, closed rings of three, and switches",
    layer="shape",
)
def chains_are_closed(cluster: Cluster) -> Iterator[Hit]:
    """The ends of a chain cannot reach each other."""
    if shape(cluster) != "chain":
        return
    pairs = {frozenset((link.a.owner, link.b.owner)) for link in cluster.links}
    cables = Counter(name for pair in pairs for name in pair)
    ends = [node.name for node in cluster.nodes if cables[node.name] == 1]
    said = f"the cables make an open chain: its ends `{ends[0]}` and `{ends[1]}` cannot reach each other"
    yield Hit(("links",), said, "close it with one more cable, or use a switch")
