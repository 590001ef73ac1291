"""What a packet filter may do to a packet: rules as conditions of three values, walked as the kernel does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeAlias

STEPS, DEPTH = 50_000, 64
"""Rules looked at for one packet, and chains inside one another: real rulesets stay far below."""
SYN = frozenset({"syn"})
"""The flags of the first packet of a TCP connection (RFC 9293, 3.5)."""

Truth: TypeAlias = bool | None
"""None: it depends on what is not known of the packet, or the condition is one that we cannot read."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a peer to one of some ports of this node, first and last of them.

    `needed` False: not every rail needs these ports, so that nothing is certain of what drops it.
    """

    netdev: str
    source: IPv4Address
    protocol: Literal["tcp", "udp"]
    ports: tuple[int, int]
    needed: bool = True

    def to(self, network: IPv4Network) -> Truth:
        """Whether it goes to `network`: our own address is in the /24 of the peer's, the smallest that a rail has."""
        near = IPv4Network((int(self.source) & ~0xFF, 24))
        if network == IPv4Network((int(self.source), 32)) or not network.overlaps(near):
            return False
        return True if near.subnet_of(network) else None

    def at(self, low: int, high: int) -> Truth:
        """Whether its port is one of `low` to `high`, whichever of its ports it is."""
        first, last = self.ports
        if low <= first and high >= last:
            return True
        return None if low <= last and high >= first else False


Condition: TypeAlias = Callable[[Packet], Truth]


def depends(packet: Packet) -> Truth:
    """The condition that we cannot read."""
    return None


def never(packet: Packet) -> Truth:
    """The condition that none of these packets meets."""
    return False


def inverted(condition: Condition) -> Condition:
    """`! condition`."""

    def opposite(packet: Packet) -> Truth:
        found = condition(packet)
        return None if found is None else not found

    return opposite


def either(truths: Iterable[Truth]) -> Truth:
    """True if one is, False if all are."""
    found = set(truths)
    return True if True in found else None if None in found else False


def every(truths: Iterable[Truth]) -> Truth:
    """False if one is (and the rest is not looked at), True if all are."""
    sure: Truth = True
    for truth in truths:
        if truth is False:
            return False
        sure = sure and truth
    return sure


def named(netdev: str, pattern: str, wildcard: str) -> bool:
    """Whether `pattern` is the netdev, or its beginning before a `wildcard`."""
    return netdev.startswith(pattern[:-1]) if pattern.endswith(wildcard) else netdev == pattern


Fate: TypeAlias = Literal["accept", "drop", "return", "continue", "jump", "goto"]


@dataclass(frozen=True)
class Rule:
    """Conditions that must all hold, what happens then, and the rule as its tool writes it."""

    conditions: tuple[Condition, ...]
    fate: Fate
    text: str
    chain: str = ""


@dataclass(frozen=True)
class Entry:
    """A chain that packets enter; `policy`: the words for what drops whatever falls through, None: it passes."""

    chain: str
    policy: str | None
    netdevs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Chains by name, and those that packets to this node enter."""

    chains: Mapping[str, tuple[Rule, ...]]
    entries: tuple[Entry, ...]

    def drops(self, packet: Packet) -> dict[str, bool]:
        """What may drop `packet`, and whether that is certain; ValueError for a table too large or an endless one."""
        walk = _Walk(self.chains, packet)
        for entry in self.entries:
            if entry.netdevs and packet.netdev not in entry.netdevs:
                continue
            ended = walk.ends_in(entry.chain, packet.needed)
            if ended is not True and entry.policy:
                walk.dropped(entry.policy, packet.needed and ended is False)
        return walk.drops


@dataclass
class _Walk:
    chains: Mapping[str, tuple[Rule, ...]]
    packet: Packet
    drops: dict[str, bool] = field(default_factory=dict)
    steps: int = 0

    def ends_in(self, chain: str, sure: bool, depth: int = 0) -> Truth:
        """Whether the packet goes no further than this chain (accepted or dropped); `sure`: it does come here."""
        if depth > DEPTH:
            raise ValueError("chains that lead into one another")
        ends: set[Truth] = set()
        for rule in self.chains[chain]:
            certain = self._holds(rule)
            if certain is False or rule.fate == "continue":
                continue
            ended = self._ended(rule, sure and certain is True, depth)
            if rule.fate == "jump":
                if ended is False:
                    continue
                certain, ended = certain and ended, True  # where it came back, the next rule sees it
            ends.add(ended)
            if certain:
                break
            sure = False
        else:
            ends.add(False)
        return ends.pop() if len(ends) == 1 else None

    def _ended(self, rule: Rule, sure: bool, depth: int) -> Truth:
        """Whether a packet that meets the conditions of `rule` goes no further."""
        if rule.fate in ("jump", "goto"):
            return self.ends_in(rule.chain, sure, depth + 1)
        if rule.fate == "drop":
            self.dropped(rule.text, sure)
        return rule.fate in ("accept", "drop")

    def dropped(self, text: str, sure: bool) -> None:
        """Note what may drop it; certain once is certain."""
        self.drops[text] = sure or self.drops.get(text, False)

    def _holds(self, rule: Rule) -> Truth:
        self.steps += 1
        if self.steps > STEPS:
            raise ValueError("too many rules")
        return every(condition(self.packet) for condition in rule.conditions)
