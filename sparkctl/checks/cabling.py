"""Check of the cables: at the other end of each is who the inventory says, and if not, which end to move where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from sparkctl.checks.base import View, check, end, ends, see
from sparkctl.checks.heard import Heard, answered, dark, halves, listen, neighbours
from sparkctl.checks.moves import Pair, moves
from sparkctl.fabric.model import Cable
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Cause, Known, RailEnd, Verdict

ID = "cabling"


@check(ID, "network", survey=True)
def cabling(view: View) -> Iterator[Verdict]:
    """Every cable joins the two ports that the inventory names, or a node to the switch that its peers are on."""
    heard = listen(view)
    orders = _orders(view, heard)
    for cable in view.fabric.cables:
        ports = [port for port in (cable.a, cable.b) if port.owner in view.facts]
        if len(ports) == 2:
            yield _direct(view, heard, cable, orders)
        elif ports:
            yield _switched(view, heard, cable, ports[0])


def misplaced(view: View) -> Mapping[RailEnd, str]:
    """Ends without a carrier because their cable is in another port, each with that cable."""
    if not view.surveyed:
        return {}
    failed = {v.where for v in cabling(view) if v.state == "fail"}
    cables = (c for c in view.fabric.cables if _where(c) in failed)
    unlit = ((c, p) for c in cables for p in (c.a, c.b) if p.owner in view.facts and dark(view, p))
    return {end(a): _where(c) for c, port in unlit for a in halves(view, (port,))}


def _where(cable: Cable) -> str:
    return f"{cable.a} - {cable.b}"


# --- between two nodes ------------------------------------------------------------------------------------------


def _direct(view: View, heard: Heard, cable: Cable, orders: Mapping[Pair, str]) -> Verdict:
    a, b = cable.a, cable.b
    said = "; ".join(f"{port} hears {_list(heard.of(port))}" for port in (a, b) if heard.of(port))
    expected, touched = f"{a} and {b} hear one another", ends(halves(view, (a, b)))
    unlit = next((port for port in (a, b) if dark(view, port)), None)
    if b in heard.of(a) or (not said and answered(view, a, (b,))):
        return Verdict(ID, "pass", _where(cable), "cable", said or "pings are answered", expected, ends=touched)
    if not said and unlit is not None:
        return see(ID, _where(cable), f"{unlit} has no carrier", Cause("rail-carrier", _spoken(unlit)), touched)
    if not said and (a.owner in heard.deaf or b.owner in heard.deaf):
        return _undecided(heard, cable, (a, b), touched)
    measured = said or f"nobody of this cluster at either end{_lldp(view, a)}{_lldp(view, b)}"
    remedy = orders.get((a, b)) or f"follow the cable in {a}: its other end belongs into {b}"
    return Verdict(ID, "fail", _where(cable), "the cable does not lead there", measured, expected, remedy, touched)


def _orders(view: View, heard: Heard) -> Mapping[Pair, str]:
    """What to move for each cable between two nodes that does not lead where it should."""
    planned = [(c.a, c.b) for c in view.fabric.cables if {c.a.owner, c.b.owner} <= view.facts.keys()]
    wanted = [pair for pair in planned if pair[1] not in heard.of(pair[0])]
    there = {tuple(sorted((one, other), key=str)) for one in heard.peers for other in heard.of(one)}
    right = {frozenset(pair) for pair in planned}
    wrong = [(one, other) for one, other in sorted(there, key=str) if frozenset((one, other)) not in right]
    found = moves((*wrong, *_loops(view, heard, wanted)), wanted)
    return {pair: move.words(found.values()) for pair, move in found.items()}


def _loops(view: View, heard: Heard, wanted: list[Pair]) -> Iterator[Pair]:
    """A node does not hear itself: two ports of one node with a carrier and nobody there are joined to each other."""
    alone = [p for pair in wanted for p in pair if not heard.of(p) and not dark(view, p) and p.owner not in heard.deaf]
    return ((one, other) for one, other in combinations(alone, 2) if one.owner == other.owner)


# --- at a switch ------------------------------------------------------------------------------------------------


def _switched(view: View, heard: Heard, cable: Cable, port: Port) -> Verdict:
    others = _others(view, port)
    fabric = _largest(view, heard, (port, *others))
    expected, touched = f"{port} hears the other nodes of its switch", ends(halves(view, (port,)))
    reached = [other for other in others if other in heard.of(port)]
    measured = f"hears {len(reached)} of {len(others)}" + (f": {_list(heard.of(port))}" if reached else "")
    if port in fabric or (not reached and answered(view, port, others)):
        return _leg(view, cable, port, measured if reached else "pings are answered", expected, touched)
    astray = next((other for other in sorted(fabric, key=str) if other.owner == port.owner), None)
    if astray is None and not reached:
        quiet = _quiet(view, heard, cable, port, others, touched)
        if quiet is not None:
            return quiet
    said = (
        f"the cable is in {astray}" if astray else measured if reached else f"nobody of this cluster{_lldp(view, port)}"
    )
    remedy = f"move the cable end from {astray} to {port}" if astray else _switch_remedy(cable, port, reached)
    return Verdict(ID, "fail", _where(cable), "not with the others", said, expected, remedy, touched)


def _others(view: View, port: Port) -> tuple[Port, ...]:
    """The other ports of the same switched fabric."""
    peers = {Port(p.node, p.half.port) for a in halves(view, (port,)) for p in view.fabric.peers(a)}
    return tuple(sorted(peers, key=str))


def _largest(view: View, heard: Heard, planned: tuple[Port, ...]) -> frozenset[Port]:
    """The part of the fabric with most of its nodes, that of the lowest rank among equals; empty: nobody hears."""
    ranks = {node.name: node.rank for node in view.cluster.nodes}
    parts = {heard.joined(port) for port in heard.peers if port.owner in {p.owner for p in planned}}
    counted = ((len({p.owner for p in part}), -min(ranks[p.owner] for p in part), part) for part in parts)
    return max(counted, key=lambda each: each[:2], default=(0, 0, frozenset[Port]()))[2]


def _quiet(
    view: View, heard: Heard, cable: Cable, port: Port, others: tuple[Port, ...], touched: tuple[RailEnd, ...]
) -> Verdict | None:
    """Why nothing is heard, where that says nothing of the cable; None: it does."""
    unlit = next((p for p in (port, *others) if dark(view, p)), None)
    callers = [other for other in others if other.owner not in heard.deaf and not dark(view, other)]
    if unlit == port or (unlit is not None and not callers):
        return see(ID, _where(cable), f"{unlit} has no carrier", Cause("rail-carrier", _spoken(unlit)), touched)
    if callers and port.owner not in heard.deaf:
        return None
    if cable.a in neighbours(view, port) or cable.b in neighbours(view, port):
        return _leg(view, cable, port, "LLDP", f"{port} is at {_where(cable)}", touched)
    return _undecided(heard, cable, (port, *others), touched)


def _leg(view: View, cable: Cable, port: Port, measured: str, expected: str, touched: tuple[RailEnd, ...]) -> Verdict:
    """It is on the switch; LLDP may know that two legs are swapped there, which matters for nothing but the labels."""
    mine = cable.b if cable.a == port else cable.a
    taken = {p for c in view.fabric.cables for p in (c.a, c.b) if p.owner == mine.owner} - {mine}
    wrong = next((leg for leg in neighbours(view, port) if leg in taken), None)
    if wrong is None:
        return Verdict(ID, "pass", _where(cable), "cable", measured, expected, ends=touched)
    remedy = f"move the cable end from {wrong} to {mine}, or change the inventory"
    return Verdict(ID, "warn", _where(cable), "another leg of the switch", str(wrong), str(mine), remedy, touched)


def _switch_remedy(cable: Cable, port: Port, reached: list[Port]) -> str:
    leg = cable.b if cable.a == port else cable.a
    parts = f"the switch keeps {_list((port, *reached))} apart from the rest." if reached else f"is {port} in {leg}?"
    return f"{parts} See that all ports of the fabric are in one bridge and one VLAN, and that it is the right switch"


# --- words ------------------------------------------------------------------------------------------------------


def _undecided(heard: Heard, cable: Cable, ports: tuple[Port, ...], touched: tuple[RailEnd, ...]) -> Verdict:
    reasons = (f"{p.owner}: {heard.deaf[p.owner]}" for p in ports if p.owner in heard.deaf)
    message = f"nobody could call: {'; '.join(dict.fromkeys(reasons))}"
    return Verdict(
        ID, "unknown", _where(cable), message, remedy="see why python3 cannot open a raw socket there", ends=touched
    )


def _lldp(view: View, port: Port) -> str:
    """Whom LLDP knows at a port where nobody of this cluster is."""
    facts = view.facts[port.owner].survey.lldp
    found = neighbours(view, port) if isinstance(facts, Known) else ()
    return f"; LLDP at {port}: {_list(found)}" if found else ""


def _list(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports))


def _spoken(port: Port) -> str:
    return f"{port.owner} {port.port}"
