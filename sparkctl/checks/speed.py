"""Checks of each half's rate: 200 Gb/s on the cable, PCIe Gen5 x4 behind it."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check, end, netdev_of, rail, see, state, unreadable
from sparkctl.checks.ports import ethernet_of
from sparkctl.fabric.model import Attachment
from sparkctl.facts.netdevs import Ethernet
from sparkctl.outcome import Absent, Cause, Known, Verdict

SPEED, PCIE = "rail-speed", "pcie-link"


def _present(view: View, id: str) -> Iterator[tuple[Attachment, Ethernet | Verdict]]:
    """Each end with its netdev, or with the verdict on one that was not read."""
    for here in view.fabric.attachments:
        fact = ethernet_of(view, here)
        if isinstance(fact, Known):
            yield here, fact.value
        elif isinstance(fact, Absent) and fact != NOT_ASKED:
            yield here, see(id, rail(here), fact.reason, Cause("rail-carrier"), (end(here),))
        else:
            yield from ((here, verdict) for verdict in unreadable(id, rail(here), fact, (end(here),)))


@check(SPEED, "network", after=("cabling", "rail-carrier"), survey=True)
def speed(view: View) -> Iterator[Verdict]:
    """Both halves of a port run at 200 Gb/s."""
    limit = view.thresholds.speed
    for here, found in _present(view, SPEED):
        if isinstance(found, Verdict):
            yield found
        elif view.expect == "lab":
            yield Verdict(SPEED, "skipped", rail(here), "the speed of a virtual netdev says nothing", ends=(end(here),))
        elif found.speed is None and _dark(view, here):
            yield see(SPEED, rail(here), "no carrier", Cause("rail-carrier"), (end(here),))
        elif found.speed is None:
            remedy = f"ethtool {here.netdev} on {here.node} tells; is the cable in, and the netdev up?"
            message = f"{here.netdev}: the driver names no speed"
            yield Verdict(SPEED, "unknown", rail(here), message, remedy=remedy, ends=(end(here),))
        else:
            right = found.speed >= limit
            remedy = "" if right else _slow(view, here)
            measured, expected = f"{found.speed} Mb/s", f"{limit:.0f} Mb/s"
            yield Verdict(SPEED, state(right), rail(here), here.netdev, measured, expected, remedy, (end(here),))


def _dark(view: View, here: Attachment) -> bool:
    """No carrier: where it is the other end that is down, rail-carrier itself points there."""
    netdev = netdev_of(view, here)
    return isinstance(netdev, Known) and not netdev.value.lit


def _slow(view: View, here: Attachment) -> str:
    if view.fabric.topology == "switch":
        return (
            "set the switch's port to 200G-baseCR4 without auto-negotiation (a breakout does not negotiate), then try "
            f"another cable in {here.half.port} of {here.node}"
        )
    return (
        f"is the cable in {here.half.port} of {here.node} one for 200G (QSFP56)? reseat both ends, then try another one"
    )


@check(PCIE, "network", survey=True)
def pcie(view: View) -> Iterator[Verdict]:
    """Each half of the ConnectX-7 has its four lanes of PCIe Gen5."""
    limits = view.thresholds
    for here, found in _present(view, PCIE):
        if isinstance(found, Verdict):
            yield found
        elif view.expect == "lab":
            yield Verdict(PCIE, "skipped", rail(here), "an emulated netdev has no PCIe link", ends=(end(here),))
        elif found.pcie_speed is None or found.pcie_width is None:
            remedy = f"sudo lspci -vv -s {found.pcie_address or 'ADDRESS'} on {here.node}: LnkSta"
            message = f"{here.netdev}: the kernel does not tell its PCIe link"
            yield Verdict(PCIE, "unknown", rail(here), message, remedy=remedy, ends=(end(here),))
        else:
            right = found.pcie_speed >= limits.pcie_speed and found.pcie_width >= limits.pcie_width
            measured = f"{found.pcie_speed:g} GT/s x{found.pcie_width}"
            expected = f"{limits.pcie_speed:g} GT/s x{limits.pcie_width:.0f}"
            remedy = "" if right else _narrow(here, found)
            yield Verdict(PCIE, state(right), rail(here), here.netdev, measured, expected, remedy, (end(here),))


def _narrow(here: Attachment, found: Ethernet) -> str:
    cold = f"shut {here.node} down, unplug its power for 60 s and start it again"
    if found.pcie_width == 2:
        return f"update the BIOS of {here.node} (ASUS GX10 before April 2026: two lanes); else {cold}"
    return f"{cold}; if it comes back so, update its firmware (fwupdmgr update)"
