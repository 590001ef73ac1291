"""Whether a packet filter of the node may drop what comes in on the fabric."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from sparkctl.facts import iptables, nft
from sparkctl.facts.base import Probe
from sparkctl.facts.packets import Packet, Table
from sparkctl.facts.perftest_tool import PORT
from sparkctl.inventory.words import visible

USED: tuple[tuple[Literal["tcp", "udp"], int, int, bool], ...] = (
    ("udp", 4791, 4791, True),  # RoCE v2 (IANA); only Soft-RoCE's packets pass the kernel's filters
    ("tcp", PORT, PORT, True),  # the first perftest
    ("tcp", PORT + 1, PORT + 499, True),  # each later one has its own: two ports for each trial
    ("tcp", 29501, 29501, False),  # where the ranks of vLLM meet, on one rail of the head (engine-nccl-netplan A4)
    ("tcp", 32768, 60999, True),  # ports of any number (A4): /proc/sys/net/ipv4/ip_local_port_range of every kernel
)
"""What listens to peers: first and last port, and whether every rail needs it."""
MOST, LONGEST = 20, 200
SECTION = re.compile(r"^== (iptables-save|iptables-legacy-save|nft)\n(.*?)^== end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Firewall:
    """`ufw` is its state; `drops` are the rules and policies, as text, that certainly drop packets to this node.

    `maybe` are those that drop some: which ones depends on a set, a rate or whatever else we cannot read.
    """

    ufw: str
    drops: tuple[str, ...]
    maybe: tuple[str, ...] = ()


def probe(rails: Iterable[tuple[str, str]]) -> Probe:
    """Asks for all rules; `rails` are the (netdev, address of a peer) whose packets must come in."""
    return Probe("firewall", ("firewall_state", *(f"{netdev}={peer}" for netdev, peer in rails)), ("facts/host.sh",))


def parse(text: str) -> Firewall:
    """What happens to the first packet of each peer to each port that is used."""
    head, *_ = re.split(r"^== ", text, maxsplit=1, flags=re.MULTILINE)
    ufw, *rails = (line.split(" ", 1)[1] for line in head.splitlines() if line)
    if ufw not in ("absent", "active", "inactive"):
        raise ValueError("no state of ufw")
    tables = tuple(_tables(text))
    found: dict[str, bool] = {}
    for dropped in (table.drops(packet) for packet in _packets(rails) for table in tables):
        found |= {rule: sure or found.get(rule, False) for rule, sure in dropped.items()}
    drops, maybe = (tuple(rule for rule, sure in found.items() if sure is wanted) for wanted in (True, False))
    return Firewall(ufw, _shown(drops), _shown(maybe))


def _shown(rules: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(visible(rule[:LONGEST]) for rule in rules[:MOST])


def _packets(rails: Iterable[str]) -> Iterator[Packet]:
    for rail in rails:
        netdev, peer = rail.split()
        for protocol, first, last, needed in USED:
            yield Packet(netdev, IPv4Address(peer), protocol, (first, last), needed)


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
