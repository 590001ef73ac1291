"""Netdevs of a node: `ip -j -d addr` to Netdev."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sparkctl.facts.base import Probe, number, word
from sparkctl.inventory.words import visible

PROBE = Probe("links", ("ip", "-j", "-d", "addr"))


@dataclass(frozen=True)
class Netdev:
    """One netdev: MTU in bytes, admin state, carrier, and its global addresses as `address/prefix`."""

    name: str
    mtu: int
    up: bool
    carrier: bool
    addresses: tuple[str, ...]


def parse(text: str) -> dict[str, Netdev]:
    """The netdevs by name; ValueError or KeyError where `text` is not the output of iproute2."""
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("netdevs are a list")
    return {netdev.name: netdev for netdev in map(_netdev, filter(None, listed))}


def _netdev(link: dict[str, object]) -> Netdev:
    flags = link["flags"]
    addresses = link.get("addr_info", [])
    if not isinstance(flags, list) or not isinstance(addresses, list):
        raise ValueError("flags and addr_info are lists")
    shown = tuple(
        visible(f"{a['local']}/{a['prefixlen']}") for a in addresses if a.get("scope") == "global" and "local" in a
    )
    name, mtu = word(link["ifname"]), number(str(link["mtu"]))
    return Netdev(name, mtu, "UP" in flags, "LOWER_UP" in flags and "NO-CARRIER" not in flags, shown)
