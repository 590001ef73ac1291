"""Netdevs of a node: `ip -j -d addr` to Netdev."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from sparkctl.facts.base import Probe, Rows, each, number, word
from sparkctl.inventory.words import visible

PROBE = Probe("links", ("ip", "-j", "-d", "addr"))


@dataclass(frozen=True)
class Netdev:
    """One netdev: MTU in bytes, admin state, carrier, and its global addresses as `address/prefix`.

    `link_local`: those of 169.254.0.0/16 that have scope link, as NetworkManager and systemd give them. No plan rests
    on them, so they are not in the representation, which fingerprints are made of.
    """

    name: str
    mtu: int
    up: bool
    carrier: bool
    addresses: tuple[str, ...]
    link_local: tuple[str, ...] = field(default=(), repr=False)

    @property
    def lit(self) -> bool:
        """Up, with a carrier."""
        return self.up and self.carrier


def parse(text: str) -> dict[str, Netdev] | Rows[dict[str, Netdev]]:
    """The netdevs by name; ValueError or KeyError where `text` is not the output of iproute2."""
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("netdevs are a list")
    return each(filter(None, listed), _netdev, lambda netdevs: {netdev.name: netdev for netdev in netdevs})


def _netdev(link: dict[str, object]) -> Netdev:
    flags = link["flags"]
    addresses = link.get("addr_info", [])
    if not isinstance(flags, list) or not isinstance(addresses, list):
        raise ValueError("flags and addr_info are lists")
    shown = tuple(_of_scope("global", addresses))
    linked = tuple(text for text in _of_scope("link", addresses) if text.startswith("169.254."))
    name, mtu = word(link["ifname"]), number(str(link["mtu"]))
    return Netdev(name, mtu, "UP" in flags, "LOWER_UP" in flags and "NO-CARRIER" not in flags, shown, linked)


def _of_scope(scope: str, addresses: list[dict[str, object]]) -> Iterator[str]:
    return (visible(f"{a['local']}/{a['prefixlen']}") for a in addresses if a.get("scope") == scope and "local" in a)
