"""What to move so that the cables that were found make the topology that is asked for, one sentence a plug."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from sparkctl.discovery.cabling import Found, FoundSwitch, Seen, strangers
from sparkctl.fabric.moves import Alike, Pair, circle, fewest_moves, nowhere, offer, relabelled
from sparkctl.fabric.ports import PORTS
from sparkctl.fabric.switches import FULL, alike, model_of
from sparkctl.inventory.model import LinkEnd, TopologyName


def recabling(topology: TopologyName, found: Found, seen: Sequence[Seen]) -> tuple[str, ...]:
    """What a person does by hand, the nodes in the order of their ranks; empty where everything lies right."""
    nodes = [one.name for one in seen]
    if topology == "switch" and not found.switches:
        return ("no switch was found: connect a port of each node to one, and discover again",)
    there = [(LinkEnd(*cable.a), LinkEnd(*cable.b)) for cable in found.cables]
    there += [(LinkEnd(*port), LinkEnd(s.name, name)) for s in found.switches for port, name in s.ports.items()]
    there += [(LinkEnd(*port), nowhere(LinkEnd(*port))) for port in strangers(found, seen)]
    wanted, same = _wanted(topology, found, nodes)
    plan = fewest_moves(there, wanted, same)
    said = [plan.words(turn) for turn in plan.turns]
    said += [f"lay a cable from {a} to {b}: none is left over for it" for a, b in plan.missing]
    if topology != "switch":  # there a second cable of a node does no harm
        said += [f"pull the cable from {a} to {b}: a {topology} does not need it" for a, b in plan.surplus if b.owner]
    if topology in ("mesh", "ring") and said:
        order, instead = relabelled(there, nodes, plan)
        said[0] += offer(order, instead, plan.count) if instead is not plan else ""
    return tuple(said)


def _wanted(topology: TopologyName, found: Found, nodes: Sequence[str]) -> tuple[tuple[Pair, ...], Alike]:
    """The cables of the topology, and the ports that are as good as theirs: either cage, but in a circle."""
    if topology in ("mesh", "ring"):
        return circle(nodes), {}
    cages = {node: tuple(LinkEnd(node, port) for port in reversed(PORTS)) for node in nodes}
    same: dict[LinkEnd, tuple[LinkEnd, ...]] = {end: ends for ends in cages.values() for end in ends}
    if topology == "direct":
        return ((cages[nodes[0]][0], cages[nodes[1]][0]),), same
    for switch in found.switches:
        same |= alike(switch.name, switch.model, tuple(switch.ports.values()))
    legs = {port[0]: LinkEnd(s.name, name) for s in found.switches for port, name in s.ports.items()}
    free = _free(found.switches[0])
    return tuple((cages[node][0], legs[node] if node in legs else next(free)) for node in nodes), same


def _free(switch: FoundSwitch) -> Iterator[LinkEnd]:
    """Ports without a cable that run at full rate; of a model that is not known, nameless ones."""
    model, used = model_of(switch.model), tuple(switch.ports.values())
    if model is not None:
        ports = (port for group in model.alike(used) for port in group if port not in used)
        yield from (LinkEnd(switch.name, port) for port in ports if model.rate(port, (*used, port)) == FULL)
    yield from (LinkEnd(switch.name, f"free-port-{number}") for number in count(1))
