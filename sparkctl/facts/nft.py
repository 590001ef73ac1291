"""The output of `nft -j list ruleset` to one table of rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Network
from typing import Any

from sparkctl.facts.packets import SYN, Condition, Entry, Packet, Rule, Table, Truth, depends, either, inverted, named

FAMILIES = ("ip", "inet", "netdev")
HOOKS = ("ingress", "prerouting", "input")
"""Where packets to this node can be dropped."""
SAYS_NOTHING = {"counter", "log", "notrack", "mangle", "dup", "flow", "ct helper", "reset"}
PROTOCOLS = {"tcp": ("tcp", 6, "6"), "udp": ("udp", 17, "17")}
FIRST = {"new"}
"""State of the connection of a first packet."""
IPV4 = {"ipv4", "ip", 2, 2048}
HEADERS = {"ether", "ip", "th"}
"""What each of our packets has, beside the header of its protocol."""
FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr")
"""By bit, from the lowest."""
Element = Callable[[Packet, Any], Truth]


def parse(text: str, others: Collection[str] = ()) -> Table:
    """All tables but those of family ip named in `others` (iptables shows them better); ValueError where cut off."""
    listed = [entry for entry in json.loads(text)["nftables"] if isinstance(entry, dict)]
    chains = [entry["chain"] for entry in listed if "chain" in entry and _ours(entry["chain"], others)]
    rules: dict[str, list[Rule]] = {_name(chain, chain["name"]): [] for chain in chains}
    for rule in (entry["rule"] for entry in listed if "rule" in entry):
        if _ours(rule, others):
            rules[_name(rule, rule["chain"])].extend(_rules(rule))
    entries = tuple(_entry(chain) for chain in chains if chain.get("hook") in HOOKS)
    return Table({name: tuple(found) for name, found in rules.items()}, entries)


def _ours(entry: dict[str, Any], others: Collection[str]) -> bool:
    family = entry["family"]
    return family in FAMILIES and not (family == "ip" and entry["table"] in others)


def _name(entry: dict[str, Any], chain: str) -> str:
    return f"{entry['family']} {entry['table']} {chain}"


def _entry(chain: dict[str, Any]) -> Entry:
    name = _name(chain, chain["name"])
    devices = chain.get("dev", [])
    netdevs = (devices,) if isinstance(devices, str) else tuple(devices)
    return Entry(name, f"nft {name}: policy drop" if chain.get("policy") == "drop" else None, netdevs)


def _rules(rule: dict[str, Any]) -> Iterator[Rule]:
    """One rule, or one per element of a verdict map."""
    conditions: list[Condition] = []
    text = f"nft {_name(rule, rule['chain'])}: {' '.join(filter(None, map(_shown, rule['expr'])))}"
    for statement in rule["expr"]:
        ((kind, value),) = statement.items()
        if kind == "match":
            conditions.append(_match(value))
        elif kind == "vmap":
            yield from _mapped(rule, tuple(conditions), value, text)
        elif kind in ("accept", "drop", "reject", "return", "jump", "goto"):
            yield _fated(rule, tuple(conditions), statement, text)
        elif kind == "xt" and isinstance(value, dict) and value.get("name") in ("DROP", "REJECT"):
            yield _fated(rule, tuple(conditions), {"drop": None}, text)
        elif kind not in SAYS_NOTHING:
            conditions.append(depends)


def _fated(rule: dict[str, Any], conditions: tuple[Condition, ...], verdict: dict[str, Any], text: str) -> Rule:
    ((kind, value),) = verdict.items()
    if kind in ("jump", "goto"):
        return Rule(conditions, "jump" if kind == "jump" else "goto", text, _name(rule, value["target"]))
    if kind in ("drop", "reject"):
        return Rule(conditions, "drop", text)
    return Rule(conditions, "accept" if kind == "accept" else "return" if kind == "return" else "continue", text)


def _mapped(rule: dict[str, Any], conditions: tuple[Condition, ...], vmap: Any, text: str) -> Iterator[Rule]:
    pairs = vmap["data"]["set"] if isinstance(vmap["data"], dict) else ()
    for element, verdict in pairs:
        yield _fated(rule, (*conditions, _match({"op": "==", "left": vmap["key"], "right": element})), verdict, text)


# --- conditions -------------------------------------------------------------------------------------------------


def _match(match: dict[str, Any]) -> Condition:
    """False where the packet lacks a header that is read: nft looks for that first, in a negation, too."""
    compared, headers = _compared(match), set(_headers(match["left"])) - HEADERS

    def matched(packet: Packet) -> Truth:
        return compared(packet) if headers <= {packet.protocol} else False

    return matched


def _headers(left: Any) -> Iterator[str]:
    """Protocols whose headers the left side reads."""
    if isinstance(left, dict) and "payload" in left:
        yield left["payload"].get("protocol", "th")  # none: bytes at a place
    elif isinstance(left, dict):
        parts = left.get("concat") or left.get("&") or ()
        yield from (header for part in parts for header in _headers(part))


def _compared(match: dict[str, Any]) -> Condition:
    mask = _mask(match["left"])
    if mask is not None:
        return _flags(mask, match["right"], match["op"])
    element, wanted = _element(match["left"]), _elements(match["right"])
    if element is None or wanted is None or match["op"] not in ("==", "!=", "in"):
        return depends
    known, values = element, wanted

    def matched(packet: Packet) -> Truth:
        return either(known(packet, value) for value in values)

    return inverted(matched) if match["op"] == "!=" else matched


def _elements(right: Any) -> list[Any] | None:
    """The values of the right side; None for a named set, whose elements are not listed."""
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    if isinstance(right, str) and right.startswith("@"):
        return None
    return right if isinstance(right, list) else [right]


def _element(left: Any) -> Element | None:
    """How the left side compares with one value."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    ((kind, value),) = left.items()
    if kind == "payload" and value.get("protocol") not in ("ip", "ether"):
        return _port if value.get("field") == "dport" else None
    key = value.get("key") or value.get("field") or value.get("result") if isinstance(value, dict) else None
    return _READ.get(f"{kind} {key}")


