"""The lab's network in the words of `ip -batch`: bridges, cables, and the ends that go into nodes."""

from __future__ import annotations

from collections.abc import Collection

from sparkctl.lab.spec import MANAGEMENT_BRIDGE, LabSpec, NodeSpec, Trunk, Wire, address_of

# A bridge drops LLDP, as a switch does; a cable does not. Source: linux/if_bridge.h, bit 0x0e of 01:80:c2:00:00:0X.
_PASS_LLDP = "group_fwd_mask 0x4000"
_QUIET = "stp_state 0 forward_delay 0 mcast_snooping 0"


def frame(spec: LabSpec) -> list[str]:
    """All that is there before the first node: the controller's side, one bridge per cable or switch, and rail."""
    lines = ["link set lo up", *_bridge(MANAGEMENT_BRIDGE, 1500, "")]
    lines += [f"address add {spec.gateway} dev {MANAGEMENT_BRIDGE}"]
    for bridge in spec.bridges:
        lines += _bridge(bridge.name, bridge.mtu, _PASS_LLDP if bridge.lldp else "")
    for trunk in spec.trunks:
        lines += _trunk(trunk)
    return lines


def netns(node: NodeSpec) -> str:
    """The network namespace of a node, and the name of its machine."""
    return f"node{node.index}"


def plug(spec: LabSpec, node: NodeSpec) -> list[str]:
    """Give the node's new network namespace its netdevs: management, and one per rail of each of its cables."""
    lines = [f"netns add {netns(node)}", *_management(spec, node)]
    for wire in spec.of(node.name):
        lines += _wire(spec, node, wire)
    return lines


def unplug(spec: LabSpec, node: NodeSpec) -> list[str]:
    """Take the netdevs of a node that died; explicitly, because the kernel empties a namespace when it likes."""
    outer = (_outer(node), *(wire.outer for wire in spec.of(node.name)))
    return [*(f"link delete {name}" for name in outer), f"netns delete {netns(node)}"]


def reach(node: NodeSpec, on: bool) -> list[str]:
    """Put the node's management wire on the bridge, or off: no link goes down, but nothing arrives any more."""
    return [f"link set {_outer(node)} {f'master {MANAGEMENT_BRIDGE}' if on else 'nomaster'}"]


def replug(spec: LabSpec, alive: Collection[str]) -> list[str]:
    """Every plug into the port that it belongs in, and every port to the MTU that it carries."""
    wires = [wire for wire in spec.wires if wire.node in alive]
    lines = [f"link set {wire.outer} mtu {wire.outer_mtu} master {wire.bridge}" for wire in wires]
    ends = [(end, mtu) for trunk in spec.trunks for end, mtu in zip(trunk.ends, trunk.mtus, strict=True)]
    return lines + [f"link set {end} mtu {mtu}" for end, mtu in ends]


def light(spec: LabSpec, alive: Collection[str], cut: Collection[int]) -> list[str]:
    """Carrier where there is a cable that nobody cut and, on a direct cable, a living node at its other end."""
    lines = [
        f"link set {wire.outer} {_up(wire.cable not in cut and spec.other(wire) in {None, *alive})}"
        for wire in spec.wires
        if wire.node in alive
    ]
    return lines + [f"link set {end} {_up(trunk.cable not in cut)}" for trunk in spec.trunks for end in trunk.ends]


def _up(on: bool) -> str:
    return "up" if on else "down"


def _outer(node: NodeSpec) -> str:
    return f"m{node.index}"


def _bridge(name: str, mtu: int, extra: str) -> list[str]:
    return [f"link add {name} mtu {mtu} type bridge {_QUIET} {extra}".rstrip(), f"link set {name} up"]


def _trunk(trunk: Trunk) -> list[str]:
    (a, b), (left, right) = trunk.ends, trunk.bridges
    lines = [f"link add {a} mtu {trunk.mtus[0]} type veth peer name {b} mtu {trunk.mtus[1]}"]
    return lines + [f"link set {end} master {bridge} up" for end, bridge in ((a, left), (b, right))]


def _management(spec: LabSpec, node: NodeSpec) -> list[str]:
    outer, mac = _outer(node), address_of(spec.cluster, node.name, node.netdev)
    return [
        f"link add {outer} type veth peer name {node.netdev} address {mac} netns {netns(node)}",
        f"link set {outer} master {MANAGEMENT_BRIDGE} up",
    ]


def _wire(spec: LabSpec, node: NodeSpec, wire: Wire) -> list[str]:
    mac = address_of(spec.cluster, node.name, wire.netdev)
    inner = f"{wire.netdev} mtu 1500 address {mac} netns {netns(node)}"
    return [
        f"link add {wire.outer} mtu {wire.outer_mtu} type veth peer name {inner}",
        f"link set {wire.outer} master {wire.bridge}",
    ]
