"""What a packet filter may do to a packet: rules as conditions of three values, walked as the kernel does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeAlias

STEPS, DEPTH = 50_000, 64
"""Rules looked at for one packet, and chains inside one another: real rulesets stay far below."""
PORTS = 1024, 65535
"""Where engines listen: NCCL, Gloo and vLLM take any port above the privileged ones (field-faults 31)."""

Truth: TypeAlias = bool | None
"""None: it depends on what is not known of the packet, or the condition is one that we cannot read."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a peer to a port of this node; `port` None: any that an engine may listen on."""

    netdev: str
    source: IPv4Address
    protocol: Literal["tcp", "udp"]
    port: int | None = None

    def to(self, network: IPv4Network) -> Truth:
        """Whether it goes to `network`: our own address is in the /24 of the peer's, the smallest that a rail has."""
        near = IPv4Network((int(self.source) & ~0xFF, 24))
        if network == IPv4Network((int(self.source), 32)) or not network.overlaps(near):
            return False
        return True if near.subnet_of(network) else None

    def at(self, low: int, high: int) -> Truth:
        """Whether its port is one of `low` to `high`."""
        if self.port is not None:
            return low <= self.port <= high
        if low <= PORTS[0] and high >= PORTS[1]:
            return True
        return None if low <= PORTS[1] and high >= PORTS[0] else False


Condition: TypeAlias = Callable[[Packet], Truth]


def depends(packet: Packet) -> Truth:
    """The condition that we cannot read."""
    return None


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
    """False if one is, True if all are."""
    found = set(truths)
    return False if False in found else None if None in found else True


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

    def drops(self, packet: Packet) -> tuple[str, ...]:
        """Rules and policies that may drop `packet`; ValueError for a table too large or a jump into nowhere."""
        walk = _Walk(self.chains, packet)
        for entry in self.entries:
            if entry.netdevs and packet.netdev not in entry.netdevs:
                continue
            if not walk.ends_in(entry.chain) and entry.policy:
                walk.drops[entry.policy] = None
        return tuple(walk.drops)


@dataclass
class _Walk:
    chains: Mapping[str, tuple[Rule, ...]]
    packet: Packet
    drops: dict[str, None] = field(default_factory=dict)
    steps: int = 0

    def ends_in(self, chain: str, depth: int = 0) -> bool:
        """Whether the packet certainly goes no further than this chain: accepted or dropped in it."""
        if depth > DEPTH:
            raise ValueError("chains that lead into one another")
        for rule in self.chains[chain]:
            certain = self._holds(rule)
            if certain is False or rule.fate == "continue":
                continue
            if rule.fate == "drop":
                self.drops[rule.text] = None
            ended = rule.fate in ("accept", "drop")
            if rule.fate in ("jump", "goto"):
                ended = self.ends_in(rule.chain, depth + 1)
            if certain and (ended or rule.fate in ("return", "goto")):
                return ended
        return False

    def _holds(self, rule: Rule) -> Truth:
        self.steps += 1
        if self.steps > STEPS:
            raise ValueError("too many rules")
        return every(condition(self.packet) for condition in rule.conditions)
