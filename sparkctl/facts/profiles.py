"""NetworkManager's profiles that are bound to a netdev, or may bind themselves to any."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparkctl.facts.base import Probe, Rows, each
from sparkctl.inventory.words import visible

PROBE = Probe("profiles", ("network_profiles",), ("facts/host.sh",))


@dataclass(frozen=True)
class Profile:
    """`netdev`: empty for any Ethernet netdev; `active`: the netdev it holds now, or empty.

    `method`: of IPv4; empty for a port of a bond or bridge, which has no addresses.
    """

    name: str
    netdev: str
    active: str
    method: str


def parse(text: str) -> tuple[Profile, ...] | Rows[tuple[Profile, ...]]:
    """Ethernet profiles as `key:value` lines with an empty line between; a profile that is not active has no device."""
    return each(filter(None, re.split(r"\n{2,}", text.strip("\n"))), _profile, tuple)


def _profile(block: str) -> Profile:
    keyed = dict(line.split(":", 1) for line in block.split("\n"))
    name, netdev = (keyed[k] for k in ("connection.id", "connection.interface-name"))
    active = keyed.get("GENERAL.DEVICES", "")
    method = keyed.get("ipv4.method", "") if keyed.get("connection.slave-type") else keyed["ipv4.method"]
    return Profile(*(visible(_unescaped(value)[:200]) for value in (name, netdev, active, method)))


def _unescaped(value: str) -> str:
    r"""Terse nmcli writes `\:` and `\\`."""
    return re.sub(r"\\(.)", r"\1", value)
