"""What sysfs and ethtool say of each Ethernet netdev: driver, speed, PCIe link, carrier losses, firmware, MAC."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparkctl.facts.base import Probe, Rows, each, number, word
from sparkctl.inventory.words import quoted, visible

SOURCE = "facts/survey.sh"
PROBE = Probe("ethernet", ("ethernet_netdevs",), (SOURCE,))
_UP = 0x1  # IFF_UP, linux/if.h


@dataclass(frozen=True)
class Ethernet:
    """One half of a port. None: the kernel or the driver does not say (a virtual netdev has no speed and no PCIe link).

    `speed` in Mb/s (200000 on a healthy Spark), `pcie_speed` in GT/s (32.0), `pcie_width` in lanes (4), `losses` how
    often the carrier went since boot (carrier_down_count), `up` the admin state, `carrier` None while it is down.
    """

    netdev: str
    mac: str
    up: bool
    carrier: bool | None
    mtu: int
    losses: int
    speed: int | None
    duplex: str
    driver: str
    firmware: str
    pcie_address: str
    pcie_speed: float | None
    pcie_width: int | None
    rdma: str | None


def parse(text: str) -> dict[str, Ethernet] | Rows[dict[str, Ethernet]]:
    """By name; ValueError where a line is not the fourteen columns of `ethernet_netdevs`."""
    return each(text.splitlines(), _ethernet, lambda netdevs: {netdev.netdev: netdev for netdev in netdevs})


def _ethernet(line: str) -> Ethernet:
    name, mac, flags, carrier, mtu, losses, speed, duplex, driver, firmware, pci, gts, lanes, rdma = line.split("\t")
    return Ethernet(
        netdev=word(name),
        mac=visible(mac),
        up=bool(int(flags, 16) & _UP),
        carrier={"": None, "0": False, "1": True}[carrier],
        mtu=number(mtu),
        losses=number(losses),
        speed=_positive(speed),
        duplex=visible(duplex),
        driver=visible(driver),
        firmware=visible(firmware),
        pcie_address=visible(pci),
        pcie_speed=_gigatransfers(gts),
        pcie_width=_positive(lanes),
        rdma=word(rdma) if rdma else None,
    )


def _positive(text: str) -> int | None:
    """sysfs has nothing, -1 or 0 for what it does not know."""
    return None if text in ("", "-1", "0") else number(text)


def _gigatransfers(text: str) -> float | None:
    """`32.0 GT/s PCIe` on new kernels, `32 GT/s` on old ones, `Unknown` where there is no link."""
    if text in ("", "Unknown", "Unknown speed"):
        return None
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?) GT/s(?: PCIe)?", text, re.ASCII)
    if not found:
        raise ValueError(f"not a PCIe speed: {quoted(text)}")
    return float(found[1])
