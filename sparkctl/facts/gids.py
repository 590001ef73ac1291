"""The GID tables of a node's RDMA devices, from sysfs."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True)
class Gid:
    """One valid entry: `address` is set for an IPv4-mapped GID (::ffff:a.b.c.d), `type` is sysfs' (`RoCE v2`)."""

    device: str
    index: int
    gid: str
    type: str
    netdev: str
    address: IPv4Address | None
