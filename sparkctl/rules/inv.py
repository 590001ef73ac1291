"""INV: the file itself, the names in it, and values that would become something else on a node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from sparkctl.fabric import addressing
from sparkctl.fabric.topologies import subnets_needed, topology_of
from sparkctl.inventory.model import Cluster, where
from sparkctl.inventory.words import quoted
from sparkctl.rule import Hit, declare, rule
from sparkctl.rules.adr import addresses, parse_address, pool_of
from sparkctl.rules.nccl import BARE
from sparkctl.rules.values import Kind, Value, values

declare("INV001", "error", "the file is not a readable YAML mapping", "`sparkctl schema`")
declare("INV002", "error", "a key is written twice", "YAML 1.2: keys are unique")
declare("INV003", "error", "an unknown key", "`sparkctl schema`")
declare("INV004", "error", "a missing field, a wrong type, or a value out of range", "`sparkctl schema`")
declare("INV005", "error", "an apiVersion or kind that this version does not read", "`sparkctl schema`")

_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")  # RFC 1123
_HOST = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*\.?")
_NODE_PATH = re.compile(r"(/[A-Za-z0-9._+@=,-]+)+/?|/")
_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FORMS: dict[Kind, tuple[re.Pattern[str], str]] = {
    "name": (_LABEL, "a DNS label: letters, digits and inner dashes, at most 63"),
    "user": (
        re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}"),
        "a login name: letters, digits, `_`, `.` and `-`, at most 32",
    ),
    "netdev": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}"),
        "an interface name: at most 15 letters, digits, `_`, `.` and `-`",
    ),
    "port": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}"), "a port name: letters, digits, `.`, `_`, `/` and `-`"),
    "path": (_NODE_PATH, "an absolute path of letters, digits and `._+@=,-`"),
    "target": (
        re.compile(rf"({_NODE_PATH.pattern})(:(ro|rw))?"),
        "an absolute path in the container, then `:ro` or `:rw`",
    ),
    "image": (
        re.compile(
            r"[a-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
        ),
        "an image name such as vllm/vllm-openai:v0.33.0",
    ),
    "model": (
        re.compile(rf"{_REPOSITORY}(/{_REPOSITORY})?|{_NODE_PATH.pattern}"),
        "a hub name such as openai/gpt-oss-120b, or an absolute path",
    ),
    "word": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*"), "one word of letters, digits and `._:/@+-`"),
    "flag": (
        re.compile(r"(--)?[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9._-]*\+?)?"),
        "the long name of a flag, with or without `--`",
    ),
    "variable": (re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "a variable name: letters, digits and `_`"),
    "nccl name": (re.compile(r"NCCL_[A-Z0-9_]+"), "a name such as NCCL_DEBUG (others go into `engine.env`)"),
    "nccl value": (re.compile(r"[^`$&;|<>\\(){}!*?~]*"), "a value without shell characters"),
}
_EXPANSION = re.compile(r"\$\{|\$\(|`|\{\{|\{%|\{#")


@rule("INV006", "error", "two things with one name", "names are host names, container names and keys of reports")
def names_are_unique(cluster: Cluster) -> Iterator[Hit]:
    """Nodes and switches share one space of names; case does not tell them apart, as in DNS."""
    seen: dict[str, str] = {}
    things = [(("nodes", i, "name"), "node", node.name) for i, node in enumerate(cluster.nodes)]
    things += [(("switches", i, "name"), "switch", switch.name) for i, switch in enumerate(cluster.switches)]
    for path, kind, name in things:
        taken = seen.setdefault(name.lower(), where(path[:2]))
        if taken != where(path[:2]):
            yield Hit(path, f"two things are called {quoted(name)}: this {kind} and {taken}", "give each its own name")


@rule("INV007", "error", "two nodes with one management address", "SSH would reach one node twice and the other never")
def node_addresses_are_unique(cluster: Cluster) -> Iterator[Hit]:
    """Compared as addresses where they are, else as host names."""
    seen: dict[object, str] = {}
    for rank, node in enumerate(cluster.nodes):
        identity = parse_address(node.address) or node.address.lower().rstrip(".")
        taken = seen.setdefault(identity, node.name)
        if taken != node.name:
            said = f"node `{node.name}` has the address {quoted(node.address)} of node `{taken}`"
            yield Hit(("nodes", rank, "address"), said, "give each node its own management address")


@rule(
    "INV008",
    "error",
    "a value that is not what its place needs",
    "such values become files, units and arguments on the nodes",
)
def values_have_their_form(cluster: Cluster) -> Iterator[Hit]:
    """Names are names and paths are paths; nothing anywhere carries newlines or other control characters."""
    for value in values(cluster):
        fault = _fault_of(value)
        if fault:
            yield Hit(value.path, f"{quoted(value.text)} is not {fault}", f"write {fault}")


def _fault_of(value: Value) -> str | None:
    if not value.text.isprintable():
        return "text without line breaks, control characters and invisible characters"
    if value.kind == "text" or _EXPANSION.search(value.text):  # the latter is INV009's
        return None
    if value.kind == "local path":
        return _local_path_fault(value.text)
    if value.kind == "host":
        return None if _is_host(value.text) else "an IP address or a host name"
    if value.kind == "nccl name" and value.text in BARE:  # NCL001 says more
        return None
    pattern, words = _FORMS[value.kind]
    return None if pattern.fullmatch(value.text) else words


def _is_host(text: str) -> bool:
    if parse_address(text) is not None:
        return "%" not in text  # an IPv6 zone means nothing on another machine
    looks_numeric = text.replace(".", "").isdigit()  # 192.0.2 is a typing error, not a host name
    return len(text) <= 253 and not looks_numeric and _HOST.fullmatch(text) is not None


def _local_path_fault(text: str) -> str | None:
    return "a path; of `~` only `~/` is understood" if text.startswith("~") and not text.startswith("~/") else None


@rule(
    "INV009",
    "error",
    "a value that asks for an expansion that does not happen",
    "values are written as they are: no shell, no template",
)
def values_are_plain(cluster: Cluster) -> Iterator[Hit]:
    """`${X}`, `$(x)`, backticks and Jinja would reach the program literally, or worse, would not."""
    for value in values(cluster):
        found = _EXPANSION.search(value.text)
        if found:
            said = f"{quoted(value.text)} contains `{found[0]}`: nothing is expanded in an inventory"
            yield Hit(value.path, said, "write the value itself")


@rule("INV010", "warning", "a management address that looks like a fabric address", "facts ff23")
def management_looks_different(cluster: Cluster) -> Iterator[Hit]:
    """In the pool but in no subnet of the fabric yet (that is ADR004), or a name that spells an address of the pool."""
    pool = pool_of(cluster)
    if pool is None:
        return
    taken = _subnets_end(cluster)
    if cluster.kept and taken == int(pool.network_address):
        return  # `addresses` leave nothing to the pool
    for path, owner, literal in addresses(cluster):
        if isinstance(literal, IPv4Address) and literal in pool and int(literal) >= taken:
            yield Hit(
                path,
                f"{literal} of {owner} lies in the subnet pool {pool}",
                "keep management addresses out of the pool",
            )
    for rank, node in enumerate(cluster.nodes):
        spelled = _spelled_address(node.address)
        if spelled is not None and spelled in pool:
            said = f"the host name {quoted(node.address)} of node `{node.name}` spells {spelled}, of the subnet pool"
            yield Hit(("nodes", rank, "address"), said, "name the node's management address")


def _subnets_end(cluster: Cluster) -> int:
    """The first address of the pool after the subnets that the fabric will use: below it ADR004 judges."""
    pool, topology = pool_of(cluster), topology_of(cluster)
    if pool is None or topology is None:
        return 0
    needed = subnets_needed(topology.segments(cluster), cluster)
    return int(pool.network_address) + (needed << (32 - addressing.prefix_length(len(cluster.nodes))))


def _spelled_address(name: str) -> IPv4Address | None:
    if parse_address(name) is not None:
        return None
    found = re.search(r"(?<!\d)(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?!\d)", name)
    literal = parse_address(".".join(found.groups())) if found else None
    return literal if isinstance(literal, IPv4Address) else None
