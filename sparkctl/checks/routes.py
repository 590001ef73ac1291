"""Checks of routes: nothing but its own subnet leaves by a rail, and each peer is reached by its own rail."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.addresses import LINK_LOCAL, interface
from sparkctl.checks.base import View, check, end, netdev_of, rail, see, state, unreadable
from sparkctl.commands.shell import quote
from sparkctl.fabric.model import Attachment
from sparkctl.facts.base import entry
from sparkctl.facts.paths import Way
from sparkctl.facts.routes import ANYWHERE, Route
from sparkctl.outcome import Cause, Known, Named, Remedy, Unknown, Verdict

ROUTE, PATH = "fabric-route", "rail-path"


@check(ROUTE, "network", survey=True)
def route(view: View) -> Iterator[Verdict]:
    """No default route, no 169.254 and no foreign subnet on a fabric netdev (facts ff18 and ff30)."""
    for here in view.fabric.attachments:
        facts, owned = view.facts[here.node].routes, _owned(view, here)
        linked = [text for text in owned if (it := interface(text)) is not None and it.ip in LINK_LOCAL]
        if not isinstance(facts, Known) and not linked:
            yield from unreadable(ROUTE, rail(here), facts, (end(here),))
            continue
        stray = _stray(here, facts.value if isinstance(facts, Known) else (), owned)
        measured = "; ".join((*linked, *map(str, stray))) or f"only {here.address.network}"
        right = not linked and not stray
        remedy = "" if right else _remedy(here, linked, stray)
        expected = f"only {here.address.network}"
        yield Verdict(ROUTE, state(right), rail(here), here.netdev, measured, expected, remedy, (end(here),))


def _owned(view: View, here: Attachment) -> tuple[str, ...]:
    """All addresses of the netdev: 169.254 has scope link where NetworkManager or systemd gave it."""
    netdev = netdev_of(view, here)
    return (*netdev.value.addresses, *netdev.value.link_local) if isinstance(netdev, Known) else ()


def strays_to_link_local(view: View, here: Attachment) -> bool:
    """Whether fabric-route fails for an address or a route of 169.254 on this netdev."""
    routes = view.facts[here.node].routes
    known = routes.value if isinstance(routes, Known) else ()
    routed = any(route.destination.subnet_of(LINK_LOCAL) for route in _stray(here, known, ()))
    return routed or any((it := interface(text)) is not None and it.ip in LINK_LOCAL for text in _owned(view, here))


def _stray(here: Attachment, routes: tuple[Route, ...], owned: tuple[str, ...]) -> list[Route]:
    """Routes out of this netdev that are not its subnet's; a foreign address's own are that address's fault."""
    known = {it.network for text in owned if (it := interface(text)) is not None} - {LINK_LOCAL}
    mine = (route for route in routes if route.netdev == here.netdev and not route.destination.is_multicast)
    return [r for r in mine if not r.destination.subnet_of(here.address.network) and r.destination not in known]


def _remedy(here: Attachment, linked: list[str], stray: list[Route]) -> str:
    away = [quote(("ip", "addr", "del", text, "dev", here.netdev)) for text in linked]
    gone = (route for route in stray if not (linked and route.destination == LINK_LOCAL))
    away += [quote(("ip", "route", "del", *str(route).split())) for route in gone]
    if any(route.destination == ANYWHERE for route in stray):
        why = "look for DHCP on this netdev (network-profile), or for another netplan file that names it"
    elif linked or any(route.destination == LINK_LOCAL for route in stray):
        why = "a profile waits for DHCP there and gave up: see network-profile"
    else:
        why = "look for another netplan file with this netdev"
    return Remedy(f"on {here.node}: {'; '.join(away)}; {why}", *(Named("command", each, here.node) for each in away))


@check(PATH, "network", survey=True)
def path(view: View) -> Iterator[Verdict]:
    """Packets to each peer leave by the rail that both are on, and through no gateway."""
    for here in view.fabric.attachments:
        ways = view.facts[here.node].survey.ways
        for peer in view.fabric.peers(here):
            way = entry(ways, str(peer.address.ip), "no route")
            if isinstance(way, Unknown) or not isinstance(ways, Known):
                yield from unreadable(PATH, f"{rail(here)} -> {peer.node}", way, (end(here),))
            else:
                yield _way(view, here, peer, way.value if isinstance(way, Known) else None)


def _way(view: View, here: Attachment, peer: Attachment, way: Way | None) -> Verdict:
    where, ip = f"{rail(here)} -> {peer.node}", peer.address.ip
    measured = "no route" if way is None else way.netdev + (f" via {way.gateway}" if way.gateway else "")
    if way is not None and way.netdev == here.netdev and way.gateway is None:
        return Verdict(PATH, "pass", where, str(ip), measured, here.netdev, ends=(end(here),))
    cause = _cause(view, here)
    if cause:
        return see(PATH, where, measured, cause, (end(here),))
    if way is None:
        remedy = f"on {here.node}: ip route get {ip}; `sparkctl cluster up` puts the address back that makes the route"
    else:
        remedy = f"on {here.node}: ip route get {ip} and ip rule show who sends it there; remove that route"
    return Verdict(PATH, "fail", where, f"packets to {ip}", measured, here.netdev, remedy, (end(here),))


def _cause(view: View, here: Attachment) -> Cause | None:
    """Without a carrier, or without the planned address, there is no route."""
    fact = netdev_of(view, here)
    if isinstance(fact, Unknown):
        return None
    if not isinstance(fact, Known) or not fact.value.lit:
        return Cause("rail-carrier")
    return None if str(here.address) in fact.value.addresses else Cause("rail-address")
