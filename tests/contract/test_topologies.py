"""One suite over every registered topology."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from sparkctl.fabric.model import Fabric
from sparkctl.fabric.topologies import Topology, expand, known, subnets_needed, topology_of
from sparkctl.fabric.topologies.base import register
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.resolve import Controller
from sparkctl.study import study_text

DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))
HEAD = "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: x}\n"
PAIR = "nodes: [{name: a, address: 192.0.2.1}, {name: b, address: 192.0.2.2}]\n"
FOUR = "nodes: [" + ", ".join(f"{{name: {n}, address: 192.0.2.{i}}}" for i, n in enumerate("abcd", 1)) + "]\n"
SAMPLES = {
    "mesh": PAIR.replace("]", ", {name: c, address: 192.0.2.3}]")
    + "links: [[a:p0, b:p1], [b:p0, c:p1], [c:p0, a:p1]]\nfabric: {topology: mesh}\n",
    "ring": FOUR
    + "links: [[a:p0, b:p1], [b:p0, c:p1], [c:p0, d:p1], [d:p0, a:p1]]\nfabric:\n  topology: ring # sparkctl: ignore TOP007 (tested)\n",
    "direct": PAIR + "links: [[a:p1, b:p1]]\nfabric: {topology: direct}\n",
    "switch": PAIR
    + "links: [[a:p1, 's:1'], [b:p1, 's:2']]\nswitches: [{name: s, l2mtu: 9216}]\nfabric: {topology: switch}\n",
}


def sample(name: str) -> tuple[Topology, Cluster, Fabric]:
    found = study_text((HEAD + SAMPLES[name]).encode(), "x.yaml", DESK)
    assert found.findings == ()
    assert found.cluster is not None and found.fabric is not None
    topology = topology_of(found.cluster)
    assert topology is not None
    return topology, found.cluster, found.fabric


def test_every_topology_has_a_sample() -> None:
    assert set(known()) == set(SAMPLES)


@pytest.mark.parametrize("name", known())
def test_segments_hold_every_cabled_node_port_once(name: str) -> None:
    topology, cluster, _ = sample(name)
    segments = topology.segments(cluster)
    ends = [end for segment in segments for end in segment.ends]
    nodes = {node.name for node in cluster.nodes}
    assert sorted(map(str, ends)) == sorted(
        str(e) for link in cluster.links for e in (link.a, link.b) if e.owner in nodes
    )
    assert len({segment.index for segment in segments}) == len(segments)
    assert subnets_needed(segments, cluster) == 2 * (1 + max(segment.index for segment in segments))


@pytest.mark.parametrize("name", known())
def test_the_fabric_is_complete_and_ordered(name: str) -> None:
    topology, cluster, fabric = sample(name)
    assert fabric == expand(topology, cluster)
    assert fabric.topology == name
    assert [c.index for c in fabric.cables] == [link.index for link in cluster.links]
    ranks = {node.name: node.rank for node in cluster.nodes}
    order = [(ranks[a.node], a.half.port, a.rail) for a in fabric.attachments]
    assert order == sorted(order)
    assert {a.mtu for a in fabric.attachments} == {cluster.fabric.mtu}
    assert set(fabric.endpoints) == set(ranks)


@pytest.mark.parametrize("name", known())
def test_peers_and_own_are_what_a_scan_finds(name: str) -> None:
    _, cluster, fabric = sample(name)
    for node in cluster.nodes:
        assert fabric.of(node.name) == tuple(a for a in fabric.attachments if a.node == node.name)
    for one in fabric.attachments:
        scan = [a for a in fabric.attachments if (a.segment, a.rail) == (one.segment, one.rail) and a.node != one.node]
        assert list(fabric.peers(one)) == scan
        assert {a.address.network for a in scan} == {one.address.network}
    assert fabric.of("nobody") == ()


@pytest.mark.parametrize("name", known())
def test_every_endpoint_is_in_the_reach_of_every_other(name: str) -> None:
    _, cluster, fabric = sample(name)
    addresses = {str(a.address.ip): a.address.network for a in fabric.attachments}
    networks = {addresses.get(endpoint.address) for endpoint in fabric.endpoints.values()}
    assert len(networks) == 1
    if networks == {None}:  # management, which every node can reach by definition
        assert {n: (e.netdev, e.address) for n, e in fabric.endpoints.items()} == {
            node.name: (node.management, node.address) for node in cluster.nodes
        }


def test_a_name_is_registered_once() -> None:
    topology, _, _ = sample("direct")
    with pytest.raises(ValueError, match="direct is registered twice"):
        register(topology)
    assert known() == ("direct", "mesh", "ring", "switch")
