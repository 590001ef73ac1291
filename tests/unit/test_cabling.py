"""Cables that are swapped in every possible way: the check names them, and what it says to move puts them right."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from sparkctl.checks import View, judge
from sparkctl.fabric.moves import Pair, circle
from sparkctl.fabric.ports import half
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.inventory.model import Link
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Known
from sparkctl.render import render
from sparkctl.study import study
from tests.unit.healthy import INVENTORIES, healthy, node_facts

RAILS = ("A", "B")
MOVE = re.compile(r"move the cable end from (\S+) to (\S+) \(its other end stays in")


def planned(view: View) -> list[Pair]:
    return [(cable.a, cable.b) for cable in view.fabric.cables]


def swapped(cables: list[Pair], one: Port, other: Port) -> list[Pair]:
    """Two cable ends change places."""
    places = {one: other, other: one}
    return [(places.get(a, a), places.get(b, b)) for a, b in cables]


def same(one: list[Pair], other: list[Pair]) -> bool:
    return {frozenset(pair) for pair in one} == {frozenset(pair) for pair in other}


def cabled(view: View, cables: list[Pair]) -> View:
    """The view of nodes whose cables lead so: a node does not hear itself, and pings need the right peer."""
    joined = {frozenset(pair) for pair in cables}
    facts = {node: replace(it, **_heard(view, node, cables, joined)) for node, it in view.facts.items()}
    return replace(view, facts=facts)


def _heard(view: View, node: str, cables: list[Pair], joined: set[frozenset[Port]]) -> dict[str, object]:
    ends = [pair for a, b in cables for pair in ((a, b), (b, a)) if pair[0].owner == node != pair[1].owner]
    hellos = tuple(
        Hello(half(mine.port, rail).netdev, other.owner, half(other.port, rail).netdev)
        for mine, other in ends
        for rail in RAILS
    )
    pings = {
        (a.netdev, str(p.address.ip)): frozenset((Port(node, a.half.port), Port(p.node, p.half.port))) in joined
        for a in view.fabric.of(node)
        for p in view.fabric.peers(a)
    }
    return {"survey": replace(view.facts[node].survey, hellos=Known(hellos), lldp=Known(())), "pings": Known(pings)}


def swaps(inventory: str) -> list[tuple[str, Port, Port]]:
    ends = [end for pair in planned(healthy(inventory)) for end in pair]
    return [(inventory, one, other) for one, other in combinations(ends, 2)]


EVERY = [swap for inventory in ("mesh-3", "ring-4") for swap in swaps(inventory)]


@pytest.mark.parametrize(("inventory", "one", "other"), EVERY, ids=lambda value: str(value))
def test_every_swap_of_two_ends_is_named_by_cabling_alone(inventory: str, one: Port, other: Port) -> None:
    start = healthy(inventory)
    cables = swapped(planned(start), one, other)
    found = [v for v in judge(cabled(start, cables)) if v.state in ("fail", "unknown")]
    if same(cables, planned(start)):
        assert found == []
        return
    assert [v.id for v in found] == ["cabling", "cabling"]
    assert all("move the cable end from" in v.remedy and ", and the one that is in" in v.remedy for v in found)


@pytest.mark.parametrize(("inventory", "one", "other"), EVERY, ids=lambda value: str(value))
def test_what_it_says_to_move_puts_every_swap_right(inventory: str, one: Port, other: Port) -> None:
    start = healthy(inventory)
    there = swapped(planned(start), one, other)
    said = [v.remedy for v in judge(cabled(start, there)) if v.state == "fail"]
    moves = {Port(*m[1].split(":")): Port(*m[2].split(":")) for r in said for m in [MOVE.search(r)] if m}
    assert len(moves) == len(said) and set(moves) == set(moves.values())
    assert same([(moves.get(a, a), moves.get(b, b)) for a, b in there], planned(start))


def test_three_ends_in_a_circle_are_all_named() -> None:
    """Three plugs that each go to the next one's place: no two of them change places."""
    start = healthy("ring-4")
    first, second, third, _ = planned(start)
    cables = [(first[0], second[1]), (second[0], third[1]), (third[0], first[1]), planned(start)[3]]
    found = [v for v in judge(cabled(start, cables)) if v.state in ("fail", "unknown")]
    assert [v.id for v in found] == ["cabling"] * 3
    moves = [MOVE.search(v.remedy) for v in found]
    assert {m[1] for m in moves if m} == {m[2] for m in moves if m} == {str(a) for a in (first[1], second[1], third[1])}


def test_another_order_of_the_nodes_is_offered_where_it_costs_less() -> None:
    start = healthy("mesh-3")
    one, two, three = (node.name for node in start.cluster.nodes)
    found = [v for v in judge(cabled(start, list(circle((one, three, two))))) if v.state == "fail"]
    assert [v.id for v in found] == ["cabling"] * 3
    offers = [v.remedy for v in found if "or list `nodes` in the order" in v.remedy]
    assert len(offers) == 1 and f"{one}, {three} and {two}: then no cable ends move, not 3; write `links`" in offers[0]
    assert not any("or list" in v.remedy for v in judge(cabled(start, swapped(planned(start), *planned(start)[0]))))


