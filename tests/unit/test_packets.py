"""What may drop a peer's packets: one rule at a time, as iptables and nft write it."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from sparkctl.facts import iptables, nft
from sparkctl.facts.packets import Packet, either, every, inverted

TCP = Packet("enp1s0f1np1", IPv4Address("10.20.0.12"), "tcp")
ROCE = Packet("enp1s0f1np1", IPv4Address("10.20.0.12"), "udp", 4791)


def dropped_by(rule: str, packet: Packet = TCP) -> bool:
    """Whether a filter table of this one rule may drop the packet."""
    tables = iptables.parse(f"*filter\n:INPUT ACCEPT [0:0]\n:own - [0:0]\n-A INPUT {rule}\nCOMMIT\n")
    return bool(tables["filter"].drops(packet))


def dropped_by_nft(expr: list[object], packet: Packet = TCP, **chain: object) -> bool:
    """The same for one rule of an inet table."""
    of = {"family": "inet", "table": "t"}
    base = of | {"name": "in", "hook": "input", "policy": "accept"} | chain
    listed = [{"metainfo": {}}, {"chain": base}, {"rule": of | {"chain": "in", "expr": expr}}]
    return bool(nft.parse(json.dumps({"nftables": listed})).drops(packet))


@pytest.mark.parametrize(
    "rule",
    ["-j DROP", "-j REJECT --reject-with tcp-reset", "-s 10.20.0.0/16 -j DROP", "-i enp1s0f1np1 -j DROP", "-i enp1+ -j DROP",
     "! -s 192.0.2.0/24 -j DROP", "-p tcp -j DROP", "-p tcp -m tcp --dport 5000:6000 -j DROP", "-p tcp -m multiport --dports 22,8000 -j DROP",
     "-m conntrack --ctstate NEW -j DROP", "-d 10.20.0.0/24 -j DROP", "-d 10.20.0.11/32 -j DROP", "-m addrtype --dst-type LOCAL -j DROP",
     "-m limit --limit 3/min -j DROP", "-m set ! --match-set ok src -j DROP", "-m frobnicate -j DROP", "-p tcp -m tcp ! --dport 22 -j DROP"],
)  # fmt: skip
def test_rules_that_may_drop(rule: str) -> None:
    assert dropped_by(rule)


@pytest.mark.parametrize(
    "rule",
    ["-j ACCEPT", "-j LOG --log-prefix DROP", "-s 192.0.2.0/24 -j DROP", "-i enP7s7 -j DROP", "! -i enp1s0f1np1 -j DROP", "-p udp -j DROP",
     "-p icmp -j DROP", "-p tcp -m tcp --dport 22 -j DROP", "-p tcp -m multiport --dports 22,80:443 -j DROP", "! -p tcp -j DROP",
     "-m conntrack --ctstate INVALID -j DROP", "-m state --state RELATED,ESTABLISHED -j DROP", "-d 172.17.0.2/32 ! -i docker0 -j DROP",
     "-d 224.0.0.0/4 -j DROP", "-m addrtype --dst-type BROADCAST,MULTICAST -j DROP", "-m addrtype --src-type LOCAL -j DROP", "-j own", "-g own",
     "-p tcp -m tcp --dport 22 -m limit --limit 3/min -j DROP", "-p tcp -m tcp ! --dport 1024:65535 -j DROP"],
)  # fmt: skip
def test_rules_that_do_not(rule: str) -> None:
    assert not dropped_by(rule)


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [("-p udp --dport 4791 -j DROP", True), ("-p udp --dport 53 -j DROP", False), ("-p tcp -j DROP", False)],
)
def test_packets_of_soft_roce(rule: str, dropped: bool) -> None:
    assert dropped_by(rule, ROCE) == dropped


def match(left: object, right: object, op: str = "==") -> dict[str, object]:
    return {"match": {"op": op, "left": left, "right": right}}


NETDEV = {"meta": {"key": "iifname"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
STATE = {"ct": {"key": "state"}}
PORT = {"payload": {"protocol": "tcp", "field": "dport"}}


@pytest.mark.parametrize(
    ("condition", "dropped"),
    [
        (match(NETDEV, "enp1s0f1np1"), True),
        (match(NETDEV, "enp1s0f1np1", "!="), False),
        (match(NETDEV, {"set": ["lo", "enp1*"]}), True),
        (match(SOURCE, {"prefix": {"addr": "10.20.0.0", "len": 16}}), True),
        (match(SOURCE, {"range": ["10.20.0.1", "10.20.0.11"]}), False),
        (match(SOURCE, {"range": ["10.20.0.1", "10.20.0.12"]}), True),
        (match(SOURCE, "@blocked"), True),
        (match(STATE, ["established", "related"], "in"), False),
        (match(STATE, ["new", "untracked"], "in"), True),
        (match(PORT, 22), False),
        (match(PORT, {"set": [22, {"range": [8000, 8100]}]}), True),
        (match({"payload": {"protocol": "udp", "field": "dport"}}, 8000), False),
        (match({"payload": {"protocol": "icmpv6", "field": "type"}}, "echo-request"), False),
        (match({"meta": {"key": "l4proto"}}, "tcp"), True),
        (match({"meta": {"key": "nfproto"}}, "ipv6"), False),
        (match({"payload": {"protocol": "ether", "field": "type"}}, "arp"), False),
        (match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), True),
        (match({"concat": [SOURCE, PORT]}, {"set": []}), True),
        ({"limit": {"rate": 3, "per": "minute"}}, True),
        ({"xt": None}, True),
        ({"counter": {"packets": 0, "bytes": 0}}, True),
    ],
)
def test_conditions_of_nft(condition: dict[str, object], dropped: bool) -> None:
    assert dropped_by_nft([condition, {"drop": None}]) == dropped
    assert not dropped_by_nft([condition, {"accept": None}])


@pytest.mark.parametrize(
    ("chain", "dropped"),
    [({"policy": "drop"}, True), ({"hook": "forward"}, False), ({"hook": "output"}, False), ({"hook": "ingress", "dev": "enP7s7"}, False),
     ({"hook": "ingress", "dev": ["enp1s0f1np1", "x"]}, True), ({"hook": "prerouting"}, True)],
)  # fmt: skip
def test_chains_that_packets_to_the_node_enter(chain: dict[str, object], dropped: bool) -> None:
    assert dropped_by_nft([{"drop": None}], **chain) == dropped


@pytest.mark.parametrize(("state", "dropped"), [("new", True), ("invalid", False)])
def test_a_verdict_map(state: str, dropped: bool) -> None:
    data = {"set": [["established", {"accept": None}], [state, {"drop": None}]]}
    assert dropped_by_nft([{"vmap": {"key": STATE, "data": data}}]) == dropped


def test_the_first_certain_rule_decides() -> None:
    accepted = [match(NETDEV, "enp1s0f1np1"), {"accept": None}]
    of = {"family": "inet", "table": "t", "chain": "in"}
    chain = {"chain": {"family": "inet", "table": "t", "name": "in", "hook": "input", "policy": "drop"}}
    allowed = [chain, {"rule": of | {"expr": accepted}}, {"rule": of | {"expr": [{"drop": None}]}}]
    assert nft.parse(json.dumps({"nftables": allowed})).drops(TCP) == ()
    other = Packet("enP2p1s0f1np1", IPv4Address("10.20.1.12"), "tcp")
    assert nft.parse(json.dumps({"nftables": allowed})).drops(other) == ("nft inet t in: drop",)


def test_three_values() -> None:
    assert [either(t) for t in ([True, None], [None, False], [False], [])] == [True, None, False, False]
    assert [every(t) for t in ([True, None], [None, False], [True], [])] == [None, False, True, True]
    assert [inverted(lambda packet, t=t: t)(TCP) for t in (True, None, False)] == [False, None, True]  # type: ignore[misc]
