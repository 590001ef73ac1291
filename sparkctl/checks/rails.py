"""Checks of every rail: carrier, MTU on both ends, the one address, full-size pings both ways, the RDMA device."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, rail, state, unreadable
from sparkctl.fabric.model import Attachment
from sparkctl.facts.links import Netdev
from sparkctl.outcome import Absent, Known, Verdict

TCP_REASON = "transport is tcp: no RDMA anywhere"


def _rails(view: View, id: str) -> Iterator[tuple[Attachment, Netdev | None, Iterator[Verdict]]]:
    for attachment in view.fabric.attachments:
        fact = view.facts[attachment.node].netdev(attachment.netdev)
        known = fact.value if isinstance(fact, Known) else None
        yield attachment, known, unreadable(id, rail(attachment), fact)


@check("rail-carrier", "network")
def carrier(view: View) -> Iterator[Verdict]:
    """A cabled netdev is up and has a carrier."""
    for attachment, netdev, otherwise in _rails(view, "rail-carrier"):
        if netdev is None:
            yield from otherwise
            continue
        right = netdev.up and netdev.carrier
        measured = "carrier" if right else "no carrier" if netdev.up else "down"
        remedy = "" if right else f"reseat the cable in {attachment.half.port} of {attachment.node} and its other end"
        yield Verdict("rail-carrier", state(right), rail(attachment), attachment.netdev, measured, "carrier", remedy)


@check("rail-mtu", "network")
def mtu(view: View) -> Iterator[Verdict]:
    """The MTU is what the inventory says. Both ends are read: a ping can pass while one end is smaller (measured)."""
    for attachment, netdev, otherwise in _rails(view, "rail-mtu"):
        if netdev is None:
            yield from otherwise
            continue
        right = netdev.mtu == attachment.mtu
        remedy = "" if right else f"sparkctl cluster up sets it; who changed {attachment.netdev} on {attachment.node}?"
        measured, expected = str(netdev.mtu), str(attachment.mtu)
        yield Verdict("rail-mtu", state(right), rail(attachment), attachment.netdev, measured, expected, remedy)


@check("rail-address", "network")
def address(view: View) -> Iterator[Verdict]:
    """Exactly the planned address: a second one can become the GID that RoCE uses (facts B3)."""
    for attachment, netdev, otherwise in _rails(view, "rail-address"):
        if netdev is None:
            yield from otherwise
            continue
        expected = str(attachment.address)
        right = netdev.addresses == (expected,)
        remedy = "" if right else "sparkctl cluster plan shows the difference; sparkctl cluster up puts it right"
        measured = ", ".join(netdev.addresses) or "none"
        yield Verdict("rail-address", state(right), rail(attachment), attachment.netdev, measured, expected, remedy)


@check("rail-ping", "network")
def ping(view: View) -> Iterator[Verdict]:
    """Each end reaches each peer of its rail with one unfragmented packet of full size."""
    for attachment in view.fabric.attachments:
        answers = view.facts[attachment.node].pings
        if isinstance(answers, Absent):
            continue
        known = answers.value if isinstance(answers, Known) else {}
        for peer in view.fabric.peers(attachment):
            where = f"{rail(attachment)} -> {peer.node}"
            answered = known.get((attachment.netdev, str(peer.address.ip)))
            if answered is None:
                yield Verdict("rail-ping", "unknown", where, "the ping did not run", remedy="run it again")
                continue
            measured = f"{attachment.mtu} bytes " + ("answered" if answered else "not answered")
            remedy = "" if answered else "compare the MTU of both ends and the switch's l2mtu; is it the right port?"
            yield Verdict("rail-ping", state(answered), where, str(peer.address.ip), measured, "answered", remedy)


@check("roce-device", "network")
def roce_device(view: View) -> Iterator[Verdict]:
    """The RDMA device of each rail is active on Ethernet."""
    for attachment in view.fabric.attachments:
        where, name = rail(attachment), attachment.half.rdma
        if view.cluster.fabric.transport == "tcp":
            yield Verdict("roce-device", "skipped", where, TCP_REASON)
            continue
        devices = view.facts[attachment.node].rdma
        if not isinstance(devices, Known):
            yield from unreadable("roce-device", where, devices)
            continue
        device = devices.value.get(name)
        measured = f"{device.state}, {device.link_layer}" if device else "absent"
        right = device is not None and device.state.endswith("ACTIVE") and device.link_layer == "Ethernet"
        remedy = "" if right else "is the mlx5_ib module loaded, and the netdev up? `rdma link` on the node tells"
        yield Verdict("roce-device", state(right), where, name, measured, "4: ACTIVE, Ethernet", remedy)
