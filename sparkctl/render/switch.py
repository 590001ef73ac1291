"""RouterOS scripts for the switches whose model is known: set up, undo, verify; PFC and ECN only where asked for."""

from __future__ import annotations

from dataclasses import dataclass

from sparkctl.fabric.graph import both_ways
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.switches import FACTORY_L2MTU, FACTORY_MTU, Leg, SwitchModel, model_of
from sparkctl.inventory.model import Cluster, LinkEnd, Node, Switch
from sparkctl.render.artifact import Artifact, SwitchRendering
from sparkctl.render.environment import text_of

L2MTU = 9216  # where the inventory says nothing: enough for mtu 9000, seen working (facts ff4.3)
HEADER = 22  # what the frame needs beyond the mtu (facts ff4.3)
SCRIPTS = ("", "-rollback", "-verify")
QOS_SCRIPTS = ("-qos", "-qos-rollback")


@dataclass(frozen=True)
class CabledPort:
    """A port with a cable: what it leads to, its rate, and the link mode to force (None: leave it negotiating)."""

    name: str
    peer: LinkEnd
    gigabits: int
    mode: str | None


def switch_renderings(cluster: Cluster, fabric: Fabric) -> dict[str, SwitchRendering]:
    """The files of every switch of a known model that has a cable, by its name."""
    found = {}
    for switch in cluster.switches:
        model = model_of(switch.model)
        ports = _ports(cluster, switch, model) if model is not None else ()
        if model is not None and ports:
            found[switch.name] = SwitchRendering(_files(cluster, fabric, switch, model, ports))
    return found


def _ports(cluster: Cluster, switch: Switch, model: SwitchModel) -> tuple[CabledPort, ...]:
    """In the order of the model: what the file lists first changes no byte."""
    peers = {end.port: peer for end, peer in both_ways(cluster.links) if end.owner == switch.name}
    legs = {port: model.leg(port, peers) for port in model.ports if port in peers}
    nodes = {node.name for node in cluster.nodes}
    return tuple(_port(port, peers[port], leg, nodes) for port, leg in legs.items() if leg is not None)


def _port(name: str, peer: LinkEnd, leg: Leg, nodes: set[str]) -> CabledPort:
    """A cable to another switch may be of another speed (400G), so only the legs of nodes are forced."""
    return CabledPort(name, peer, leg.gigabits, leg.mode if peer.owner in nodes else None)


def _files(
    cluster: Cluster, fabric: Fabric, switch: Switch, model: SwitchModel, ports: tuple[CabledPort, ...]
) -> tuple[Artifact, ...]:
    qos = switch.qos == "roce"
    values = {
        "cluster": cluster,
        "switch": switch,
        "model": model,
        "ports": ports,
        "qos": qos,
        "mtu": cluster.fabric.mtu,
        "l2mtu": switch.l2mtu or max(L2MTU, cluster.fabric.mtu + HEADER),
        "factory_mtu": FACTORY_MTU,
        "factory_l2mtu": FACTORY_L2MTU,
    }
    kinds = SCRIPTS + (QOS_SCRIPTS if qos else ())
    texts = {kind: text_of(f"switches/routeros{kind}.rsc.j2", **values) for kind in kinds}
    scripts = [Artifact(f"{switch.name}{kind}.rsc", text, 0o644, "network") for kind, text in texts.items()]
    return (*scripts, *(_units(cluster, fabric, ports) if qos else ()))


def _units(cluster: Cluster, fabric: Fabric, ports: tuple[CabledPort, ...]) -> list[Artifact]:
    """The hosts' half of PFC, for the nodes of this switch; people install it (docs/guides/switches.md)."""
    cabled = {port.peer.owner for port in ports}
    return [_unit(cluster, fabric, node) for node in cluster.nodes if node.name in cabled]


def _unit(cluster: Cluster, fabric: Fabric, node: Node) -> Artifact:
    content = text_of("switches/sparkctl-dcb.service.j2", cluster=cluster, node=node, attachments=fabric.of(node.name))
    return Artifact(f"hosts/{node.name}/sparkctl-dcb.service", content, 0o644, "network")
