"""Who is at the other end of each port, by the calls that the nodes heard, and by LLDP where they could not call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sparkctl.checks.base import View, netdev_of
from sparkctl.fabric.graph import groups
from sparkctl.fabric.model import Attachment
from sparkctl.fabric.ports import HALVES
from sparkctl.facts.survey import Survey
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Known, Unknown

_PORT = {half.netdev: half.port for half in HALVES}


@dataclass(frozen=True)
class Heard:
    """`peers`: the ports that a port hears or is heard by; `deaf`: nodes that could not call, and why."""

    peers: Mapping[Port, frozenset[Port]]
    deaf: Mapping[str, str]

    def of(self, port: Port) -> tuple[Port, ...]:
        """In the order of their names."""
        return tuple(sorted(self.peers.get(port, ()), key=str))

    def joined(self, port: Port) -> frozenset[Port]:
        """Everything that is on one wire or switch with `port`, itself too."""
        return self._parts.get(port, frozenset((port,)))

    @cached_property
    def _parts(self) -> Mapping[Port, frozenset[Port]]:
        pairs = ((one, other) for one, others in self.peers.items() for other in others)
        parts = map(frozenset, groups(self.peers, pairs))
        return {port: part for part in parts for port in part}


def listen(view: View) -> Heard:
    """The calls and neighbours of all nodes; what one end heard holds for both, for a cable has two ends."""
    peers: dict[Port, set[Port]] = {}
    for one, other in (pair for node in view.facts for pair in _pairs(view, node)):
        peers.setdefault(one, set()).add(other)
        peers.setdefault(other, set()).add(one)
    deaf = {node: why for node, facts in view.facts.items() if (why := _deafness(facts.survey))}
    return Heard({port: frozenset(others) for port, others in peers.items()}, deaf)


def _deafness(survey: Survey) -> str:
    if isinstance(survey.hellos, Known):
        return "; ".join(survey.hellos.unread)
    return survey.hellos.reason or "no calls"


def _pairs(view: View, node: str) -> Iterator[tuple[Port, Port]]:
    """LLDP remembers for two minutes, so it is asked only where nobody could call."""
    survey = view.facts[node].survey
    if isinstance(survey.hellos, Known):
        yield from _between(view, node, ((h.netdev, h.node, h.sender) for h in survey.hellos.value))
    else:
        yield from beside(view, node)


def beside(view: View, node: str) -> Iterator[tuple[Port, Port]]:
    """The ports of `node`, each with the port of another node that is at the other end by LLDP."""
    lldp = view.facts[node].survey.lldp
    said = lldp.value if isinstance(lldp, Known) else ()
    return _between(view, node, ((n.netdev, n.system.partition(".")[0], n.port) for n in said))


def _between(view: View, node: str, said: Iterable[tuple[str, str, str]]) -> Iterator[tuple[Port, Port]]:
    for mine, other, theirs in said:
        if mine in _PORT and theirs in _PORT and other in view.facts:
            pair = Port(node, _PORT[mine]), Port(other, _PORT[theirs])
            if pair[0] != pair[1]:
                yield pair


def neighbours(view: View, port: Port) -> tuple[Port, ...]:
    """What LLDP says is next to `port`: a node's netdev or a switch's port, as its owner calls it."""
    lldp = view.facts[port.owner].survey.lldp
    found = lldp.value if isinstance(lldp, Known) else ()
    here = (n for n in found if _PORT.get(n.netdev) == port.port)
    return tuple(dict.fromkeys(Port(n.system, n.port) for n in here))


def halves(view: View, ports: Iterable[Port]) -> tuple[Attachment, ...]:
    """The attachments of these ports."""
    wanted = set(ports)
    return tuple(a for a in view.fabric.attachments if Port(a.node, a.half.port) in wanted)


def dark(view: View, port: Port) -> bool:
    """No half of the port has a carrier, for certain."""
    facts = [netdev_of(view, a) for a in halves(view, (port,))]
    known = (f for f in facts if isinstance(f, Known))
    unread = any(isinstance(f, Unknown) for f in facts)
    return not unread and not any(f.value.lit for f in known)


def answered(view: View, port: Port, others: Iterable[Port]) -> bool:
    """A ping along a rail came back, either way: then the two are joined, whatever they heard."""
    there = set(others)
    for here in halves(view, (port,)):
        for peer in view.fabric.peers(here):
            if Port(peer.node, peer.half.port) in there and (_ping(view, here, peer) or _ping(view, peer, here)):
                return True
    return False


def _ping(view: View, here: Attachment, peer: Attachment) -> bool:
    pings = view.facts[here.node].pings
    return isinstance(pings, Known) and pings.value.get((here.netdev, str(peer.address.ip)), False)
