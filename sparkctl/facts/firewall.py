"""Whether a packet filter of the node may drop what comes in on the fabric."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice

from sparkctl.facts import iptables, nft
from sparkctl.facts.base import Probe
from sparkctl.facts.packets import Packet, Table
from sparkctl.inventory.words import visible

ROCE_PORT = 4791
"""UDP port of RoCE v2 (IANA); only Soft-RoCE's packets pass the kernel's filters."""
MOST, LONGEST = 20, 200
SECTION = re.compile(r"^== (iptables-save|iptables-legacy-save|nft)\n(.*?)^== end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Firewall:
    """`ufw` is its state; `drops` are the rules and policies, as text, that may drop packets to this node."""

    ufw: str
    drops: tuple[str, ...]


def probe(rails: Iterable[tuple[str, str]]) -> Probe:
    """Asks for all rules; `rails` are the (netdev, address of a peer) whose packets must come in."""
    return Probe("firewall", ("firewall_state", *(f"{netdev}={peer}" for netdev, peer in rails)), ("facts/host.sh",))


def parse(text: str) -> Firewall:
    """What may happen to the first TCP packet of each peer to any high port, and to its RoCE packets."""
    head, *_ = re.split(r"^== ", text, maxsplit=1, flags=re.MULTILINE)
    ufw, *rails = (line.split(" ", 1)[1] for line in head.splitlines() if line)
    if ufw not in ("absent", "active", "inactive"):
        raise ValueError("no state of ufw")
    tables = tuple(_tables(text))
    found = dict.fromkeys(rule for packet in _packets(rails) for table in tables for rule in table.drops(packet))
    return Firewall(ufw, tuple(visible(rule[:LONGEST]) for rule in islice(found, MOST)))


def _packets(rails: Iterable[str]) -> Iterator[Packet]:
    for rail in rails:
        netdev, peer = rail.split()
        yield Packet(netdev, IPv4Address(peer), "tcp")
        yield Packet(netdev, IPv4Address(peer), "udp", ROCE_PORT)


def _tables(text: str) -> Iterator[Table]:
    """Those of iptables, and those of nft that iptables did not show; ValueError where rules cannot be read."""
    if re.search(r"^== unread$", text, re.MULTILINE):
        raise ValueError("the kernel has a packet filter, and neither nft nor iptables is installed")
    sections = SECTION.findall(text)
    if len(sections) != len(re.findall(r"^== (?!end$)", text, re.MULTILINE)):
        raise ValueError("the rules are cut off")
    shown: set[str] = set()
    for tool, rules in sections:
        if tool == "nft":
            yield nft.parse(rules, shown)
        else:
            tables = iptables.parse(rules)
            shown |= tables.keys() if tool == "iptables-save" else set()
            yield from tables.values()
