"""Who is at the other end of each netdev: by raw Ethernet hellos between the nodes of a cluster, and by LLDP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hello:
    """`netdev` of this node heard `node`'s `sender` (a netdev's name) call. One cable may carry both halves' calls."""

    netdev: str
    node: str
    sender: str


@dataclass(frozen=True)
class Lldp:
    """`netdev` of this node has an LLDP neighbour: the system's name and its port (a netdev, a switch port)."""

    netdev: str
    system: str
    port: str
