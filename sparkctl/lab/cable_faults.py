"""Plugs in wrong ports, and ports that carry less than they should: one lab as it becomes another. Pure."""

from __future__ import annotations

from sparkctl.errors import UsageError
from sparkctl.inventory.words import quoted
from sparkctl.lab.spec import LabSpec, Trunk, Wire

# Ethernet's least (IPv4 needs 68, RFC 791) and its largest here: what fits into a frame of the lab.
MTU_RANGE = range(68, 9217)
PLUG_FAULTS = ("swap", "mtu")


def ends(spec: LabSpec) -> tuple[str, ...]:
    """All ports that have a cable, of nodes and switches: spark-1:p0, sw1:qsfp56-dd-1-1."""
    wired = [name for wire in spec.wires for name in (wire.port, wire.far)]
    return tuple(dict.fromkeys(wired + [port for trunk in spec.trunks for port in trunk.ports]))


def swapped(spec: LabSpec, one: str, two: str) -> LabSpec:
    """The plugs in these two ports exchanged."""
    for end in (one, two):
        _known(spec, end)
    owners = {node.name for node in spec.nodes}
    if (one.partition(":")[0] in owners) != (two.partition(":")[0] in owners):
        raise UsageError(f"swap {one} {two}: a node and a switch", "name two ports of nodes, or two of switches")
    if any(port in (one, two) for trunk in spec.trunks for port in trunk.ports):
        raise UsageError(f"swap {one} {two}: a cable between switches", "name ports that lead to nodes")
    wires = _at_nodes(spec, one, two) if one.partition(":")[0] in owners else _at_switches(spec, one, two)
    return spec.model_copy(update={"wires": wires})


def _known(spec: LabSpec, end: str) -> None:
    if end not in ends(spec):
        raise UsageError(f"no cable is in {end}", f"name one of: {', '.join(ends(spec))}")


def _at_nodes(spec: LabSpec, one: str, two: str) -> tuple[Wire, ...]:
    """Each of the two ports gets what was in the other, rail by rail; those at the far ends see another port."""
    names = {one: two, two: one}
    found = {(wire.port, wire.rail): wire for wire in spec.wires}
    made = []
    for wire in spec.wires:
        lent = found[(names.get(wire.port, wire.port), wire.rail)]
        moved = {"bridge": lent.bridge, "cable": lent.cable, "outer_mtu": lent.outer_mtu}
        made.append(wire.model_copy(update={**moved, "far": names.get(lent.far, lent.far)}))
    return tuple(made)


def _at_switches(spec: LabSpec, one: str, two: str) -> tuple[Wire, ...]:
    """The nodes at the far ends meet what the other met: its switch, and what its port carries."""
    names = {one: two, two: one}
    found = {(wire.far, wire.rail): wire for wire in spec.wires}
    made = []
    for wire in spec.wires:
        far = names.get(wire.far, wire.far)
        lent = found[(far, wire.rail)]
        made.append(wire.model_copy(update={"far": far, "bridge": lent.bridge, "outer_mtu": lent.outer_mtu}))
    return tuple(made)


def carrying(spec: LabSpec, end: str, mtu: int) -> LabSpec:
    """The same lab, but the cable or switch carries only `mtu` at this port."""
    _known(spec, end)
    if mtu not in MTU_RANGE:
        raise UsageError(f"{mtu} is not an MTU of the lab", f"use {MTU_RANGE[0]} to {MTU_RANGE[-1]}")
    owners = {node.name for node in spec.nodes}
    at = {wire.outer for wire in spec.wires if end == (wire.port if end.partition(":")[0] in owners else wire.far)}
    wires = tuple(wire.model_copy(update={"outer_mtu": mtu}) if wire.outer in at else wire for wire in spec.wires)
    return spec.model_copy(update={"wires": wires, "trunks": tuple(_narrow(t, end, mtu) for t in spec.trunks)})


def _narrow(trunk: Trunk, end: str, mtu: int) -> Trunk:
    mtus = tuple(mtu if port == end else was for port, was in zip(trunk.ports, trunk.mtus, strict=True))
    return trunk.model_copy(update={"mtus": mtus})


def faulty(spec: LabSpec, verb: str, subject: str) -> LabSpec:
    """`swap "spark-1:p0 spark-2:p1"` or `mtu spark-1:p1=1500`."""
    if verb == "swap":
        both = subject.split()
        if len(both) != 2 or both[0] == both[1]:
            raise UsageError(
                f"swap takes two ports, not {quoted(subject)}", 'for example: swap "spark-1:p0 spark-2:p1"'
            )
        return swapped(spec, *both)
    end, _, mtu = subject.rpartition("=")
    if not mtu.isascii() or not mtu.isdigit() or len(mtu) > 5:
        raise UsageError(f"mtu takes a port and an MTU, not {quoted(subject)}", "for example: mtu spark-1:p1=1500")
    return carrying(spec, end, int(mtu))
