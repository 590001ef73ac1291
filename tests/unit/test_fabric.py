"""Addresses, segments and shapes, and what must hold for every cluster that the rules let pass."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.fabric import addressing, graph
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import half
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.resolve import Controller
from sparkctl.study import Study, study_text

DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))


def written(nodes: int, links: list[str], fabric: str, switches: int = 0) -> str:
    return "\n".join(
        [
            "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: x}\nnodes:",
            *(
                f"  - {{name: n{i}, address: 192.0.2.{i + 1}}}" if i < 250 else f"  - {{name: n{i}, address: n{i}}}"
                for i in range(nodes)
            ),
            f"links: [{', '.join(links)}]",
            f"switches: [{', '.join(f'{{name: sw{k}, l2mtu: 9216}}' for k in range(switches))}]",
            f"fabric: {{{fabric}}}",
        ]
    )


def studied(nodes: int, links: list[str], fabric: str, switches: int = 0) -> Study:
    return study_text(written(nodes, links, fabric, switches).encode(), "x.yaml", DESK)


def made(found: Study) -> Fabric:
    assert found.errors == ()
    assert found.fabric is not None
    return found.fabric


def rows(fabric: Fabric) -> list[tuple[str, str, int, str]]:
    return [(a.node, a.netdev, a.segment, str(a.address)) for a in fabric.attachments]


def test_direct() -> None:
    fabric = made(studied(2, ["[n0:p1, n1:p1]"], "topology: direct"))
    assert rows(fabric) == [
        ("n0", "enp1s0f1np1", 0, "10.20.0.11/24"),
        ("n0", "enP2p1s0f1np1", 0, "10.20.1.11/24"),
        ("n1", "enp1s0f1np1", 0, "10.20.0.12/24"),
        ("n1", "enP2p1s0f1np1", 0, "10.20.1.12/24"),
    ]
    assert fabric.endpoints["n1"].netdev == "enp1s0f1np1"
    assert fabric.endpoints["n1"].address == "10.20.0.12"
    assert (fabric.topology, fabric.nccl, len(fabric.cables)) == ("direct", {}, 1)
    assert [p.node for p in fabric.peers(fabric.attachments[0])] == ["n1"]


def test_two_direct_cables_meet_on_the_first_even_when_they_are_crossed() -> None:
    fabric = made(studied(2, ["[n0:p1, n1:p0]", "[n0:p0, n1:p1]"], "topology: direct"))
    assert [fabric.endpoints[n].address for n in ("n0", "n1")] == ["10.20.0.11", "10.20.0.12"]
    assert [fabric.endpoints[n].netdev for n in ("n0", "n1")] == ["enp1s0f1np1", "enp1s0f0np0"]
    assert [str(s) for s in fabric.subnets] == [f"10.20.{i}.0/24" for i in (2, 3, 0, 1)]


def test_rail_a_alone_keeps_its_subnets() -> None:
    fabric = made(studied(2, ["[n0:p1, n1:p1]", "[n0:p0, n1:p0]"], "topology: direct, rails: A"))
    assert {str(s) for s in fabric.subnets} == {"10.20.0.0/24", "10.20.2.0/24"}
    assert {a.rail for a in fabric.attachments} == {"A"}


def test_switch_with_different_ports() -> None:
    fabric = made(studied(3, ["[n0:p0, 'sw0:1']", "[n1:p1, 'sw0:2']", "['sw0:3', n2:p0]"], "topology: switch", 1))
    assert [fabric.endpoints[f"n{i}"].netdev for i in range(3)] == ["enp1s0f0np0", "enp1s0f1np1", "enp1s0f0np0"]
    assert {str(s) for s in fabric.subnets} == {"10.20.0.0/24", "10.20.1.0/24"}
    assert len(fabric.peers(fabric.attachments[0])) == 2


def test_a_second_cable_to_the_switch_gets_subnets_of_its_own() -> None:
    links = ["[n0:p1, 'sw0:1']", "[n0:p0, 'sw0:2']", "[n1:p1, 'sw0:3']", "[n1:p0, 'sw0:4']"]
    found = studied(2, links, "topology: switch", 1)
    assert {f.id for f in found.findings} == {"TOP010"}
    fabric = made(found)
    assert {(a.half.port, a.segment) for a in fabric.attachments} == {("p0", 0), ("p1", 1)}
    assert len(fabric.subnets) == 4


def test_joined_switches_are_one_segment() -> None:
    links = ["[n0:p1, 'sw0:1']", "[n1:p1, 'sw2:1']", "['sw0:9', 'sw1:9']", "['sw2:9', 'sw1:8']"]
    fabric = made(studied(2, links, "topology: switch", 3))
    assert {a.segment for a in fabric.attachments} == {0}
    assert len(fabric.cables) == 4


def circle(nodes: int) -> list[str]:
    return [f"[n{i}:p0, n{(i + 1) % nodes}:p1]" for i in range(nodes)]


CIRCLES = {"NCCL_IB_SUBNET_AWARE_ROUTING": "1", "NCCL_NET_PLUGIN": "none", "NCCL_IB_MERGE_NICS": "0"}


def test_mesh() -> None:
    fabric = made(studied(3, circle(3), "topology: mesh"))
    assert rows(fabric)[4:8] == [
        ("n1", "enp1s0f0np0", 1, "10.20.2.12/24"),
        ("n1", "enP2p1s0f0np0", 1, "10.20.3.12/24"),
        ("n1", "enp1s0f1np1", 0, "10.20.0.12/24"),
        ("n1", "enP2p1s0f1np1", 0, "10.20.1.12/24"),
    ]
    assert [str(s) for s in sorted(fabric.subnets)] == [f"10.20.{i}.0/24" for i in range(6)]
    assert [(e.netdev, e.address) for e in fabric.endpoints.values()] == [("enP7s7", f"192.0.2.{i}") for i in (1, 2, 3)]
    assert fabric.nccl == CIRCLES
    assert all(len(fabric.peers(a)) == 1 for a in fabric.attachments)


def test_ring() -> None:
    fabric = made(studied(5, circle(5), "topology: ring"))
    assert len(fabric.subnets) == 10
    assert fabric.nccl == {**CIRCLES, "NCCL_ALGO": "Ring"}
    neighbours = {a.node: {b.node for x in fabric.of(a.node) for b in fabric.peers(x)} for a in fabric.attachments}
    assert neighbours["n0"] == {"n4", "n1"}
    assert neighbours["n3"] == {"n2", "n4"}


def test_a_circle_without_rdma_needs_nothing_of_nccls_rdma() -> None:
    assert made(studied(3, circle(3), "topology: mesh, transport: tcp")).nccl == {}
    assert made(studied(4, circle(4), "topology: ring, transport: tcp")).nccl == {"NCCL_ALGO": "Ring"}


@pytest.mark.parametrize(("nodes", "prefix"), [(244, None), (245, "23")])
def test_nccl_compares_as_many_bits_as_the_subnets_have(nodes: int, prefix: str | None) -> None:
    fabric = made(studied(nodes, circle(nodes), "topology: ring, subnet_pool: 10.0.0.0/8"))
    assert fabric.nccl.get("NCCL_IB_SUBNET_PREFIX_LEN") == prefix


@pytest.mark.parametrize(
    ("nodes", "prefix"), [(1, 24), (2, 24), (244, 24), (245, 23), (500, 23), (501, 22), (2000, 21)]
)
def test_prefix_is_as_long_as_the_hosts_allow(nodes: int, prefix: int) -> None:
    assert addressing.prefix_length(nodes) == prefix
    network = IPv4Network(f"10.0.0.0/{prefix}")
    last = addressing.address(network, nodes - 1)
    assert last.ip in network
    assert last.ip != network.broadcast_address


def test_245_nodes_on_a_switch_get_aligned_larger_subnets() -> None:
    links = [f"[n{i}:p1, 'sw0:{i}']" for i in range(245)]
    fabric = made(studied(245, links, "topology: switch", 1))
    assert [str(s) for s in fabric.subnets] == ["10.20.0.0/23", "10.20.2.0/23"]
    assert str(fabric.of("n244")[0].address) == "10.20.0.255/23"


def test_subnets_outside_the_pool_are_a_mistake_of_the_program() -> None:
    pool = IPv4Network("10.0.0.0/23")
    assert str(addressing.subnet(pool, 24, 1)) == "10.0.1.0/24"
    for prefix, index in ((24, 2), (24, -1), (22, 0)):
        with pytest.raises(ValueError, match="no subnet"):
            addressing.subnet(pool, prefix, index)


RING = ["[n0:p0, n1:p1]", "[n1:p0, n2:p1]", "[n2:p0, n3:p1]", "[n3:p0, n0:p1]"]


@pytest.mark.parametrize(
    ("nodes", "switches", "links", "shape"),
    [
        (2, 0, [], "nothing"),
        (2, 0, ["[n0:p0, n1:p0]"], "direct"),
        (2, 0, ["[n0:p0, n1:p0]", "[n0:p1, n1:p1]"], "direct"),
        (3, 0, ["[n0:p0, n1:p1]", "[n1:p0, n2:p1]", "[n2:p0, n0:p1]"], "mesh"),
        (4, 0, RING, "ring"),
        (4, 0, RING[:3], "chain"),
        (3, 0, RING[:2], "chain"),
        (4, 0, ["[n0:p0, n1:p0]", "[n2:p0, n3:p0]"], "pieces"),
        (4, 0, ["[n0:p0, n1:p1]", "[n0:p1, n2:p1]", "[n0:x, n3:p1]"], "other"),
        (2, 1, ["[n0:p0, 'sw0:1']", "[n1:p0, 'sw0:2']"], "switch"),
        (3, 1, ["[n0:p0, n1:p1]", "[n2:p0, 'sw0:2']"], "mixed"),
        (2, 0, ["[n0:p0, ghost:p0]"], "nothing"),
        (2, 0, ["[n0:p0, n0:p1]"], "nothing"),
    ],
)
def test_shapes(nodes: int, switches: int, links: list[str], shape: str) -> None:
    cluster = studied(nodes, links, "topology: direct", switches).cluster
    assert cluster is not None
    assert graph.shape(cluster) == shape


def test_groups_follow_the_order_of_the_file() -> None:
    cluster = studied(4, ["[n3:p0, n1:p0]", "[n2:p0, 'sw1:1']"], "topology: direct", 2).cluster
    assert cluster is not None
    assert graph.components(cluster) == (("n0",), ("n1", "n3"), ("n2", "sw1"), ("sw0",))
    assert graph.switch_groups(cluster) == (("sw0",), ("sw1",))


PORT = st.sampled_from(("p0", "p1"))
POOL = st.sampled_from(("10.20.0.0/16", "172.16.128.0/17", "192.168.64.0/18", "10.0.0.0/8"))


@st.composite
def fabrics(draw: st.DrawFn, topology: str) -> str:
    rails, pool = draw(st.sampled_from(("both", "A"))), draw(POOL)
    return f"topology: {topology}, rails: {rails}, subnet_pool: {pool}"


@st.composite
def directs(draw: st.DrawFn) -> str:
    """Two nodes and one or two cables, straight or crossed."""
    a, b = draw(PORT), draw(PORT)
    cables = [(a, b), ("p1" if a == "p0" else "p0", "p1" if b == "p0" else "p0")][: draw(st.integers(1, 2))]
    return written(2, [f"[n0:{x}, n1:{y}]" for x, y in cables], draw(fabrics("direct")))


@st.composite
def switched(draw: st.DrawFn) -> str:
    """Up to twelve nodes, each by one or two cables on one of up to three switches in a row."""
    switches = draw(st.integers(1, 3))
    nodes = draw(st.integers(max(2, switches), 12))
    links = [f"['sw{k}:up', 'sw{k + 1}:down']" for k in range(switches - 1)]
    for i in range(nodes):
        home = i if i < switches else draw(st.integers(0, switches - 1))
        ports = draw(st.sampled_from((("p0",), ("p1",), ("p0", "p1"), ("p1", "p0"))))
        links += [f"[n{i}:{port}, 'sw{home}:{i}-{port}']" for port in ports]
    return written(nodes, draw(st.permutations(links)), draw(fabrics("switch")), switches)


clusters = st.one_of(directs(), switched())


def cluster_of(found: Study) -> Cluster:
    assert found.cluster is not None
    return found.cluster


@settings(max_examples=150, deadline=None)
@given(text=clusters)
def test_what_must_hold_for_every_fabric(text: str) -> None:
    found = study_text(text.encode(), "x.yaml", DESK)
    fabric, cluster = made(found), cluster_of(found)
    addresses = Counter(a.address.ip for a in fabric.attachments)
    assert max(addresses.values()) == 1
    for node in cluster.nodes:
        own = [a.address.network for a in fabric.of(node.name)]
        assert len(own) == len(set(own)), "two netdevs of one node share a subnet"
        assert not any(x.overlaps(y) for i, x in enumerate(own) for y in own[:i])
        assert any(a.netdev == fabric.endpoints[node.name].netdev for a in fabric.of(node.name))
    pool = IPv4Network(cluster.fabric.subnet_pool)
    assert all(subnet.subnet_of(pool) for subnet in fabric.subnets)
    by_port = {(a.node, a.half.port, a.rail): a for a in fabric.attachments}
    for cable in fabric.cables:
        for rail in {a.rail for a in fabric.attachments}:
            ends = [by_port[end.owner, end.port, rail] for end in (cable.a, cable.b) if end.owner.startswith("n")]
            assert len({a.address.network for a in ends}) <= 1, "two ends of a rail in different subnets"
            assert all(a.half == half(a.half.port, rail) for a in ends)


@settings(max_examples=100, deadline=None)
@given(text=clusters)
def test_endpoints_reach_one_another(text: str) -> None:
    fabric = made(study_text(text.encode(), "x.yaml", DESK))
    networks = {
        a.address.network
        for a in fabric.attachments
        for e in fabric.endpoints.values()
        if str(a.address.ip) == e.address
    }
    assert len(networks) == 1