def _mask(left: Any) -> frozenset[str] | None:
    """Which TCP flags the left side looks at; None where it is not about them."""
    parts = left.get("&") if isinstance(left, dict) else None
    field, mask = parts if isinstance(parts, list) and len(parts) == 2 else (left, list(FLAGS))
    return _bits(mask) if field == {"payload": {"protocol": "tcp", "field": "flags"}} else None


def _flags(mask: frozenset[str], right: Any, op: str) -> Condition:
    """`in`: one of them is set, `!`: none is."""
    listed = right["set"] if isinstance(right, dict) and "set" in right else [right]
    wanted = [bits for bits in map(_bits, listed) if bits is not None]
    if len(wanted) < len(listed) or op not in ("==", "!=", "in", "!"):
        return depends
    sent = SYN & mask
    met = any(bits & sent if op in ("in", "!") else bits == sent for bits in wanted)
    return lambda packet: met != (op in ("!=", "!"))


def _bits(value: Any) -> frozenset[str] | None:
    """Flags by name or number, one or more; None for what is neither."""
    if isinstance(value, dict):
        value = value.get("|")
    if isinstance(value, list):
        parts = [bits for bits in map(_bits, value) if bits is not None]
        return frozenset().union(*parts) if len(parts) == len(value) else None
    if isinstance(value, int):
        return frozenset(flag for bit, flag in enumerate(FLAGS) if value >> bit & 1)
    return frozenset({value}) if value in FLAGS else None


def _port(packet: Packet, wanted: Any) -> Truth:
    low, high = wanted["range"] if isinstance(wanted, dict) else (wanted, wanted)
    return packet.at(int(low), int(high))


def _netdev(packet: Packet, wanted: Any) -> Truth:
    return named(packet.netdev, str(wanted), "*")


def _protocol(packet: Packet, wanted: Any) -> Truth:
    return wanted in PROTOCOLS[packet.protocol]


def _source(packet: Packet, wanted: Any) -> Truth:
    return either(packet.source in network for network in _networks(wanted))


def _destination(packet: Packet, wanted: Any) -> Truth:
    return either(packet.to(network) for network in _networks(wanted))


def _networks(wanted: Any) -> Iterator[IPv4Network]:
    if isinstance(wanted, dict) and "prefix" in wanted:
        yield IPv4Network((wanted["prefix"]["addr"], int(wanted["prefix"]["len"])))
    elif isinstance(wanted, dict):
        yield from _between(*wanted["range"])
    else:
        yield IPv4Network(wanted)


def _between(first: str, last: str) -> Iterator[IPv4Network]:
    low, high = int(IPv4Network(first).network_address), int(IPv4Network(last).network_address)
    while low <= high:
        size = min((low & -low).bit_length() - 1 if low else 32, (high - low + 1).bit_length() - 1)
        yield IPv4Network((low, 32 - size))
        low += 1 << size


def _state(packet: Packet, wanted: Any) -> Truth:
    return wanted in FIRST


def _never(packet: Packet, wanted: Any) -> Truth:
    """Of a first packet: no address of its connection is translated."""
    return False


def _family(packet: Packet, wanted: Any) -> Truth:
    return wanted in IPV4


def _kind(packet: Packet, wanted: Any) -> Truth:
    return wanted in ("host", "unicast", "local")


_READ: dict[str, Element] = {
    "meta iifname": _netdev,
    "meta iif": _netdev,
    "meta l4proto": _protocol,
    "payload protocol": _protocol,
    "payload saddr": _source,
    "payload daddr": _destination,
    "meta nfproto": _family,
    "meta protocol": _family,
    "payload type": _family,
    "meta pkttype": _kind,
    "fib type": _kind,
    "ct state": _state,
    "ct status": _never,
}


def _shown(statement: dict[str, Any]) -> str:
    """A statement in about the words of nft(8)."""
    ((kind, value),) = statement.items()
    if kind == "match":
        op = "" if value["op"] in ("==", "in") else f"{value['op']} "
        return f"{_words(value['left'])} {op}{_words(value['right'])}"
    if kind in ("counter", "log", "limit", "xt"):
        return "" if kind == "counter" else kind
    return f"{kind} {_words(value)}".strip()


def _words(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1 and "range" in value:
        return "-".join(map(_words, value["range"]))
    if isinstance(value, dict):
        return " ".join(filter(None, map(_words, value.values())))
    if isinstance(value, list):
        return ",".join(map(_words, value))
    return "" if value is None else str(value)
