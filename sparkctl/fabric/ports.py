"""The port map of a DGX Spark: which netdev and RDMA device is which rail of which QSFP cage.

Source: NVIDIA user guide and playbooks, the same on every Spark (facts ff3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rail = Literal["A", "B"]
PORTS = ("p0", "p1")
MANAGEMENT = "enP7s7"
WIFI = "wlP9s9"


@dataclass(frozen=True)
class Half:
    """One rail of one port: a netdev and its RDMA device."""

    port: str
    rail: Rail
    netdev: str
    rdma: str


HALVES = (
    Half("p0", "A", "enp1s0f0np0", "rocep1s0f0"),
    Half("p0", "B", "enP2p1s0f0np0", "roceP2p1s0f0"),
    Half("p1", "A", "enp1s0f1np1", "rocep1s0f1"),
    Half("p1", "B", "enP2p1s0f1np1", "roceP2p1s0f1"),
)
NETDEVS = tuple(half.netdev for half in HALVES)


def half(port: str, rail: Rail) -> Half:
    """The half of `port` on `rail`; KeyError for a port that a Spark does not have."""
    return {(h.port, h.rail): h for h in HALVES}[port, rail]
