"""What sysfs and ethtool say of each Ethernet netdev: driver, speed, PCIe link, carrier losses, firmware, MAC."""

from __future__ import annotations

from dataclasses import dataclass


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
