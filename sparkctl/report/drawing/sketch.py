"""What a drawing shows, whatever its format: boxes, ports, wires, and the findings at each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import PORTS, Rail
from sparkctl.fabric.switches import rates
from sparkctl.inventory.model import Cluster, Link, LinkEnd, Node, Switch
from sparkctl.inventory.words import counted, visible
from sparkctl.outcome import Finding, Severity

# Gb/s: the link of a port runs at 200, and each of its rails is one half of it (facts ff1 and ff3.4)
CABLE_SPEED = 200
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
Kind = Literal["node", "switch", "unknown"]


@dataclass(frozen=True)
class DrawnRail:
    """One rail of a cabled port: its netdev, and the address that it gets in `network`."""

    rail: Rail
    netdev: str
    address: str
    network: str


@dataclass(frozen=True)
class DrawnPort:
    """One port of a box; `wire` None: nothing is plugged in."""

    name: str
    wire: int | None
    rails: tuple[DrawnRail, ...] = ()


@dataclass(frozen=True)
class Box:
    """A node, a switch, or something that only a cable knows; `badge` is the node's rank or empty."""

    name: str
    kind: Kind
    badge: str
    notes: tuple[str, ...]
    ports: tuple[DrawnPort, ...]
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Its name, with its badge."""
        return f"{self.name} ({self.badge})" if self.badge else self.name

    @property
    def networks(self) -> tuple[tuple[Rail, str], ...]:
        """The subnets that its ports are in, by rail; for a switch those of the nodes behind its ports."""
        return tuple(dict.fromkeys((end.rail, end.network) for port in self.ports for end in port.rails))


@dataclass(frozen=True)
class DrawnCable:
    """One cable between two ports of boxes, by their index in the sketch; `rails` are the subnets it carries."""

    index: int
    a: tuple[int, str]
    b: tuple[int, str]
    rails: tuple[tuple[Rail, str], ...]
    gigabits: int
    findings: tuple[Finding, ...]

    @property
    def speed(self) -> str:
        """Of the whole cable."""
        return f"{self.gigabits}G" if self.gigabits else ""

    @property
    def title(self) -> str:
        """Its number and speed."""
        return f"cable {self.index}" + (f", {self.speed}" if self.speed else "")

    @property
    def lines(self) -> tuple[str, ...]:
        """What is written at it, but findings."""
        rails = (f"{rail} {network} {self.rail_speed}" for rail, network in self.rails)
        return (f"{self.a[1]} - {self.b[1]}", self.title, *rails)

    @property
    def rail_speed(self) -> str:
        """Of each of its two rails: half, whether both are in use or one."""
        return f"{self.gigabits // 2}G" if self.gigabits else ""


@dataclass(frozen=True)
class Sketch:
    """A cluster ready to be drawn; `findings` are all of them, those at boxes and wires too."""

    name: str
    summary: str
    boxes: tuple[Box, ...]
    wires: tuple[DrawnCable, ...]
    findings: tuple[Finding, ...]

    def ends(self, wire: DrawnCable) -> tuple[Box, Box]:
        """The boxes that a wire joins."""
        return self.boxes[wire.a[0]], self.boxes[wire.b[0]]

    def between_switches(self, wire: DrawnCable) -> bool:
        """Whether no node is at either end."""
        return all(box.kind == "switch" for box in self.ends(wire))


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The highest severity among them."""
    found = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), None)


def ids(findings: Iterable[Finding]) -> tuple[tuple[str, Severity], ...]:
    """Each rule once, the worst first."""
    found: dict[str, Severity] = {}
    for finding in sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.id)):
        found.setdefault(finding.id, finding.severity)
    return tuple(found.items())


def sketch(cluster: Cluster, fabric: Fabric | None, findings: Sequence[Finding]) -> Sketch:
    """The cluster as it is cabled; without a fabric (the inventory has errors) there are no addresses."""
    attached = _attached(fabric)
    names = _names(cluster)
    places = {name: number for number, name in enumerate(names)}
    speeds = rates(cluster)
    wires = tuple(_wire(k, link, places, attached, findings, speeds) for k, link in enumerate(cluster.links))
    ports = _ports(cluster.links, attached)
    boxes = [_node(node, ports, _at(findings, "nodes", node.rank)) for node in cluster.nodes]
    boxes += [_switch(one, ports, _at(findings, "switches", k)) for k, one in enumerate(cluster.switches)]
    known = len(boxes)
    boxes += [Box(visible(n), "unknown", "", ("not in the inventory",), ports[n], ()) for n in names[known:]]
    return Sketch(visible(cluster.name), _summary(cluster, fabric), tuple(boxes), wires, tuple(findings))


