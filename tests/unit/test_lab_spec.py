"""What a lab is to be, from inventories: nodes, bridges, wires, and the words of `ip`."""

from ipaddress import IPv4Network

import pytest

from sparkctl.errors import Refused
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, FabricIntent, Link, LinkEnd, Node, Source, SshAccess, Switch
from sparkctl.lab.container import network
from sparkctl.lab.spec import LabSpec, address_of, management_network, specify


def cluster(
    *names: str, switches: tuple[Switch, ...] = (), user: str = "nvidia", pool: str = "10.20.0.0/16"
) -> Cluster:
    nodes = tuple(Node(name, f"192.0.2.{11 + i}", i, 22, user, "enP7s7") for i, name in enumerate(names))
    return Cluster(
        name="demo",
        ssh=SshAccess(user),
        nodes=nodes,
        links=(),
        switches=switches,
        fabric=FabricIntent("direct"),
        engine=None,
        source=Source("demo.yaml", {}),
    )


def spec(made: Cluster, *cables: tuple[str, str]) -> LabSpec:
    ends = [tuple(LinkEnd(*end.split(":")) for end in cable) for cable in cables]
    laid = tuple(Link(a, b, index) for index, (a, b) in enumerate(ends))
    return specify(made, Fabric("direct", (), laid, {}))


def direct() -> LabSpec:
    return spec(cluster("spark-1", "spark-2"), ("spark-1:p1", "spark-2:p1"))


def switched() -> LabSpec:
    switch = Switch("sw1", l2mtu=9000)
    return spec(cluster("a", "b", "c", switches=(switch,)), *((f"{n}:p0", f"sw1:port-{n}") for n in "abc"))


def test_nodes_have_addresses_of_the_lab_by_rank():
    nodes = direct().nodes
    assert [(node.name, node.address, node.user) for node in nodes] == [
        ("spark-1", "198.18.0.11", "nvidia"),
        ("spark-2", "198.18.0.12", "nvidia"),
    ]
    assert direct().gateway == "198.18.0.1/24"


def test_root_of_an_inventory_is_an_ordinary_user_in_the_lab():
    assert spec(cluster("a", "b", user="root"), ("a:p1", "b:p1")).nodes[0].user == "spark"


@pytest.mark.parametrize(("pool", "network_"), [("10.20.0.0/16", "198.18.0.0/24"), ("198.18.0.0/16", "198.19.0.0/24")])
def test_management_keeps_out_of_the_pool(pool, network_):
    assert management_network(IPv4Network(pool)) == IPv4Network(network_)


def test_a_pool_that_leaves_no_room_is_refused():
    with pytest.raises(Refused, match="no management network"):
        management_network(IPv4Network("198.0.0.0/8"))


def test_a_direct_cable_is_one_bridge_per_rail_with_two_ends():
    lab = direct()
    assert [(b.name, b.mtu, b.lldp) for b in lab.bridges] == [("c0A", 9216, True), ("c0B", 9216, True)]
    assert [(w.node, w.netdev, w.outer, w.bridge) for w in lab.wires] == [
        ("spark-1", "enp1s0f1np1", "c0Aa", "c0A"),
        ("spark-2", "enp1s0f1np1", "c0Ab", "c0A"),
        ("spark-1", "enP2p1s0f1np1", "c0Ba", "c0B"),
        ("spark-2", "enP2p1s0f1np1", "c0Bb", "c0B"),
    ]
    assert [lab.other(wire) for wire in lab.of("spark-1")] == ["spark-2", "spark-2"]


def test_a_switch_is_one_bridge_per_rail_with_its_own_mtu():
    lab = switched()
    assert [(b.name, b.mtu, b.lldp) for b in lab.bridges] == [("s0A", 9000, False), ("s0B", 9000, False)]
    assert {w.bridge for w in lab.of("b")} == {"s0A", "s0B"}
    assert {w.outer_mtu for w in lab.wires} == {9000}
    assert {lab.other(wire) for wire in lab.wires} == {None}
    assert lab.cables == (0, 1, 2)


def test_a_cable_between_switches_joins_their_bridges():
    switches = (Switch("sw1"), Switch("sw2"))
    lab = spec(cluster("a", "b", switches=switches), ("a:p1", "sw1:1"), ("b:p1", "sw2:1"), ("sw1:9", "sw2:9"))
    assert [trunk.bridges for trunk in lab.trunks] == [("s0A", "s1A"), ("s0B", "s1B")]
    assert "link set c2Aa up" in network.light(lab, ["a", "b"], ())
    assert "link set c2Aa down" in network.light(lab, ["a", "b"], {2})


def test_all_is_lit_when_all_live_and_nothing_is_cut():
    lines = network.light(direct(), ["spark-1", "spark-2"], ())
    assert lines == [f"link set {end} up" for end in ("c0Aa", "c0Ab", "c0Ba", "c0Bb")]


def test_a_cut_cable_is_dark_at_both_ends_and_on_both_rails():
    lines = network.light(direct(), ["spark-1", "spark-2"], {0})
    assert lines == [f"link set {end} down" for end in ("c0Aa", "c0Ab", "c0Ba", "c0Bb")]


def test_a_dead_peer_takes_the_light_of_a_direct_cable_but_not_of_a_switch():
    assert network.light(direct(), ["spark-2"], ()) == ["link set c0Ab down", "link set c0Bb down"]
    assert network.light(switched(), ["b"], ()) == ["link set c1Aa up", "link set c1Ba up"]


def test_netdevs_come_with_the_mtu_and_the_mac_of_a_fresh_node():
    lab = direct()
    lines = network.plug(lab, lab.nodes[0])
    mac = address_of("demo", "spark-1", "enp1s0f1np1")
    assert f"link add c0Aa mtu 9216 type veth peer name enp1s0f1np1 mtu 1500 address {mac} netns node0" in lines
    assert mac.startswith("02:")
    assert mac != address_of("demo", "spark-2", "enp1s0f1np1")


def test_names_fit_into_the_kernel():
    lab = spec(cluster("a", "b"), *[("a:p1", "b:p1")] * 120)
    names = [w.outer for w in lab.wires] + [b.name for b in lab.bridges]
    assert max(map(len, names)) <= 15
    assert len(set(names)) == len(names)


def test_another_cabling_is_another_lab():
    crossed = spec(cluster("spark-1", "spark-2"), ("spark-1:p0", "spark-2:p1"))
    assert crossed != direct()
    assert LabSpec.model_validate_json(crossed.model_dump_json()) == crossed
