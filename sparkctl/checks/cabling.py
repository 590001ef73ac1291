"""Check of the cables: at the other end of each is who the inventory says, and if not, which end to move where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from sparkctl.checks.base import View, check, end, ends, see
from sparkctl.checks.heard import Heard, answered, beside, dark, halves, listen, neighbours
from sparkctl.fabric.moves import Alike, Pair, circle, fewest_moves, nowhere, offer, relabelled
from sparkctl.fabric.switches import alike
from sparkctl.inventory.model import Link
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Cause, Known, Named, RailEnd, Remedy, Verdict

ID = "cabling"


@check(ID, "network", survey=True)
def cabling(view: View) -> Iterator[Verdict]:
    """Every cable joins the two ports that the inventory names, or a node to the switch that its peers are on."""
    heard = listen(view)
    orders = (_detours if view.fabric.topology == "switch" else _orders)(view, heard)
    for cable in view.fabric.cables:
        ports = [port for port in (cable.a, cable.b) if port.owner in view.facts]
        if len(ports) == 2:
            yield _direct(view, heard, cable, orders)
        elif ports:
            yield _switched(view, heard, cable, ports[0], orders)


def misplaced(view: View) -> Mapping[RailEnd, str]:
    """Ends without a carrier because their cable is in another port, each with that cable."""
    if not view.surveyed:
        return {}
    failed = {v.where for v in cabling(view) if v.state == "fail"}
    cables = (c for c in view.fabric.cables if _where(c) in failed)
    unlit = ((c, p) for c in cables for p in (c.a, c.b) if p.owner in view.facts and dark(view, p))
    return {end(a): _where(c) for c, port in unlit for a in halves(view, (port,))}


def _where(cable: Link) -> str:
    return f"{cable.a} - {cable.b}"


# --- between two nodes ------------------------------------------------------------------------------------------


def _direct(view: View, heard: Heard, cable: Link, orders: Mapping[Pair, str]) -> Verdict:
    a, b = cable.a, cable.b
    said = "; ".join(f"{port} hears {_list(heard.of(port))}" for port in (a, b) if heard.of(port))
    expected, touched = f"{a} and {b} hear one another", ends(halves(view, (a, b)))
    unlit = next((port for port in (a, b) if dark(view, port)), None)
    if _is_right(view, heard, a, b):
        return Verdict(ID, "pass", _where(cable), "cable", said or "pings are answered", expected, ends=touched)
    if not said and unlit is not None:
        return see(ID, _where(cable), f"{unlit} has no carrier", Cause("rail-carrier", _spoken(unlit)), touched)
    if not said and (a.owner in heard.deaf or b.owner in heard.deaf):
        return _undecided(heard, cable, (a, b), touched)
    measured = said or f"nobody of this cluster at either end{_lldp(view, a)}{_lldp(view, b)}"
    remedy = orders.get((a, b)) or _lay((a, b))
    return Verdict(ID, "fail", _where(cable), "the cable does not lead there", measured, expected, remedy, touched)


def _orders(view: View, heard: Heard) -> Mapping[Pair, str]:
    """What to move for each cable between two nodes that does not lead where it should."""
    planned = [(c.a, c.b) for c in view.fabric.cables if {c.a.owner, c.b.owner} <= view.facts.keys()]
    right = [pair for pair in planned if _is_right(view, heard, *pair)]
    wanted = [pair for pair in planned if pair not in right]
    known = {tuple(sorted((one, other), key=str)) for one in heard.peers for other in heard.of(one)}
    wrong = [(one, other) for one, other in sorted(known, key=str) if not {(one, other), (other, one)} & {*planned}]
    there = [*wrong, *_unheard(view, heard, [port for pair in wanted for port in pair])]
    plan = fewest_moves(there, wanted)
    orders = {turn.wanted: plan.words(turn) for turn in plan.turns}
    order = tuple(node.name for node in view.cluster.nodes)
    if orders and not heard.deaf and set(planned) == set(circle(order)):
        other, instead = relabelled([*right, *there], order, plan)
        saves = f"{offer(other, instead, plan.count)}; write `links` as the cables then lie" if other != order else ""
        first = next(iter(orders))
        orders[first] = Remedy.again(orders[first] + saves, orders[first], "")
    return orders


def _is_right(view: View, heard: Heard, a: Port, b: Port) -> bool:
    return b in heard.of(a) or (not heard.of(a) and not heard.of(b) and answered(view, a, (b,)))


def _unheard(view: View, heard: Heard, ports: list[Port]) -> Iterator[Pair]:
    """Cables of ports with a carrier at which nobody is heard.

    A node does not hear itself, so two such ports of one node are taken to be joined; else the other end is anywhere.
    """
    alone = [p for p in ports if not heard.of(p) and not dark(view, p) and p.owner not in heard.deaf]
    loops = [(one, other) for one, other in combinations(alone, 2) if one.owner == other.owner]
    yield from loops
    yield from ((port, nowhere(port)) for port in alone if not any(port in loop for loop in loops))


# --- at a switch ------------------------------------------------------------------------------------------------


def _detours(view: View, heard: Heard) -> Mapping[Pair, str]:
    """What to move where LLDP sees a cable that leads past the switch to another node: calls alone do not show it."""
    past: dict[Port, Pair] = {}
    for a, b in (pair for node in view.facts for pair in beside(view, node)):
        if not {a, b} & past.keys() and (heard.deaf or b in heard.of(a)):
            past[a] = past[b] = (a, b)
    planned = [(c.a, c.b) if c.a.owner in view.facts else (c.b, c.a) for c in view.fabric.cables] if past else []
    legs = _legs(view) if past else {}
    there = [
        (port, _at(view, port, leg, legs))
        for port, leg in planned
        if port not in past and not (port.owner in view.facts and dark(view, port))
    ]
    plan = fewest_moves([*dict.fromkeys(past.values()), *there], planned, legs)
    return {turn.wanted: plan.words(turn) for turn in plan.turns} | {pair: _lay(pair) for pair in plan.missing}


def _legs(view: View) -> Alike:
    """The ports of each switch that are as fast as those in use."""
    ends, found = [end for c in view.fabric.cables for end in (c.a, c.b)], dict[Port, tuple[Port, ...]]()
    for switch in view.cluster.switches:
        found |= alike(switch.name, switch.model, [end.port for end in ends if end.owner == switch.name])
    return found


def _at(view: View, port: Port, leg: Port, legs: Alike) -> Port:
    """The leg that `port` is in by LLDP, where the switch calls it by a name that it has."""
    said = neighbours(view, port) if port.owner in view.facts else ()
    return next((there for there in said if there in legs.get(leg, ())), leg)


def _lay(pair: Pair) -> str:
    said = f"lay a cable from {pair[0]} to {pair[1]}: none is left over for it"
    return Remedy(said, Named("cable", str(pair[1]), str(pair[0])))


def _switched(view: View, heard: Heard, cable: Link, port: Port, orders: Mapping[Pair, str]) -> Verdict:
    others = _others(view, port)
    fabric = _largest(view, heard, (port, *others))
    expected, touched = f"{port} hears the other nodes of its switch", ends(halves(view, (port,)))
    reached = [other for other in others if other in heard.of(port)]
    measured = f"hears {len(reached)} of {len(others)}" + (f": {_list(heard.of(port))}" if reached else "")
    if port in fabric or (not reached and answered(view, port, others)):
        return _leg(view, cable, port, measured if reached else "pings are answered", expected, touched)
    extra = fabric - {end for c in view.fabric.cables for end in (c.a, c.b)}
    astray = next((other for other in sorted(extra, key=str) if other.owner == port.owner), None)
    if astray is None and not reached:
        quiet = _quiet(view, heard, cable, port, others, touched)
        if quiet is not None:
            return quiet
    said = (
        f"the cable is in {astray}" if astray else measured if reached else f"nobody of this cluster{_lldp(view, port)}"
    )
    leg = cable.b if cable.a == port else cable.a
    moved = Remedy(f"move the cable end from {astray} to {port}", Named("plug", str(port), str(astray)))
    remedy = moved if astray else orders.get((port, leg))
    remedy = remedy or _switch_remedy(leg, port, reached)
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
    view: View, heard: Heard, cable: Link, port: Port, others: tuple[Port, ...], touched: tuple[RailEnd, ...]
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


def _leg(view: View, cable: Link, port: Port, measured: str, expected: str, touched: tuple[RailEnd, ...]) -> Verdict:
    """It is on the switch; LLDP may know that two legs are swapped there, which matters for nothing but the labels."""
    mine = cable.b if cable.a == port else cable.a
    taken = {p for c in view.fabric.cables for p in (c.a, c.b) if p.owner == mine.owner} - {mine}
    wrong = next((leg for leg in neighbours(view, port) if leg in taken), None)
    if wrong is None:
        return Verdict(ID, "pass", _where(cable), "cable", measured, expected, ends=touched)
    remedy = f"move the cable end from {wrong} to {mine}, or change the inventory"
    return Verdict(ID, "warn", _where(cable), "another leg of the switch", str(wrong), str(mine), remedy, touched)


def _switch_remedy(leg: Port, port: Port, reached: list[Port]) -> str:
    parts = f"the switch keeps {_list((port, *reached))} apart from the rest." if reached else f"is {port} in {leg}?"
    return f"{parts} See that all ports of the fabric are in one bridge and one VLAN, and that it is the right switch"


# --- words ------------------------------------------------------------------------------------------------------


def _undecided(heard: Heard, cable: Link, ports: tuple[Port, ...], touched: tuple[RailEnd, ...]) -> Verdict:
    reasons = (f"{p.owner}: {heard.deaf[p.owner]}" for p in ports if p.owner in heard.deaf)
    message = f"nobody could call: {'; '.join(dict.fromkeys(reasons))}"
    remedy = "find out why python3 cannot open a raw socket there"
    return Verdict(ID, "unknown", _where(cable), message, remedy=remedy, ends=touched)


def _lldp(view: View, port: Port) -> str:
    """Whom LLDP knows at a port where nobody of this cluster is."""
    facts = view.facts[port.owner].survey.lldp
    found = neighbours(view, port) if isinstance(facts, Known) else ()
    return f"; LLDP at {port}: {_list(found)}" if found else ""


def _list(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports))


def _spoken(port: Port) -> str:
    return f"{port.owner} {port.port}"
