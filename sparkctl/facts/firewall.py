"""Whether a packet filter of the node may drop what comes in on the fabric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Firewall:
    """`ufw` is its state; `drops` are the rules and policies, as text, that may drop packets to this node."""

    ufw: str
    drops: tuple[str, ...]
