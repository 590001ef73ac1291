"""Checks of the link itself: every cabled netdev is there, up and with a carrier, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sparkctl.checks.base import NOT_ASKED, View, check, end, netdev_of, rail, see, unreadable
from sparkctl.checks.cabling import misplaced
from sparkctl.checks.ports import CAGE, ethernet_of, twin
from sparkctl.fabric.model import Attachment
from sparkctl.facts.links import Netdev
from sparkctl.inventory.words import counted
from sparkctl.outcome import Absent, Cause, Fact, Known, Named, Remedy, State, Unknown, Verdict

ID = "rail-carrier"
COUNTED = "every reboot of the other end counts too, and only a reboot of this node starts the count anew"


@check(ID, "network")
def carrier(view: View) -> Iterator[Verdict]:
    """A cabled netdev is there, up, and has a carrier."""
    moved = misplaced(view)
    for here in view.fabric.attachments:
        fact = netdev_of(view, here)
        if isinstance(fact, Unknown):
            yield from unreadable(ID, rail(here), fact, (end(here),))
        elif isinstance(fact, Known) and fact.value.lit:
            yield Verdict(ID, "pass", rail(here), here.netdev, "carrier", "carrier", ends=(end(here),))
        elif end(here) in moved:
            yield see(ID, rail(here), _measured(fact), Cause("cabling", moved[end(here)]), (end(here),))
        else:
            yield _dark(view, here, fact)


def _measured(fact: Fact[Netdev]) -> str:
    if not isinstance(fact, Known):
        return "no netdev"
    return "carrier" if fact.value.lit else "no carrier" if fact.value.up else "down"


def _dark(view: View, here: Attachment, fact: Fact[Netdev]) -> Verdict:
    """What keeps the light off: this end, the other one, or what is between."""
    other = _other_end(view, here)
    if isinstance(fact, Absent):
        message, remedy = _missing(view, here)
    elif isinstance(fact, Known) and not fact.value.up:
        up = f"ip link set {here.netdev} up"
        said = f"on {here.node}: {up}; then find who took it down"
        message, remedy = f"{here.netdev} is down", Remedy(said, Named("command", up, here.node))
    elif other is not None and _measured(netdev_of(view, other)) in ("down", "no netdev"):
        said = f"{here.netdev} has no carrier, and the other end is not up"
        return see(ID, rail(here), said, Cause(ID, rail(other)), (end(here),))
    else:
        message, remedy = _unlit(view, here, other)
    lacks: Literal["", "netdev", "carrier"] = "netdev" if isinstance(fact, Absent) else ""
    if isinstance(fact, Known) and fact.value.up:
        lacks = "carrier"
    measured = _measured(fact)
    return Verdict(ID, "fail", rail(here), message, measured, "carrier", remedy, (end(here),), missing=lacks)


def _other_end(view: View, here: Attachment) -> Attachment | None:
    """The other end of a cable between two nodes, as far as it was read; None at a switch."""
    peers = view.fabric.peers(here) if view.fabric.topology != "switch" else ()
    return next((peer for peer in peers if not isinstance(netdev_of(view, peer), Unknown)), None)


def _missing(view: View, here: Attachment) -> tuple[str, str]:
    port = _port(here)
    if isinstance(netdev_of(view, twin(here)), Known):
        message = f"half of the port is missing: {here.netdev} is not there, its twin {twin(here).netdev} is"
        cold = "shut the node down, unplug its power for 60 s and start it again"
        return message, f"the PCIe half behind {port} did not come up: {cold}; `dmesg | grep mlx5` tells why"
    message = f"no netdev {here.netdev}: no cable in {here.half.port}, or the port is asleep"
    return message, f"plug the cable into {port}; a port that slept without one wakes up by that, or at a reboot"


def _port(end: Attachment) -> str:
    return f"port {end.half.port} of {end.node} ({CAGE[end.half.port]})"


def _unlit(view: View, here: Attachment, other: Attachment | None) -> tuple[str, str]:
    port = _port(here)
    half = netdev_of(view, twin(here))
    sick = [end.node for end in (here, other) if end is not None and _faults(view, end.node)]
    if sick:
        why = f"{sick[0]} has logged a fatal error of the ConnectX-7: its firmware hangs"
        message = f"{here.netdev}: no carrier, and {why}"
        return message, f"shut {sick[0]} down, unplug its power for 60 s and start it again; no cable cures that"
    if isinstance(half, Known) and half.value.lit:
        message = f"{here.netdev} has no carrier, though its twin {twin(here).netdev} has one"
        return (
            message,
            f"half of the cable's lanes are dead: reseat it in {port} and at its other end, then try another cable",
        )
    if other is not None and _measured(netdev_of(view, other)) == "no carrier":
        link = next(
            x for x in view.fabric.cables if (here.node, here.half.port) in ((e.owner, e.port) for e in (x.a, x.b))
        )
        message = f"cable {link.index} has no link: {link.a} to {link.b}"
        return message, f"reseat the cable in {port} and in {_port(other)}; then try another cable"
    if other is not None:
        message = f"{here.netdev} has no carrier, though {other.node} {other.half.port} has one"
        return message, f"plug the cable of {other.node} {other.half.port} into {port}: now it ends elsewhere"
    remedy = f"reseat the cable in {port} and at the switch; is the switch's port enabled, and its speed set?"
    return f"{here.netdev} has no carrier from the switch", remedy


def _faults(view: View, node: str) -> tuple[str, ...]:
    faults = view.facts[node].survey.pcie_errors
    return faults.value if isinstance(faults, Known) else ()


@check("rail-flaps", "network", survey=True)
def flaps(view: View) -> Iterator[Verdict]:
    """The carrier went only as often since boot as reboots of the other end and changes of the MTU explain."""
    limits = view.thresholds
    for here in view.fabric.attachments:
        fact = ethernet_of(view, here)
        if not isinstance(fact, Known):
            yield from _unjudged(here, fact)
            continue
        losses = fact.value.losses
        bad, odd = losses > limits.carrier_flaps, losses > limits.carrier_losses
        remedy = f"reseat the cable in {here.half.port} of {here.node} and at its other end, then try another cable"
        expected = f"at most {limits.carrier_losses:.0f}, fails above {limits.carrier_flaps:.0f}"
        measured = f"{counted(losses, 'loss', 'losses')} of the carrier since boot"
        state: State = "fail" if bad else "warn" if odd else "pass"
        said = f"{remedy}; {COUNTED}" if odd else ""
        yield Verdict("rail-flaps", state, rail(here), here.netdev, measured, expected, said, (end(here),))


def _unjudged(here: Attachment, fact: Fact[object]) -> Iterator[Verdict]:
    if isinstance(fact, Absent) and fact != NOT_ASKED:
        yield see("rail-flaps", rail(here), fact.reason, Cause(ID), (end(here),))
    else:
        yield from unreadable("rail-flaps", rail(here), fact, (end(here),))
