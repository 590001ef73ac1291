"""The output of iptables-save to tables of rules."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

from sparkctl.facts.packets import SYN, Condition, Entry, Fate, Rule, Table, depends, either, inverted, named, never

ENTERED = {"raw": ("PREROUTING",), "mangle": ("PREROUTING", "INPUT"), "filter": ("INPUT",), "security": ("INPUT",)}
"""Built-in chains that packets to this node pass, by table; nothing is dropped in nat."""
SAYS_NOTHING = {"tcp", "udp", "comment", "conntrack", "state", "multiport", "addrtype"}
"""Modules of which each option is a condition of its own."""
WORDS = {"-f": 0, "--syn": 0, "--tcp-flags": 2}
"""How many words follow an option, where it is not one."""
FLAGS = frozenset({"fin", "syn", "rst", "psh", "ack", "urg"})
TARGETS: dict[str, Fate] = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}


def parse(text: str) -> dict[str, Table]:
    """The tables by name; ValueError where one does not end with COMMIT."""
    tables = re.split(r"^\*", text, flags=re.MULTILINE)[1:]
    return dict(_table(lines) for lines in (table.splitlines() for table in tables))


def _table(lines: list[str]) -> tuple[str, Table]:
    name = lines[0].strip()
    if "COMMIT" not in lines:
        raise ValueError(f"table {name[:30]} is cut off")
    policies = dict(line[1:].split()[:2] for line in lines if line.startswith(":"))
    chains: dict[str, list[Rule]] = {chain: [] for chain in policies}
    for line in lines:
        if line.startswith("-A "):
            chains[line.split()[1]].append(_rule(line, policies))
    entered = [chain for chain in ENTERED.get(name, ()) if chain in chains]
    entries = tuple(Entry(chain, _policy(name, chain, policies[chain])) for chain in entered)
    return name, Table({chain: tuple(rules) for chain, rules in chains.items()}, entries)


def _policy(table: str, chain: str, policy: str) -> str | None:
    return f"iptables -t {table} -P {chain} {policy}" if policy == "DROP" else None


def _rule(line: str, chains: dict[str, str]) -> Rule:
    words = shlex.split(line)
    at = next((n for n, word in enumerate(words) if word in ("-j", "-g")), len(words))
    target = words[at + 1] if at < len(words) else ""
    fate = TARGETS.get(target, "continue")
    if target in chains:
        fate = "goto" if words[at] == "-g" else "jump"
    return Rule(tuple(_conditions(words[2:at])), fate, f"iptables {line}", target)


def _conditions(words: list[str]) -> Iterator[Condition]:
    opposite = False
    values = iter(words)
    for word in values:
        if word == "!":
            opposite = True
            continue
        if word in _READ:
            condition = _READ[word](*(next(values, "") for _ in range(WORDS.get(word, 1))))
            yield inverted(condition) if opposite else condition
        elif word.startswith("-"):
            yield depends
        opposite = False


def _always(value: str) -> Condition:
    return lambda packet: True


def _module(value: str) -> Condition:
    return _always(value) if value in SAYS_NOTHING else depends


def _netdev(value: str) -> Condition:
    return lambda packet: named(packet.netdev, value, "+")


def _source(value: str) -> Condition:
    network = IPv4Network(value, strict=False)
    return lambda packet: packet.source in network


def _destination(value: str) -> Condition:
    network = IPv4Network(value, strict=False)
    return lambda packet: packet.to(network)


def _protocol(value: str) -> Condition:
    return lambda packet: value in (packet.protocol, "all")


def _state(value: str) -> Condition:
    return lambda packet: "NEW" in value.split(",")


def _ports(value: str) -> Condition:
    ranges = [part.partition(":") for part in value.split(",")]
    limits = [(int(low or 0), int(high or 65535) if colon else int(low)) for low, colon, high in ranges]
    return lambda packet: either(packet.at(low, high) for low, high in limits)


def _fragment() -> Condition:
    return never


def _syn() -> Condition:
    return lambda packet: packet.protocol == "tcp"


def _flags(mask: str, wanted: str) -> Condition:
    """Of the flags in `mask` those in `wanted` are set, and no other."""
    looked_at, there = _flag_set(mask), _flag_set(wanted)
    if not looked_at | there <= FLAGS:
        return depends
    return lambda packet: packet.protocol == "tcp" and there == SYN & looked_at


def _flag_set(value: str) -> frozenset[str]:
    words = set(value.lower().split(",")) - {"none"}
    return FLAGS if words == {"all"} else frozenset(words)


def _kind(value: str) -> Condition:
    return lambda packet: bool({"LOCAL", "UNICAST"} & set(value.split(",")))


def _kind_of_source(value: str) -> Condition:
    return lambda packet: "UNICAST" in value.split(",")


_READ: dict[str, Callable[..., Condition]] = {
    "-i": _netdev,
    "-s": _source,
    "-d": _destination,
    "-p": _protocol,
    "-m": _module,
    "--comment": _always,
    "--ctstate": _state,
    "--state": _state,
    "--dport": _ports,
    "--dports": _ports,
    "-f": _fragment,
    "--syn": _syn,
    "--tcp-flags": _flags,
    "--dst-type": _kind,
    "--src-type": _kind_of_source,
}
