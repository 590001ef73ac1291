"""Checks of addresses: each rail has its planned one and no other, and no two netdevs of a node share a subnet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network, ip_interface

from sparkctl.checks.base import View, check, end, ends, netdev_of, rail, see, state, unreadable
from sparkctl.checks.ports import twin
from sparkctl.commands.shell import quote
from sparkctl.fabric.model import Attachment
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.links import Netdev
from sparkctl.outcome import Absent, Cause, Known, Unknown, Verdict

ADDRESS, SUBNET = "rail-address", "rail-subnet"
LINK_LOCAL = IPv4Network("169.254.0.0/16")
UP = "`sparkctl cluster plan` shows the difference; `sparkctl cluster up` corrects it"


def interface(text: str) -> IPv4Interface | None:
    """An IPv4 address of a netdev with its prefix; None for any other text."""
    try:
        return IPv4Interface(text)
    except ValueError:
        return None


@check(ADDRESS, "network")
def address(view: View) -> Iterator[Verdict]:
    """Exactly the planned address: a second one can become the GID that RoCE uses (facts B3)."""
    for here in view.fabric.attachments:
        fact = netdev_of(view, here)
        if isinstance(fact, Absent):
            yield see(ADDRESS, rail(here), "no netdev", Cause("rail-carrier"), (end(here),))
        elif isinstance(fact, Unknown):
            yield from unreadable(ADDRESS, rail(here), fact, (end(here),))
        else:
            yield _addressed(view, here, fact.value)


def _addressed(view: View, here: Attachment, netdev: Netdev) -> Verdict:
    expected, found = str(here.address), ", ".join(netdev.addresses) or "none"
    right = netdev.addresses == (expected,)
    cause = None if right else _cause(view, here, netdev)
    if cause:
        return see(ADDRESS, rail(here), found, cause, (end(here),))
    message, remedy = (here.netdev, "") if right else _wrong(view, here, netdev)
    return Verdict(ADDRESS, state(right), rail(here), message, found, expected, remedy, (end(here),))


def _cause(view: View, here: Attachment, netdev: Netdev) -> Cause | None:
    """The check whose fault it is; None: this one's."""
    if not netdev.addresses and not netdev.lit:
        return Cause("rail-carrier")  # networkd takes the addresses away with the carrier
    stray = [text for text in netdev.addresses if text != str(here.address)]
    for other in view.fabric.of(here.node):
        if other != here and any(_within(text, other.address.network) for text in stray):
            return Cause(SUBNET, rail(other))
    linked = view.surveyed and bool(stray) and all(_within(text, LINK_LOCAL) for text in stray)
    return Cause("fabric-route") if linked and str(here.address) in netdev.addresses else None


def _within(text: str, network: IPv4Network) -> bool:
    found = interface(text)
    return found is not None and found.network.overlaps(network)


def _wrong(view: View, here: Attachment, netdev: Netdev) -> tuple[str, str]:
    stray = [text for text in netdev.addresses if text != str(here.address)]
    if not stray:
        other = netdev_of(view, twin(here))
        lame = isinstance(other, Known) and other.value.addresses
        more = f", its twin {twin(here).netdev} has one: only half of the port would carry traffic" if lame else ""
        return f"{here.netdev} has no address{more}", UP
    missing = str(here.address) not in netdev.addresses
    message = f"{here.netdev} has a foreign address" + (" in place of its own" if missing else "")
    away = _away((here.netdev, text) for text in stray)
    owner = "look for what put it there: another netplan file, or a NetworkManager profile (network-profile)"
    return message, f"on {here.node}: {away}{owner}" + (f"; {UP}" if missing else "")


def _away(addresses: Iterable[tuple[str, str]]) -> str:
    """Commands that take them off; only for what is an address, for people paste these."""
    pairs = ((netdev, parsed) for netdev, text in addresses if (parsed := _parsed(text)))
    return "".join(quote(("ip", "addr", "del", parsed, "dev", netdev)) + "; " for netdev, parsed in pairs)


def _parsed(text: str) -> str:
    try:
        return str(ip_interface(text))
    except ValueError:
        return ""


@check(SUBNET, "network")
def subnet(view: View) -> Iterator[Verdict]:
    """Only one netdev of a node is in a rail's subnet: of two, routing takes one for both (facts ff5)."""
    for here in view.fabric.attachments:
        fact = view.facts[here.node].netdevs
        if not isinstance(fact, Known):
            yield from unreadable(SUBNET, rail(here), fact, (end(here),))
            continue
        network = here.address.network
        others = _sharing(here, fact.value)
        touched = ends(a for a in view.fabric.of(here.node) if a.netdev in {here.netdev, *others})
        measured = "; ".join(f"{text} on {netdev}" for netdev, text in others.items()) or f"{here.netdev} alone"
        stays = (here.node, here.half.port, here.rail) in view.cluster.kept
        remedy = _parted(here, others, "`addresses`" if stays else "a fabric.subnet_pool") if others else ""
        yield Verdict(SUBNET, state(not others), rail(here), str(network), measured, "one netdev", remedy, touched)


def _parted(here: Attachment, others: Mapping[str, str], source: str) -> str:
    """A fabric netdev loses the address; any other keeps its own, and the fabric goes elsewhere."""
    kept = [netdev for netdev in others if netdev not in NETDEVS]
    if kept:
        return f"choose {source} that {', '.join(kept)} of {here.node} is not in, then `sparkctl cluster up`"
    return f"on {here.node}: {_away(others.items())}then `sparkctl cluster up` sets the planned addresses"


def _sharing(here: Attachment, netdevs: Mapping[str, Netdev]) -> dict[str, str]:
    """Other netdevs with an address in the rail's subnet, or whose subnet holds it."""
    others = ((name, text) for name, it in netdevs.items() if name != here.netdev for text in it.addresses)
    return {name: text for name, text in others if _within(text, here.address.network)}
