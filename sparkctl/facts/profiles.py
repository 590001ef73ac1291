"""NetworkManager's profiles that are bound to a netdev, or may bind themselves to any."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """`netdev`: empty for any Ethernet netdev; `active`: the netdev it holds now, or empty; `method`: of IPv4."""

    name: str
    netdev: str
    active: str
    method: str
