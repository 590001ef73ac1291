"""The GID tables of a node's RDMA devices, from sysfs."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sparkctl.facts.base import Probe, Rows, each, number, word
from sparkctl.inventory.words import visible

V2 = "RoCE v2"
PROBE = Probe("gids", ("rdma_gids",), ("facts/survey.sh",))


@dataclass(frozen=True)
class Gid:
    """One valid entry: `address` is set for an IPv4-mapped GID (::ffff:a.b.c.d), `type` is sysfs' (`RoCE v2`)."""

    device: str
    index: int
    gid: str
    type: str
    netdev: str
    address: IPv4Address | None


def parse(text: str) -> tuple[Gid, ...] | Rows[tuple[Gid, ...]]:
    """By device and index; ValueError where a line is not the five columns of `rdma_gids`."""
    return each(text.splitlines(), _gid, lambda g: tuple(sorted(g, key=lambda gid: (gid.device, gid.index))))


def _gid(line: str) -> Gid:
    device, index, gid, kind, netdev = line.split("\t")
    address = IPv6Address(gid)
    if address.scope_id is not None:
        raise ValueError("a GID has no zone")
    return Gid(word(device), number(index), gid, visible(kind), visible(netdev), address.ipv4_mapped)


def of_address(table: tuple[Gid, ...], device: str, address: IPv4Address) -> Gid | None:
    """The RoCE v2 GID of `address` in the table of `device`, at whatever index; the first where there are two."""
    return next((g for g in table if (g.device, g.type, g.address) == (device, V2, address)), None)
