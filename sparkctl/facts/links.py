"""Netdevs of a node: `ip -j -d addr` to Netdev."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sparkctl.facts.base import Probe

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
    return {link["ifname"]: _netdev(link) for link in json.loads(text) if link}


def _netdev(link: dict[str, object]) -> Netdev:
    flags = link["flags"]
    addresses = link.get("addr_info", [])
    if not isinstance(flags, list) or not isinstance(addresses, list):
        raise ValueError("flags and addr_info are lists")
    shown = tuple(f"{a['local']}/{a['prefixlen']}" for a in addresses if a.get("scope") == "global" and "local" in a)
    name, mtu = str(link["ifname"]), int(str(link["mtu"]))
    return Netdev(name, mtu, "UP" in flags, "LOWER_UP" in flags and "NO-CARRIER" not in flags, shown)
