"""Check of the GIDs: RoCE finds the planned address in each device's table, and no other."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.addresses import LINK_LOCAL, interface
from sparkctl.checks.base import TCP_REASON, View, check, end, netdev_of, rail, see, unreadable
from sparkctl.checks.routes import ROUTE, strays_to_link_local
from sparkctl.fabric.model import Attachment
from sparkctl.facts.gids import V2, Gid
from sparkctl.outcome import Cause, Known, Unknown, Verdict

ID = "rail-gid"


@check(ID, "network", after=("roce-device",), survey=True)
def gid(view: View) -> Iterator[Verdict]:
    """One RoCE v2 GID of the planned address per device, on its netdev, at whatever index (facts ff3)."""
    for here in view.fabric.attachments:
        table = view.facts[here.node].survey.gids
        if view.cluster.fabric.transport == "tcp":
            yield Verdict(ID, "skipped", rail(here), TCP_REASON, ends=(end(here),))
        elif not isinstance(table, Known):
            yield from unreadable(ID, rail(here), table, (end(here),))
        else:
            yield _judged(view, here, tuple(g for g in table.value if g.device == here.half.rdma), table.unread)


def _judged(view: View, here: Attachment, table: tuple[Gid, ...], unread: tuple[str, ...]) -> Verdict:
    usable = [g for g in table if g.type == V2 and g.address is not None]
    planned = [g for g in usable if g.address == here.address.ip]
    right = [g for g in planned if g.netdev == here.netdev]
    stray = [g for g in usable if g.address != here.address.ip]
    expected = f"one {V2} GID of {here.address.ip} on {here.netdev}"
    measured = "; ".join(map(_words, usable)) or "no RoCE v2 GID of an IPv4 address"
    cause = _cause(view, here, bool(right), stray)
    if (not right or stray) and cause:
        return see(ID, rail(here), measured, cause, (end(here),))
    if len(right) == 1 and not stray:
        return Verdict(ID, "pass", rail(here), here.half.rdma, measured, expected, ends=(end(here),))
    if not right and unread:
        (said,) = unreadable(ID, rail(here), Unknown(unread[0]), (end(here),))
        return said
    if not right:
        remedy = _absent(here, table, planned)
        return Verdict(ID, "fail", rail(here), here.half.rdma, measured, expected, remedy, (end(here),))
    anew = f"on {here.node}: ip link set {here.netdev} down, then up, makes the table anew"
    remedy = f"NCCL may choose {_words(stray[0])}, which no netdev has; {anew}" if stray else f"one is enough; {anew}"
    return Verdict(ID, "warn", rail(here), here.half.rdma, measured, expected, remedy, (end(here),))


def _words(gid: Gid) -> str:
    return f"index {gid.index}: {gid.address} on {gid.netdev}"


def _cause(view: View, here: Attachment, right: bool, stray: list[Gid]) -> Cause | None:
    """The table follows the addresses of the netdev: what is wrong with those is theirs."""
    fact = netdev_of(view, here)
    if isinstance(fact, Unknown):
        return None
    if not isinstance(fact, Known) or not fact.value.lit:
        return Cause("rail-carrier")
    texts = (*fact.value.addresses, *fact.value.link_local)
    held = {it.ip for text in texts if (it := interface(text)) is not None}
    if not right:
        return None if here.address.ip in held else Cause("rail-address")
    linked = all(g.address is not None and g.address in LINK_LOCAL for g in stray)
    if stray and linked and strays_to_link_local(view, here):
        return Cause(ROUTE)
    return Cause("rail-address") if stray and all(g.address in held for g in stray) else None


def _absent(here: Attachment, table: tuple[Gid, ...], planned: list[Gid]) -> str:
    if planned:
        return f"the address is on {planned[0].netdev}: `sparkctl cluster up` puts each address on its netdev"
    if any(g.address == here.address.ip for g in table):
        return f"it has RoCE v1 only: update DGX OS and the firmware of {here.node} (fwupdmgr update), then reboot"
    return f"on {here.node}: ip link set {here.netdev} down, then up, makes the table anew; then `sparkctl cluster up`"