def test_a_stranger_is_followed_and_what_is_in_the_way_is_pulled() -> None:
    """spark-1:p0 and spark-4:p1 lead to strangers, and the plugs in spark-2:p1 and spark-3:p0 are of one cable."""
    start = healthy("ring-4")
    first, second, third, fourth = planned(start)
    there = [second, fourth, (first[1], third[0])]
    found = {v.where: v.remedy for v in judge(cabled(start, there)) if v.state == "fail"}
    assert found == {
        f"{first[0]} - {first[1]}": f"follow the cable in {first[0]}: its other end belongs into {first[1]}, "
        f"and the one that is in {first[1]} to {third[1]}",
        f"{third[0]} - {third[1]}": f"move the cable end from {first[1]} to {third[1]} (its other end stays in "
        f"{third[0]}), in place of the one that is there",
    }


# --- at a switch ------------------------------------------------------------------------------------------------


def past_the_switch(one: str, other: str) -> View:
    """Two nodes that a cable joins directly, which LLDP sees; the other nodes are at the switch."""
    start = healthy("quad-switch")
    a, b = Port(one, "p1"), Port(other, "p1")
    rest = [c.a for c in start.fabric.cables if c.a not in (a, b)]
    view = cabled(start, [(a, b), (rest[0], rest[1])])
    facts = dict(view.facts)
    for mine, theirs in ((a, b), (b, a)):
        seen = tuple(Lldp(half("p1", rail).netdev, theirs.owner, half("p1", rail).netdev) for rail in RAILS)
        facts[mine.owner] = replace(facts[mine.owner], survey=replace(facts[mine.owner].survey, lldp=Known(seen)))
    return replace(view, facts=facts)


def test_a_cable_past_the_switch_is_led_to_it_and_the_other_one_is_missing() -> None:
    found = [v for v in judge(past_the_switch("spark-3", "spark-4")) if v.state == "fail"]
    assert [(v.id, v.remedy) for v in found] == [
        ("cabling", "lay a cable from spark-3:p1 to sw1:qsfp56-dd-2-1: none is left over for it"),
        ("cabling", "move the cable end from spark-3:p1 to sw1:qsfp56-dd-2-5 (its other end stays in spark-4:p1)"),
    ]


def test_a_free_port_of_the_right_speed_is_named_where_the_planned_one_is_taken() -> None:
    view = past_the_switch("spark-3", "spark-4")
    lldp = Known((Lldp(half("p1", "A").netdev, "sw1", "qsfp56-dd-2-1"),))
    facts = dict(view.facts)
    facts["spark-1"] = replace(facts["spark-1"], survey=replace(facts["spark-1"].survey, lldp=lldp))
    said = [v.remedy for v in judge(replace(view, facts=facts)) if v.state == "fail"]
    assert said[0].startswith("move the cable end from spark-4:p1 to sw1:qsfp56-dd-3-1 "), said


def test_a_second_cable_that_is_planned_is_not_taken_for_the_first(tmp_path: Path) -> None:
    """A node with both ports on the switch, one of them dark: its carrier is the fault, the other cable lies right."""
    text = (INVENTORIES / "quad-switch.yaml").read_text()
    more = text.replace("links:\n", "links:\n  - {a: spark-1:p0, b: sw1:qsfp56-dd-3-1}\n")
    (tmp_path / "two.yaml").write_text(more)
    found = study(tmp_path / "two.yaml")
    assert found.cluster is not None and found.fabric is not None
    rendering = render(found.cluster, found.fabric)
    facts = {
        n.name: node_facts(found.cluster, found.fabric, n.name, rendering.nodes[n.name]) for n in found.cluster.nodes
    }
    view = View(found.cluster, found.fabric, rendering.nodes, facts)
    netdevs = facts["spark-1"].netdevs
    assert isinstance(netdevs, Known)
    cut = {n: replace(d, carrier=d.carrier and "f1" not in n) for n, d in netdevs.value.items()}
    ends = [c.a for c in found.fabric.cables if c.a != Port("spark-1", "p1")]
    heard = cabled(view, [pair for pair in combinations(ends, 2) if pair[0].owner != pair[1].owner])
    facts = heard.facts | {"spark-1": replace(heard.facts["spark-1"], netdevs=Known(cut))}
    verdict = next(v for v in judge(replace(heard, facts=facts)) if v.where.startswith("spark-1:p1 - "))
    assert verdict.state == "skipped" and "rail-carrier" in verdict.message, verdict


def test_an_uplink_is_no_free_port() -> None:
    view = past_the_switch("spark-3", "spark-4")
    uplink = Link(Port("sw1", "qsfp56-dd-3-1"), Port("sw2", "qsfp56-dd-3-1"), 9)
    lldp = Known((Lldp(half("p1", "A").netdev, "sw1", "qsfp56-dd-2-1"),))
    one = replace(view.facts["spark-1"], survey=replace(view.facts["spark-1"].survey, lldp=lldp))
    fabric = replace(view.fabric, cables=(*view.fabric.cables, uplink))
    said = [
        v.remedy for v in judge(replace(view, facts=view.facts | {"spark-1": one}, fabric=fabric)) if v.state == "fail"
    ]
    assert any("to sw1:qsfp56-dd-3-5 " in remedy for remedy in said), said
