"""Check of every rail by full-size pings, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkctl.checks.base import View, check, end, ends, rail, state
from sparkctl.checks.heard import Heard, listen
from sparkctl.fabric.model import Attachment
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Absent, Known, Unknown, Verdict

ID = "rail-ping"
CAUSES = ("cabling", "rail-carrier", "rail-mtu", "rail-subnet", "rail-address", "rail-path", "firewall")
OVERHEAD = 22  # Ethernet header, VLAN tag and checksum around the MTU: what a switch's l2mtu counts (rules MTU)


@check(ID, "network", after=CAUSES)
def ping(view: View) -> Iterator[Verdict]:
    """Each end reaches each peer of its rail with one unfragmented packet of full size."""
    heard = listen(view)
    for here in view.fabric.attachments:
        answers = view.facts[here.node].pings
        if not isinstance(answers, Absent):
            yield from _from(view, heard, here, answers)


def _from(
    view: View, heard: Heard, here: Attachment, answers: Known[dict[tuple[str, str], bool]] | Unknown
) -> Iterator[Verdict]:
    known: Mapping[tuple[str, str], bool] = answers.value if isinstance(answers, Known) else {}
    for peer in view.fabric.peers(here):
        where, touched = f"{rail(here)} -> {peer.node}", ends((here, peer))
        answered = known.get((here.netdev, str(peer.address.ip)))
        if answered is None:
            why = f": {answers.reason}" if isinstance(answers, Unknown) else ""
            yield Verdict(ID, "unknown", where, f"the ping did not run{why}", remedy="run it again", ends=touched)
            continue
        measured = f"{here.mtu} bytes " + ("answered" if answered else "not answered")
        remedy = "" if answered else _remedy(view, heard, here, peer)
        yield Verdict(ID, state(answered), where, str(peer.address.ip), measured, "answered", remedy, touched)


def _remedy(view: View, heard: Heard, here: Attachment, peer: Attachment) -> str:
    """By what else is known: do small frames pass, and whom do all unanswered pings of this rail have in common?"""
    small = Port(peer.node, peer.half.port) in heard.of(Port(here.node, here.half.port))
    if view.fabric.topology != "switch":
        if small:
            return (
                f"small frames pass and {here.mtu} bytes do not: something between the ends has a smaller MTU, or a "
                "firewall drops pings (see firewall); reseat the cable, then try another one"
            )
        return "compare the MTU of both ends; is it the right port? does a firewall drop pings (see firewall)?"
    legs = _legs(view, _common(view, here))
    room = f"at least {here.mtu + OVERHEAD}"
    if small:
        return (
            f"small frames pass and {here.mtu} bytes do not: set the l2mtu of {legs} to {room}, its MTU to {here.mtu}"
        )
    return f"compare the l2mtu of {legs} ({room}); are all its ports in one bridge? does a firewall drop pings?"


def _common(view: View, here: Attachment) -> tuple[Attachment, ...]:
    """The ends that all unanswered pings of this rail share; both of them when they are only two."""
    members = (here, *view.fabric.peers(here))
    pairs = [{end(a), end(b)} for a in members for b in view.fabric.peers(a) if _unanswered(view, a, b)]
    shared = set.intersection(*pairs) if pairs else set()
    return tuple(a for a in members if end(a) in shared)


def _unanswered(view: View, here: Attachment, peer: Attachment) -> bool:
    pings = view.facts[here.node].pings
    return isinstance(pings, Known) and pings.value.get((here.netdev, str(peer.address.ip))) is False


def _legs(view: View, common: tuple[Attachment, ...]) -> str:
    """The switch ports at these ends, by name."""
    ports = {Port(a.node, a.half.port) for a in common}
    cables = ((c.a, c.b) if c.a in ports else (c.b, c.a) for c in view.fabric.cables if {c.a, c.b} & ports)
    return " and ".join(str(leg) for _, leg in cables) or "every port of the switch"
