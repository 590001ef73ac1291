"""What a rule, as iptables and nft write it, may have to do with packets that come in on a rail."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from sparkctl.facts.firewall import SURE, explains, unproven

NETDEV, NEAR = "enp1s0f1np1", IPv4Network("10.20.0.0/24")
TRIED = (33000, 45000, 60000, 18515)


def explained(rule: str) -> bool:
    return explains(rule, NETDEV, NEAR, [(33000, 33000)])


def left(rule: str, roce: bool = True) -> bool:
    return unproven(rule, NETDEV, NEAR, TRIED, roce)


@pytest.mark.parametrize(
    "rule",
    ["iptables -P INPUT DROP", "iptables -A INPUT -i enp1s0f1np1 -j DROP", "iptables -A INPUT -p tcp --dport 1024:65535 -j DROP",
     "iptables -A INPUT -i enp1+ -j DROP", "iptables -A INPUT ! -i enP7s7 -j DROP", "iptables -A INPUT -s 10.20.0.0/16 -j DROP",
     "iptables -A INPUT ! -s 192.0.2.0/24 -j DROP", "iptables -A INPUT -p tcp ! --dports 22 -j DROP", "nft inet f in: drop",
     "nft inet f in: type filter hook input priority filter; policy drop;", 'nft inet f in: iifname { "enp1s0f1np1", "x" } reject',
     'nft inet f in: iifname != "enP7s7" drop', "nft inet f in: tcp dport != 22 drop", "nft inet f in: tcp dport 1024-65535 drop",
     "nft inet f in: ip saddr @bad drop", "nft inet f in: tcp dport @closed drop", 'nft inet f in: iifname "enp1*" drop'],
)  # fmt: skip
def test_rules_that_may_be_why_a_knock_was_not_answered(rule: str) -> None:
    assert explained(rule)


@pytest.mark.parametrize(
    "rule",
    ["iptables -A INPUT -i enP7s7 -j DROP", "iptables -A INPUT -p udp -j DROP", "iptables -A INPUT -p tcp --dport 22 -j DROP",
     "iptables -A INPUT -s 192.0.2.0/24 -j DROP", "iptables -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP",
     'nft inet f in: iifname "lo" drop', "nft inet f in: tcp dport { 22, 33001-33100 } drop", "nft inet f in: ip daddr 224.0.0.251 drop"],
)  # fmt: skip
def test_rules_that_are_not_why(rule: str) -> None:
    assert not explained(rule)


@pytest.mark.parametrize(
    "rule",
    ["iptables -A INPUT -p tcp --dport 50051 -j DROP", "iptables -A INPUT -p tcp --dport 18516 -j DROP", "nft inet f in: tcp dport @closed drop",
     "iptables -A INPUT -p tcp --dports 22,50000:50100 -j DROP", "iptables -A INPUT -m limit --limit 3/min -j DROP",
     "nft inet f in: ct state new limit rate over 9/second drop", "nft inet f in: udp dport { 53, 4791 } drop", "iptables -A INPUT -p udp -j DROP"],
)  # fmt: skip
def test_rules_that_no_knock_judges(rule: str) -> None:
    assert left(rule)


@pytest.mark.parametrize(
    "rule",
    ["iptables -P INPUT DROP", "iptables -A INPUT -p tcp -j DROP", "iptables -A INPUT -p tcp --dport 1024:65535 -j DROP",
     "iptables -A INPUT -p tcp --dport 22 -m recent --update -j DROP", "iptables -A INPUT -i enP7s7 -p udp -j DROP",
     "iptables -A INPUT -p udp --dport 53 -j DROP", "iptables -A INPUT -m set --match-set crowdsec src -j DROP",
     "nft inet f in: tcp dport { 3389, 8000, 18515 } drop", "iptables -A INPUT -s 192.0.2.0/24 -p tcp --dport 50051 -j DROP"],
)  # fmt: skip
def test_rules_that_answered_knocks_judge_or_that_hit_nothing(rule: str) -> None:
    assert not left(rule)


def test_udp_matters_to_roce_alone() -> None:
    assert left("iptables -A INPUT -p udp -j DROP") and not left("iptables -A INPUT -p udp -j DROP", roce=False)


@pytest.mark.parametrize(
    ("rule", "sure"),
    [("iptables -A INPUT -i enp1s0f1np1 -p udp --dport 4791 -j DROP", True), ("iptables -A PREROUTING -i enp1s0f1np1 -p udp -j DROP", True),
     ("nft inet f in: iifname \"enp1s0f1np1\" udp dport { 53, 4791 } drop", True), ("iptables -A INPUT -p udp --dport 4791 -j DROP", False),
     ("iptables -A INPUT -i enp1s0f1np1 -p udp --dport 4791 -m mark --mark 0x7 -j DROP", False),
     ("iptables -A own -i enp1s0f1np1 -p udp --dport 4791 -j DROP", False), ("iptables -A INPUT ! -i enp1s0f1np1 -p udp -j DROP", False),
     ("nft inet f in: iifname != \"enp1s0f1np1\" udp dport 4791 drop", False), ("nft inet f in: iifname \"x\" udp sport 4791 drop", False)],
)  # fmt: skip
def test_only_what_asks_for_nothing_but_a_rail_and_udp_is_sure(rule: str, sure: bool) -> None:
    assert bool(SURE.match(rule)) is sure
