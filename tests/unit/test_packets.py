"""What drops a peer's packets, certainly or maybe: one rule at a time, as iptables and nft write it."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from sparkctl.facts import iptables, nft
from sparkctl.facts.packets import Packet, Table, Truth, either, every, inverted

TCP = Packet("enp1s0f1np1", IPv4Address("10.20.0.12"), "tcp", (32768, 60999))
ROCE = Packet("enp1s0f1np1", IPv4Address("10.20.0.12"), "udp", (4791, 4791))


def dropped(table: Table, packet: Packet) -> Truth:
    """None: maybe."""
    drops = table.drops(packet)
    return any(drops.values()) or (None if drops else False)


def dropped_by(rules: str, packet: Packet = TCP) -> Truth:
    """Whether a filter table of these rules (`own: RULE` is one of the chain own) drops the packet."""
    lines = [f"-A INPUT {rule}" for rule in rules.split("; ")]
    text = "\n".join(line.replace("INPUT own:", "own") for line in lines)
    tables = iptables.parse(f"*filter\n:INPUT ACCEPT [0:0]\n:own - [0:0]\n{text}\nCOMMIT\n")
    return dropped(tables["filter"], packet)


def dropped_by_nft(expr: list[object], packet: Packet = TCP, **chain: object) -> Truth:
    """The same for one rule of an inet table."""
    of = {"family": "inet", "table": "t"}
    base = of | {"name": "in", "hook": "input", "policy": "accept"} | chain
    listed = [{"metainfo": {}}, {"chain": base}, {"rule": of | {"chain": "in", "expr": expr}}]
    return dropped(nft.parse(json.dumps({"nftables": listed})), packet)


@pytest.mark.parametrize(
    "rule",
    ["-j DROP", "-j REJECT --reject-with tcp-reset", "-s 10.20.0.0/16 -j DROP", "-i enp1s0f1np1 -j DROP", "-i enp1+ -j DROP",
     "! -s 192.0.2.0/24 -j DROP", "-p tcp -j DROP", "-p tcp -m tcp --dport 30000: -j DROP", "-p tcp -m multiport --dports 22,1024:65535 -j DROP",
     "-m conntrack --ctstate NEW -j DROP", "-d 10.20.0.0/24 -j DROP", "-m addrtype --dst-type LOCAL -j DROP", "! -f -j DROP",
     "-p tcp -m tcp ! --dport 22 -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "-p tcp --syn -j DROP",
     "-p tcp -m tcp --tcp-flags ALL SYN -j DROP", "-p tcp -m tcp ! --tcp-flags SYN,ACK ACK -j DROP"],
)  # fmt: skip
def test_rules_that_drop(rule: str) -> None:
    assert dropped_by(rule) is True


@pytest.mark.parametrize(
    "rule",
    ["-d 10.20.0.11/32 -j DROP", "-m limit --limit 3/min -j DROP", "-m set ! --match-set ok src -j DROP", "-m frobnicate -j DROP",
     "-m set --match-set crowdsec-blacklists src -j DROP", "-m rpfilter --invert -j DROP", "-p tcp -m tcp --dport 50051 -j DROP",
     "-p tcp -m tcp --tcp-flags FROB SYN -j DROP", "-p tcp -m tcp --tcp-flags"],
)  # fmt: skip
def test_rules_that_may_drop(rule: str) -> None:
    assert dropped_by(rule if "-j" in rule else f"{rule} -j DROP") is None


@pytest.mark.parametrize(
    "rule",
    ["-j ACCEPT", "-j LOG --log-prefix DROP", "-s 192.0.2.0/24 -j DROP", "-i enP7s7 -j DROP", "! -i enp1s0f1np1 -j DROP", "-p udp -j DROP",
     "-p icmp -j DROP", "-p tcp -m tcp --dport 22 -j DROP", "-p tcp -m multiport --dports 22,80:443 -j DROP", "! -p tcp -j DROP",
     "-m conntrack --ctstate INVALID -j DROP", "-m state --state RELATED,ESTABLISHED -j DROP", "-d 172.17.0.2/32 ! -i docker0 -j DROP",
     "-d 224.0.0.0/4 -j DROP", "-m addrtype --dst-type BROADCAST,MULTICAST -j DROP", "-m addrtype --src-type LOCAL -j DROP", "-j own", "-g own",
     "-p tcp -m tcp --dport 22 -m limit --limit 3/min -j DROP", "-p tcp -m tcp ! --dport 1024:65535 -j DROP",
     "-p tcp -m tcp --dport 3389 -j DROP", "-p tcp -m tcp --dport 11434 ! -i lo -j DROP", "-f -j DROP",
     "-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP", "-p tcp -m tcp --tcp-flags SYN,RST SYN,RST -j DROP",
     "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP", "-p tcp ! --syn -j DROP"],
)  # fmt: skip
def test_rules_that_do_not(rule: str) -> None:
    assert dropped_by(rule) is False


@pytest.mark.parametrize(
    ("rule", "drops"),
    [("-p udp --dport 4791 -j DROP", True), ("-p udp --dport 53 -j DROP", False), ("-p tcp -j DROP", False),
     ("--tcp-flags SYN SYN -j DROP", False), ("--syn -j DROP", False)],
)  # fmt: skip
def test_packets_of_soft_roce(rule: str, drops: bool) -> None:
    assert dropped_by(rule, ROCE) is drops


@pytest.mark.parametrize(
    ("rules", "drops"),
    [("-m set --match-set ok src -j ACCEPT; -j DROP", None), ("-p tcp --dport 40000 -j ACCEPT; -j DROP", None),
     ("-m mark --mark 1 -j own; own: -j DROP", None), ("-j own; own: -m mark --mark 1 -j ACCEPT; -j DROP", None),
     ("-j own; own: -m mark --mark 1 -j RETURN; own: -j ACCEPT; -j DROP", None), ("-j own; own: -p udp -j DROP; -j DROP", True),
     ("-g own; own: -m mark --mark 1 -j ACCEPT; -j DROP", False), ("-m mark --mark 1 -g own; -j DROP", None),
     ("-m mark --mark 1 -j own; own: -j RETURN; -j DROP", True), ("-m mark --mark 1 -j DROP; -j DROP", None),
     ("-m mark --mark 1 -j DROP; -p tcp -j ACCEPT; -j DROP", None), ("-m mark --mark 1 -j LOG; -j DROP", True)],
)  # fmt: skip
def test_a_drop_is_certain_where_the_packet_certainly_comes(rules: str, drops: Truth) -> None:
    assert dropped_by(rules) is drops


def test_nothing_is_certain_of_a_port_that_not_every_rail_needs() -> None:
    packet = replace(TCP, needed=False)
    assert dropped_by("-j DROP", packet) is None
    assert dropped_by_nft([], packet, policy="drop") is None


def match(left: object, right: object, op: str = "==") -> dict[str, object]:
    return {"match": {"op": op, "left": left, "right": right}}


NETDEV = {"meta": {"key": "iifname"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
STATE = {"ct": {"key": "state"}}
PORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SOURCE6 = {"payload": {"protocol": "ip6", "field": "saddr"}}
FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}
ALL = ["fin", "syn", "rst", "psh", "ack", "urg"]


def masked(*mask: object) -> dict[str, object]:
    """`tcp flags & mask`, as nft 1.0.9 lists it; older ones write {"|": [...]}."""
    return {"&": [FLAGS, list(mask) if len(mask) > 1 else mask[0]]}


@pytest.mark.parametrize(
    ("condition", "drops"),
    [
        (match(NETDEV, "enp1s0f1np1"), True),
        (match(NETDEV, "enp1s0f1np1", "!="), False),
        (match(NETDEV, {"set": ["lo", "enp1*"]}), True),
        (match(SOURCE, {"prefix": {"addr": "10.20.0.0", "len": 16}}), True),
        (match(SOURCE, {"range": ["10.20.0.1", "10.20.0.11"]}), False),
        (match(SOURCE, {"range": ["10.20.0.1", "10.20.0.12"]}), True),
        (match(SOURCE, "@blocked"), None),
        (match(SOURCE6, "@blocked6"), False),
        (match(SOURCE6, "@allowed6", "!="), False),
        (match(SOURCE6, {"prefix": {"addr": "fe80::", "len": 10}}, "!="), False),
        (match({"payload": {"protocol": "arp", "field": "operation"}}, "request", "!="), False),
        (match({"concat": [SOURCE6, PORT]}, "@allowed", "!="), False),
        (match({"concat": [SOURCE, PORT]}, "@allowed", "!="), None),
        (match({"payload": {"base": "nh", "offset": 96, "len": 32}}, 0), None),
        (match({"&": [SOURCE, 255]}, 1), None),
        (match(STATE, ["established", "related"], "in"), False),
        (match(STATE, ["new", "untracked"], "in"), True),
        (match(PORT, 22), False),
        (match(PORT, 22, "!="), True),
        (match(PORT, {"set": [22, {"range": [40000, 40100]}]}), None),
        (match(PORT, {"set": [22, {"range": [1024, 65535]}]}), True),
        (match({"payload": {"protocol": "th", "field": "dport"}}, {"range": [1024, 65535]}), True),
        (match({"payload": {"protocol": "udp", "field": "dport"}}, 53, "!="), False),
        (match(masked("fin", "syn"), ["fin", "syn"]), False),
        (match(masked({"|": ["syn", "rst"]}), {"|": ["syn", "rst"]}), False),
        (match(masked({"|": [{"|": ["fin", "syn"]}, "rst"]}), "syn"), True),
        (match(masked("fin", "syn", "rst", "ack"), "syn"), True),
        (match(masked("fin", "syn", "rst", "ack"), "syn", "!="), False),
        (match(masked(*ALL), 0), False),
        (match(masked(*ALL), {"set": ["fin", {"|": ["psh", "ack"]}]}), False),
        (match(masked(*ALL), {"set": ["fin", "syn"]}), True),
        (match(masked(18), 2), True),
        (match(masked("frob"), "syn"), None),
        (match(masked("syn"), "@flags"), None),
        (match({"&": [FLAGS, "syn", "ack"]}, "syn"), None),
        (match(FLAGS, "syn"), True),
        (match(FLAGS, "syn", "!="), False),
        (match(FLAGS, ["fin", "syn"], "in"), True),
        (match(FLAGS, ["fin", "syn"]), False),
        (match(FLAGS, ["fin", "rst"], "!"), True),
        (match(FLAGS, "syn", "!"), False),
        (match(FLAGS, "syn", "<"), None),
        (match({"payload": {"protocol": "udp", "field": "dport"}}, 8000), False),
        (match({"payload": {"protocol": "icmpv6", "field": "type"}}, "echo-request"), False),
        (match({"meta": {"key": "l4proto"}}, "tcp"), True),
        (match({"meta": {"key": "nfproto"}}, "ipv6"), False),
        (match({"payload": {"protocol": "ether", "field": "type"}}, "arp"), False),
        (match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), None),
        (match({"concat": [SOURCE, PORT]}, {"set": []}), None),
        ({"limit": {"rate": 3, "per": "minute"}}, None),
        ({"xt": None}, None),
        ({"counter": {"packets": 0, "bytes": 0}}, True),
    ],
)
def test_conditions_of_nft(condition: dict[str, object], drops: Truth) -> None:
    assert dropped_by_nft([condition, {"drop": None}]) is drops
    assert dropped_by_nft([condition, {"accept": None}]) is False


@pytest.mark.parametrize(
    ("chain", "drops"),
    [({"policy": "drop"}, True), ({"hook": "forward"}, False), ({"hook": "output"}, False), ({"hook": "ingress", "dev": "enP7s7"}, False),
     ({"hook": "ingress", "dev": ["enp1s0f1np1", "x"]}, True), ({"hook": "prerouting"}, True)],
)  # fmt: skip
def test_chains_that_packets_to_the_node_enter(chain: dict[str, object], drops: bool) -> None:
    assert dropped_by_nft([{"drop": None}], **chain) is drops


@pytest.mark.parametrize(("state", "drops"), [("new", True), ("invalid", False)])
def test_a_verdict_map(state: str, drops: bool) -> None:
    data = {"set": [["established", {"accept": None}], [state, {"drop": None}]]}
    assert dropped_by_nft([{"vmap": {"key": STATE, "data": data}}]) is drops


def test_the_first_certain_rule_decides() -> None:
    accepted = [match(NETDEV, "enp1s0f1np1"), {"accept": None}]
    of = {"family": "inet", "table": "t", "chain": "in"}
    chain = {"chain": {"family": "inet", "table": "t", "name": "in", "hook": "input", "policy": "drop"}}
    allowed = [chain, {"rule": of | {"expr": accepted}}, {"rule": of | {"expr": [{"drop": None}]}}]
    assert nft.parse(json.dumps({"nftables": allowed})).drops(TCP) == {}
    other = replace(TCP, netdev="enP2p1s0f1np1", source=IPv4Address("10.20.1.12"))
    assert nft.parse(json.dumps({"nftables": allowed})).drops(other) == {"nft inet t in: drop": True}


def test_three_values() -> None:
    assert [either(t) for t in ([True, None], [None, False], [False], [])] == [True, None, False, False]
    assert [every(t) for t in ([True, None], [None, False], [True], [])] == [None, False, True, True]
    assert [inverted(lambda packet, t=t: t)(TCP) for t in (True, None, False)] == [False, None, True]  # type: ignore[misc]
