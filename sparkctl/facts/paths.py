"""Which way packets to each peer go: `ip route get PEER from OWN` per rail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """The kernel's choice for packets to `peer`: out of `netdev`, through `gateway`, with `source` as the sender."""

    peer: str
    netdev: str
    gateway: str | None
    source: str
