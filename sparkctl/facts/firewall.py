"""What packet filters say that they drop: evidence beside the knocks, and all there is for what nobody can knock at."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network

from sparkctl.facts.base import Probe
from sparkctl.inventory.words import visible

PROBE = Probe("firewall", ("firewall_state",), ("facts/host.sh",))
LONGEST = 200
ROCE = (4791, 4791)
"""UDP, IANA; only Soft-RoCE's packets pass the kernel's filters."""
USED = ((18515, 19014), (32768, 60999))
"""TCP: perftest (loadtest/perftest.PORT), two ports for each trial; NCCL, Gloo and ZMQ (facts A4)."""
SECTION = re.compile(r"^== (.*)\n?", re.MULTILINE)
TOOLS = ("iptables-save", "iptables-legacy-save", "nft")
FAMILIES = ("ip", "inet", "netdev")
ELSEWHERE = re.compile(r"-[AP] (?:FORWARD|OUTPUT|POSTROUTING|DOCKER\S*) |\bhook (?:forward|output|postrouting|egress) ")
IDLE = re.compile(
    r"-m (?:tcp|udp|multiport|comment) |(?:--|\b)comment (?:\"[^\"]*\"|\S+) ?|\bcounter (?:packets \d+ bytes \d+ )?"
)
DROPS = re.compile(r"iptables .*(?:-j|-P \w+) (?:DROP|REJECT)\b|nft [^:]*: .*(?<![\w-])(?:drop|reject)(?![\w-])")
UDP = re.compile(r"\budp\b|(?:-p|l4proto|protocol) 17\b")
PORTS = re.compile(r"(?<!! --)\bdports? (\{[^}]*\}|\S+)")
RATED = re.compile(r"\b(?:limit|hashlimit|connlimit|recent|statistic|quota|numgen|ct count)\b")
SURE = re.compile(
    r"iptables -A (?:INPUT|PREROUTING) -i \S+ -p udp (?:--dports? \S+ )?-j "
    r"|nft [^:]*: iif\w* \S+ (?:meta l4proto udp|udp dport (?:\{[^}]*\}|\S+)) (?:drop|reject)"
)
"""What asks for nothing but netdev, protocol and port: no other rule is likely to accept the same before."""


@dataclass(frozen=True)
class Firewall:
    """`ufw` is its state; `drops` are the rules and policies, as text, that drop or reject something to this node."""

    ufw: str
    drops: tuple[str, ...] = ()


def parse(text: str) -> Firewall:
    """The rules that packets to this node may meet; ValueError where they cannot be read."""
    ufw = text.partition("\n")[0].partition(" ")[2]
    if ufw not in ("absent", "active", "inactive"):
        raise ValueError("no state of ufw")
    _, *parts = SECTION.split(text)
    names, bodies = parts[::2], parts[1::2]
    ended = zip(names, bodies, names[1:], strict=False)
    sections = [(tool, rules) for tool, rules, end in ended if tool in TOOLS and end == "end"]
    if "unread" in names:
        raise ValueError("the kernel has a packet filter, and neither nft nor iptables is installed")
    if len(sections) != len(names) - names.count("end"):
        raise ValueError("the rules are cut off")
    shown = {f"ip {table}" for tool, rules in sections if tool == "iptables-save" for table in _tables(rules)}
    lines = (line for tool, rules in sections for line in (_nft(rules, shown) if tool == "nft" else _iptables(rules)))
    return Firewall(ufw, tuple(visible(IDLE.sub("", line).strip())[:LONGEST] for line in lines if DROPS.match(line)))


def _tables(text: str) -> list[str]:
    return re.findall(r"^\*(\w+)$", text, re.MULTILINE)


def _iptables(text: str) -> Iterator[str]:
    if len(re.findall("^COMMIT$", text, re.MULTILINE)) != len(_tables(text)):
        raise ValueError("a table is cut off")
    for line in re.sub(r"^:(\w+) (\w+).*", r"-P \1 \2", text, flags=re.MULTILINE).splitlines():
        if line.startswith("-") and not ELSEWHERE.match(line):
            yield f"iptables {line}"


def _nft(text: str, others: Collection[str]) -> Iterator[str]:
    """Of all tables that see IPv4, but those of `others`: iptables shows them better."""
    if text.count("{") != text.count("}"):
        raise ValueError("the rules are cut off")
    table = chain = ""
    met = False
    for line in map(str.strip, text.splitlines()):
        kind, _, name = line.removesuffix(" {").partition(" ")
        if kind == "table":
            table = name
        elif kind == "chain":
            chain, met = name, table.partition(" ")[0] in FAMILIES and table not in others
        elif met := met and not ELSEWHERE.search(line):
            yield f"nft {table} {chain}: {line}"


def explains(rule: str, netdev: str, near: IPv4Network, ports: Iterable[tuple[int, int]]) -> bool:
    """Whether it may be why what comes from `near` on `netdev` does not reach these TCP ports, first to last each."""
    return _concerns(rule, netdev, near) and not UDP.search(rule) and any(_meets(rule, *each) for each in ports)


def unproven(rule: str, netdev: str, near: IPv4Network, tried: Iterable[int], roce: bool) -> bool:
    """Whether it may drop what the ranks need, and knocks at these TCP ports, which were answered, do not tell."""
    if not _concerns(rule, netdev, near):
        return False
    if UDP.search(rule):
        return roce and _meets(rule, *ROCE)
    told = not RATED.search(rule) and (not PORTS.search(rule) or any(_meets(rule, p, p, False) for p in tried))
    return not told and any(_meets(rule, *ports) for ports in USED)


def _concerns(rule: str, netdev: str, near: IPv4Network) -> bool:
    """Whether it may be asked about what comes in there: not where it names only others."""
    netdevs = re.findall(r"(?<!! )-i (\S+)|\biif(?:name)? (?!!)(\{[^}]*\}|\S+)", rule)
    networks = list(_networks(rule))
    there = not netdevs or any(netdev in said or re.search(r"[*+@]", said) for pair in netdevs for said in pair)
    return there and (not networks or any(network.overlaps(near) for network in networks))


def _networks(rule: str) -> Iterator[IPv4Network]:
    """Those that it names, but neither ranges nor what it excepts."""
    for word in re.findall(r"(?:(?<!! )-[sd]|[sd]addr) ([\d./]+)(?: |$)", rule):
        with suppress(ValueError):
            yield IPv4Network(word, strict=False)


def _meets(rule: str, low: int, high: int, unsaid: bool = True) -> bool:
    """Whether one of these ports is among its own; `unsaid` where it names none, or a set of them."""
    found = PORTS.search(rule)
    limits = re.findall(r"(\d+)(?:[:-](\d+))?", found[1]) if found and "@" not in found[1] else []
    return any(int(first) <= high and int(last or first) >= low for first, last in limits) if limits else unsaid
