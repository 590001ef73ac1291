"""What a lab is to be: nodes, bridges and wires, worked out from the inventory alone."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Network
from itertools import chain
from pathlib import Path

from sparkctl.engines import engine_of
from sparkctl.errors import Refused
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import Rail, half
from sparkctl.facts.record import Frozen
from sparkctl.inventory.model import Cluster, Link
from sparkctl.lab.state import BackendName, Renderer

# Benchmarking addresses (RFC 2544): no real network of a user has them.
_POOL = IPv4Network("198.18.0.0/15")
_FIRST_HOST = 11
# What a cable of a Spark carries, and a switch should (facts ff4.3).
JUMBO = 9216
RAILS: tuple[Rail, ...] = ("A", "B")
MANAGEMENT_BRIDGE = "mgmt"
DEFAULT_USER = "spark"


class NodeFailed(Refused):
    """A node of the lab did not boot."""


class NodeSpec(Frozen):
    """One node; `index` is its rank."""

    index: int
    name: str
    address: str
    user: str
    netdev: str


class Bridge(Frozen):
    """One wire with two ends (`lldp`: its ends see one another), or one rail of a switch."""

    name: str
    mtu: int
    lldp: bool


class Wire(Frozen):
    """A netdev of a node (`netdev`) whose other end, `outer`, is plugged into a bridge of the lab.

    `port` is the port that the netdev belongs to, `far` the port at the other end of its cable.
    """

    node: str
    port: str
    far: str
    rail: Rail
    netdev: str
    outer: str
    bridge: str
    cable: int
    outer_mtu: int


class Trunk(Frozen):
    """A cable between two switches."""

    ends: tuple[str, str]
    ports: tuple[str, str]
    bridges: tuple[str, str]
    cable: int
    mtus: tuple[int, int] = (JUMBO, JUMBO)


class LabSpec(Frozen):
    """Everything that the supervisor needs to know; `image` is what nodes call their engine, of the kind `kind`."""

    cluster: str
    inventory: str
    network: str
    nodes: tuple[NodeSpec, ...]
    bridges: tuple[Bridge, ...]
    wires: tuple[Wire, ...]
    trunks: tuple[Trunk, ...]
    engine: bool
    renderer: Renderer = "networkd"
    backend: BackendName = "container"
    kind: str = ""
    image: str = ""

    @property
    def gateway(self) -> str:
        """The controller's own address with its prefix; it routes nowhere."""
        return f"{IPv4Network(self.network)[1]}/{IPv4Network(self.network).prefixlen}"

    def node(self, name: str) -> NodeSpec:
        """The node called `name`; KeyError when there is none."""
        return {node.name: node for node in self.nodes}[name]

    def of(self, node: str) -> tuple[Wire, ...]:
        """The wires of `node`."""
        return tuple(wire for wire in self.wires if wire.node == node)

    def other(self, wire: Wire) -> str | None:
        """The node at the other end of a direct cable; None where there is a switch."""
        return next((w.node for w in self.wires if w.bridge == wire.bridge and w != wire and self._direct(w)), None)

    def _direct(self, wire: Wire) -> bool:
        return any(bridge.name == wire.bridge and bridge.lldp for bridge in self.bridges)

    @property
    def cables(self) -> tuple[int, ...]:
        """The indexes of all cables, as in `links` of the inventory."""
        wires = [wire.cable for wire in self.wires]
        return tuple(dict.fromkeys(wires + [trunk.cable for trunk in self.trunks]))


def specify(
    cluster: Cluster, fabric: Fabric, renderer: Renderer = "networkd", backend: BackendName = "container"
) -> LabSpec:
    """The lab of `cluster`; `renderer` is what netplan gives its nodes' netdevs to."""
    network = management_network(IPv4Network(cluster.fabric.subnet_pool, strict=False), *fabric.subnets)
    if len(cluster.nodes) > network.num_addresses - _FIRST_HOST - 1:
        raise Refused("the lab's management network has no room for so many nodes", "use an inventory with fewer nodes")
    layers = [_cable(cable, rail, cluster) for cable in fabric.cables for rail in RAILS]
    kind = cluster.engine.kind if cluster.engine is not None and backend == "container" else ""
    return LabSpec(
        cluster=cluster.name,
        inventory=str(Path(cluster.source.path).absolute()),
        network=str(network),
        nodes=_nodes(cluster, network),
        bridges=(*_switches(cluster), *chain.from_iterable(bridges for bridges, _, _ in layers)),
        wires=tuple(chain.from_iterable(wires for _, wires, _ in layers)),
        trunks=tuple(chain.from_iterable(trunks for _, _, trunks in layers)),
        engine=bool(kind),
        renderer=renderer,
        backend=backend,
        kind=kind,
        image=engine_of(kind).lab_build.image if kind else "",
    )


def management_network(pool: IPv4Network, *subnets: IPv4Network) -> IPv4Network:
    """The first /24 of the benchmarking addresses that is neither in the inventory's own pool nor in a subnet of it."""
    for network in _POOL.subnets(new_prefix=24):
        if not any(network.overlaps(own) for own in (pool, *subnets)):
            return network
    raise Refused(f"subnet_pool {pool} leaves the lab no management network", "use a pool of RFC 1918 addresses")


def _nodes(cluster: Cluster, network: IPv4Network) -> tuple[NodeSpec, ...]:
    return tuple(
        NodeSpec(
            index=node.rank,
            name=node.name,
            address=str(network[_FIRST_HOST + node.rank]),
            user=DEFAULT_USER if node.user == "root" else node.user,
            netdev=node.management,
        )
        for node in cluster.nodes
    )


def _switches(cluster: Cluster) -> tuple[Bridge, ...]:
    return tuple(
        Bridge(name=_switch_bridge(index, rail), mtu=switch.l2mtu or JUMBO, lldp=False)
        for index, switch in enumerate(cluster.switches)
        for rail in RAILS
    )


def _switch_bridge(index: int, rail: Rail) -> str:
    return f"s{index}{rail}"


Layer = tuple[tuple[Bridge, ...], tuple[Wire, ...], tuple[Trunk, ...]]


def _cable(cable: Link, rail: Rail, cluster: Cluster) -> Layer:
    """One rail of one cable: what it adds to the lab."""
    switched = {
        switch.name: (_switch_bridge(i, rail), switch.l2mtu or JUMBO) for i, switch in enumerate(cluster.switches)
    }
    name = f"c{cable.index}{rail}"
    ends = (cable.a, cable.b)
    met = [switched[end.owner] for end in ends if end.owner in switched]
    if len(met) == len(ends):
        bridges, ports = (met[0][0], met[1][0]), (str(cable.a), str(cable.b))
        trunk = Trunk(ends=(f"{name}a", f"{name}b"), ports=ports, bridges=bridges, cable=cable.index)
        return (), (), (trunk,)
    own = () if met else (Bridge(name=name, mtu=JUMBO, lldp=True),)
    bridge, mtu = met[0] if met else (name, JUMBO)
    wires = (
        Wire(
            node=end.owner,
            port=str(end),
            far=str(far),
            rail=rail,
            netdev=half(end.port, rail).netdev,
            outer=f"{name}{side}",
            bridge=bridge,
            cable=cable.index,
            outer_mtu=mtu,
        )
        for end, far, side in zip(ends, reversed(ends), "ab", strict=True)
        if end.owner not in switched
    )
    return own, tuple(wires), ()


def address_of(*parts: str) -> str:
    """A MAC address of local administration that is the same at every boot."""
    digest = sha256("\0".join(parts).encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
