"""Cables that are swapped in every possible way: the check names them, and what it says to move puts them right."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from sparkctl.checks import View, judge
from sparkctl.checks.moves import Pair, moves
from sparkctl.fabric.ports import half
from sparkctl.facts.neighbours import Hello
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.outcome import Known
from tests.unit.healthy import healthy

RAILS = ("A", "B")


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
def test_the_moves_put_every_swap_right(inventory: str, one: Port, other: Port) -> None:
    wanted = planned(healthy(inventory))
    there = swapped(wanted, one, other)
    wrong = [pair for pair in there if not same([pair], [p for p in wanted if set(p) == set(pair)] or [])]
    missing = [pair for pair in wanted if frozenset(pair) not in {frozenset(p) for p in there}]
    made = moves(wrong, missing)
    assert len(made) == len(missing)
    right = [pair for pair in there if pair not in wrong] + [(m.stays, m.target) for m in made.values()]
    assert same(right, wanted)
    assert {m.source for m in made.values()} == {m.target for m in made.values()}


def test_three_ends_in_a_circle_are_all_named() -> None:
    """Greedy moves need not be the fewest here; every wrong cable is named, and nothing else fails."""
    start = healthy("ring-4")
    first, second, third, _ = planned(start)
    cables = [(first[0], second[1]), (second[0], third[1]), (third[0], first[1]), planned(start)[3]]
    found = [v for v in judge(cabled(start, cables)) if v.state in ("fail", "unknown")]
    assert [v.id for v in found] == ["cabling"] * 3
    assert all("move the cable end from" in v.remedy for v in found)
