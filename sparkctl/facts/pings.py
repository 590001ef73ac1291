"""Pings along every rail of a node, at full MTU and unfragmented."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from sparkctl.facts.base import Probe, Rows, each, number, word

HEADERS = 28
"""Bytes of IPv4 and ICMP header that the MTU holds beside the payload."""


def probe(mtu: int, rails: Sequence[tuple[str, str]]) -> Probe:
    """Asks whether each (netdev, address of a peer) answers a packet of `mtu` bytes."""
    ways = tuple(f"{netdev}={peer}" for netdev, peer in rails)
    return Probe("pings", ("ping_answers", *ways), begin=("ping_rails", str(mtu - HEADERS), *ways))


def parse(text: str) -> dict[tuple[str, str], bool] | Rows[dict[tuple[str, str], bool]]:
    """Whether (netdev, peer address) answered."""
    return each(filter(None, text.splitlines()), _answer, dict)


def _answer(line: str) -> tuple[tuple[str, str], bool]:
    where, status = line.split()
    netdev, peer = where.split("=")
    return (word(netdev), str(IPv4Address(peer))), number(status) == 0
