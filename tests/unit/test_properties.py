"""What must hold for every inventory that the rules let pass, whatever the topology: made ones, by hypothesis."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.resolve import Controller
from sparkctl.render import NodeRendering, Rendering, render
from sparkctl.study import study_text
from tests.made import Tree, text, trees

DESK = Controller("op", PurePosixPath("/home/op"), PurePosixPath("/inventories"))
MADE = max(100, settings().max_examples // 10)  # `make long` asks for more
ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
RANK = re.compile(r"(--node-rank \\?\n? *|[Rr]ank )\d+")


def expanded(tree: Tree) -> tuple[Cluster, Fabric]:
    found = study_text(text(tree).encode(), "x.yaml", DESK)
    assert found.errors == (), found.errors
    assert found.cluster is not None and found.fabric is not None
    return found.cluster, found.fabric


def rendered(tree: Tree) -> Rendering:
    return render(*expanded(tree))


def by_end(fabric: Fabric) -> dict[tuple[str, str, str], Attachment]:
    return {(a.node, a.half.port, a.rail): a for a in fabric.attachments}


@st.composite
def shuffled(draw: st.DrawFn, value: Any) -> Any:
    """The same with the keys of every mapping in another order."""
    if isinstance(value, dict):
        return {key: draw(shuffled(value[key])) for key in draw(st.permutations(sorted(value)))}
    return [draw(shuffled(item)) for item in value] if isinstance(value, list) else value


@settings(max_examples=MADE, deadline=None)
@given(st.data())
def test_rendering_does_not_depend_on_the_order_of_keys(data: st.DataObject) -> None:
    tree = data.draw(trees())
    other = data.draw(shuffled(tree))
    assert rendered(other).to_json() == rendered(tree).to_json()


@settings(max_examples=MADE, deadline=None)
@given(trees())
def test_addresses_and_subnets(tree: Tree) -> None:
    cluster, fabric = expanded(tree)
    given_addresses = [str(a.address.ip) for a in fabric.attachments] + [node.address for node in cluster.nodes]
    assert max(Counter(given_addresses).values()) == 1, "an address twice"
    for node in cluster.nodes:
        own = [a.address.network for a in fabric.of(node.name)]
        assert own, f"{node.name} has no netdev"
        assert not any(x.overlaps(y) for i, x in enumerate(own) for y in own[:i]), "two netdevs of a node in one subnet"


@settings(max_examples=MADE, deadline=None)
@given(trees())
def test_what_a_node_keeps_is_what_it_gets(tree: Tree) -> None:
    cluster, fabric = expanded(tree)
    written = {
        (n["name"], p, r): a
        for n in tree["nodes"]
        for p, rails in n.get("addresses", {}).items()
        for r, a in rails.items()
    }
    planned = {place: str(a.address) for place, a in by_end(fabric).items()}
    assert {place: planned[place] for place in written} == written
    netplan = {
        n.name: "".join(f.content for f in render(cluster, fabric).nodes[n.name].files if "netplan" in f.path)
        for n in cluster.nodes
    }
    assert all(f'"{a}"' in netplan[node] for (node, _, _), a in planned.items())
    bare = {**tree, "nodes": [{k: v for k, v in n.items() if k != "addresses"} for n in tree["nodes"]]}
    others = {place: str(a.address) for place, a in by_end(expanded(bare)[1]).items()}
    assert planned.keys() == others.keys()
    assert all(planned[place] == others[place] for place in planned.keys() - written.keys()), "what is left to the pool"


@settings(max_examples=MADE, deadline=None)
@given(trees())
def test_every_cable_is_covered_in_both_directions(tree: Tree) -> None:
    cluster, fabric = expanded(tree)
    nodes, found = {node.name for node in cluster.nodes}, by_end(fabric)
    assert len(fabric.cables) == len(cluster.links) == len(tree["links"])
    rails = ("A", "B") if tree["fabric"]["rails"] == "both" else ("A",)
    for cable in fabric.cables:
        for rail in rails:
            ends = [found[end.owner, end.port, rail] for end in (cable.a, cable.b) if end.owner in nodes]
            assert len({a.address.network for a in ends}) <= 1, "the ends of a rail in two subnets"
            for a in ends:
                others = [b for b in ends if b is not a] or [
                    each for each in found.values() if each.rail == rail and each is not a
                ]
                assert set(others) <= set(fabric.peers(a))
    assert len(found) == len(rails) * sum(end.owner in nodes for c in fabric.cables for end in (c.a, c.b))


def masked(node: NodeRendering, *, network_only: bool) -> dict[str, str]:
    """The files of a node without what follows from its place in `nodes`."""
    files = {f.path: f.content for f in node.files if f.stage == "network" or not network_only}
    return {path: RANK.sub(r"\1#", ADDRESS.sub("ADDRESS", content)) for path, content in files.items()}


@st.composite
def reordered(draw: st.DrawFn, tree: Tree) -> list[dict[str, Any]]:
    """The nodes in another order that the topology allows: a circle can only be turned."""
    nodes = tree["nodes"]
    if tree["fabric"]["topology"] in ("mesh", "ring"):
        turn = draw(st.integers(0, len(nodes) - 1))
        return [*nodes[turn:], *nodes[:turn]]
    return draw(st.permutations(nodes))


@settings(max_examples=MADE, deadline=None)
@given(st.data())
def test_permuting_nodes_changes_ranks_and_addresses_alone(data: st.DataObject) -> None:
    tree = data.draw(trees())
    other = {**tree, "nodes": data.draw(reordered(tree))}
    before, after = rendered(tree).nodes, rendered(other).nodes
    (old, old_fabric), (new, new_fabric) = expanded(tree), expanded(other)
    assert before.keys() == after.keys()
    for name in before:
        moved = (name == old.head.name) != (name == new.head.name)  # who serves has arguments of its own
        assert masked(before[name], network_only=moved) == masked(after[name], network_only=moved)
        difference = new.node(name).rank - old.node(name).rank
        pairs = zip(old_fabric.of(name), new_fabric.of(name), strict=True)
        for a, b in pairs:
            assert (a.netdev, a.address.network, a.mtu) == (b.netdev, b.address.network, b.mtu)
            stays = (a.node, a.half.port, a.rail) in old.kept
            assert int(b.address.ip) - int(a.address.ip) == (0 if stays else difference)


@settings(max_examples=MADE, deadline=None)
@given(st.sampled_from(("direct", "mesh", "ring", "switch")).flatmap(lambda name: trees(topology=name)))
def test_the_ranks_meet_where_all_can_reach(tree: Tree) -> None:
    cluster, fabric = expanded(tree)
    own = {str(a.address.ip): a for a in fabric.attachments}
    meeting = [own.get(fabric.endpoints[node.name].address) for node in cluster.nodes]
    if tree["fabric"]["topology"] in ("mesh", "ring"):
        assert [fabric.endpoints[n.name].address for n in cluster.nodes] == [n.address for n in cluster.nodes]
        assert meeting == [None] * len(meeting)
    else:
        assert len({a.address.network for a in meeting if a is not None}) == 1
        assert all(a is not None and a.node == n.name for a, n in zip(meeting, cluster.nodes, strict=True))