def _attached(fabric: Fabric | None) -> Mapping[LinkEnd, tuple[DrawnRail, ...]]:
    found: dict[LinkEnd, tuple[DrawnRail, ...]] = {}
    for a in fabric.attachments if fabric else ():
        end = LinkEnd(a.node, a.half.port)
        rail = DrawnRail(a.rail, a.netdev, str(a.address.ip), str(a.address.network))
        found[end] = (*found.get(end, ()), rail)
    return found


def _names(cluster: Cluster) -> list[str]:
    """Nodes, switches, then whatever else a cable names; two things of one name are told apart by their order."""
    known = [node.name for node in cluster.nodes] + [switch.name for switch in cluster.switches]
    others = dict.fromkeys(end.owner for link in cluster.links for end in (link.a, link.b))
    return known + [name for name in others if name not in set(known)]


def _ports(
    links: Iterable[Link], attached: Mapping[LinkEnd, tuple[DrawnRail, ...]]
) -> dict[str, tuple[DrawnPort, ...]]:
    """The cabled ports of every owner; a port of a switch carries the rails of the node at the other end."""
    ports: dict[str, tuple[DrawnPort, ...]] = {}
    for number, link in enumerate(links):
        for end, other in ((link.a, link.b), (link.b, link.a)):
            rails = attached.get(end) or attached.get(other, ())
            ports[end.owner] = (*ports.get(end.owner, ()), DrawnPort(visible(end.port), number, rails))
    return ports


def _node(node: Node, ports: Mapping[str, tuple[DrawnPort, ...]], findings: tuple[Finding, ...]) -> Box:
    cabled = ports.get(node.name, ())
    free = tuple(DrawnPort(name, None) for name in PORTS if name not in {port.name for port in cabled})
    badge = "head" if node.rank == 0 else f"rank {node.rank}"
    notes = (f"{visible(node.address)} on {visible(node.management)}",)
    return Box(visible(node.name), "node", badge, notes, tuple(sorted(cabled + free, key=lambda p: p.name)), findings)


def _switch(switch: Switch, ports: Mapping[str, tuple[DrawnPort, ...]], findings: tuple[Finding, ...]) -> Box:
    l2mtu = f"l2mtu {switch.l2mtu}" if switch.l2mtu else ""
    notes = tuple(visible(note) for note in (switch.model, switch.address, l2mtu) if note)
    return Box(visible(switch.name), "switch", "", notes, ports.get(switch.name, ()), findings)


def _wire(
    number: int,
    link: Link,
    places: Mapping[str, int],
    attached: Mapping[LinkEnd, tuple[DrawnRail, ...]],
    findings: Sequence[Finding],
    speeds: Mapping[LinkEnd, int],
) -> DrawnCable:
    a, b = ((places[end.owner], visible(end.port)) for end in (link.a, link.b))
    rails = tuple((end.rail, end.network) for end in attached.get(link.a) or attached.get(link.b, ()))
    gigabits = min(CABLE_SPEED, speeds.get(link.a) or speeds.get(link.b, CABLE_SPEED))
    return DrawnCable(number, a, b, rails, gigabits if rails else 0, _at(findings, "links", number))


def _at(findings: Sequence[Finding], section: str, index: int) -> tuple[Finding, ...]:
    """The findings about one item of a section: `links[0]`, `links[0].a`, `links[0][1]`."""
    place = re.compile(rf"{section}\[{index}\](?![^.\[])")
    return tuple(finding for finding in findings if place.match(finding.where))


def _summary(cluster: Cluster, fabric: Fabric | None) -> str:
    intent = cluster.fabric
    rails = "both rails" if intent.rails == "both" else "rail A only"
    transport = "RoCE" if intent.transport == "roce" else "TCP"
    said = [intent.topology, counted(len(cluster.nodes), "node"), counted(len(cluster.links), "cable")]
    said += [counted(len(fabric.subnets), "subnet")] if fabric else []
    said += [str(cluster.engine.parallel)] if cluster.engine else []
    return ", ".join([*said, rails, transport, f"MTU {intent.mtu}"])
