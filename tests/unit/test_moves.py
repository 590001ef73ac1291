"""The fewest plugs to move, against brute force; and the least cuts between switches, against every cut that there is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.fabric.graph import groups, heaviest_matching, minimum_cuts
from sparkctl.fabric.moves import Alike, Move, Pair, Recabling, along, circle, fewest_moves, nowhere, relabelled
from sparkctl.fabric.switches import CRS804, alike
from sparkctl.inventory.model import LinkEnd as Port
from tests.unit.healthy import healthy

ROOT = Path(__file__).resolve().parents[2]
Cables = tuple[Pair, ...]
POOL = tuple(Port("sw1", cage.port(lane)) for cage in CRS804.cages for lane in cage.full)
LEGS: Alike = dict.fromkeys(POOL, POOL)


def planned(inventory: str) -> Cables:
    return tuple((cable.a, cable.b) for cable in healthy(inventory).fabric.cables)


def every_port(inventory: str) -> list[Port]:
    nodes = [Port(node.name, port) for node in healthy(inventory).cluster.nodes for port in ("p0", "p1")]
    return [*nodes, *POOL] if inventory == "quad-switch" else nodes


def placed(cables: Cables, places: dict[Port, Port]) -> Cables:
    return tuple((places.get(a, a), places.get(b, b)) for a, b in cables)


def spoilt(cables: Cables, ports: list[Port]) -> Iterator[Cables]:
    """Every way to do one thing wrong: a plug in a free port, or two plugs that changed places."""
    used = [port for cable in cables for port in cable]
    for one, other in combinations(used, 2):
        yield placed(cables, {one: other, other: one})
    for one in used:
        for free in ports:
            if free not in used:
                yield placed(cables, {one: free})


def shape_of(cables: Iterable[Pair]) -> frozenset[frozenset[Port]]:
    return frozenset(frozenset(cable) for cable in cables)


def wrongly_cabled(inventory: str) -> list[Cables]:
    """Every single and every double mis-cabling, each once, and the right one."""
    ports = every_port(inventory)
    single = {shape_of(cables): cables for cables in spoilt(planned(inventory), ports)}
    double = {shape_of(cables): cables for one in single.values() for cables in spoilt(one, ports)}
    return list((single | double).values())


def by_moving_plugs(there: Cables, wanted: Cables) -> int:
    """Pull k plugs and put them back in every order, for the smallest k that helps; every port of a circle is used."""
    plugs, goal = [port for cable in there for port in cable], shape_of(wanted)
    for count in range(len(plugs) + 1):
        for pulled in combinations(plugs, count):
            if any(shape_of(placed(there, dict(zip(pulled, p, strict=True)))) == goal for p in permutations(pulled)):
                return count
    raise AssertionError("the ports are not those of the wanted cables")


def by_assigning_cables(there: Cables, wanted: Cables, alike: Alike) -> int:
    """Every cable as every wanted one, either way round."""

    def cost(cable: Pair, pair: Pair) -> int:
        ways = (cable, cable[::-1])
        return min(sum(p != e and p not in alike.get(e, ()) for p, e in zip(way, pair, strict=True)) for way in ways)

    costs = [[cost(cable, pair) for pair in wanted] for cable in there]
    return min(sum(costs[row][k] for row, k in enumerate(order)) for order in permutations(range(len(wanted))))


def after(there: Cables, found: Recabling) -> Cables:
    """The cables when everything was done; a port that gets two plugs, or one in place of another, fails."""
    moves = [move for turn in found.turns for move in turn.moves]
    assert len({m.source for m in moves}) == len({m.target for m in moves}) == len(moves) == found.count
    made = placed(there, dict(moves))
    assert len({port for cable in made for port in cable}) == 2 * len(made)
    return made


@pytest.mark.parametrize("inventory", ["mesh-3", "ring-4"])
def test_no_way_needs_fewer_plugs_in_a_circle(inventory: str) -> None:
    wanted = planned(inventory)
    cases = wrongly_cabled(inventory)
    for there in cases:
        found = fewest_moves(there, wanted)
        assert found.count == by_moving_plugs(there, wanted), there
        assert shape_of(after(there, found)) == shape_of(wanted)
        assert not found.missing and not found.surplus


def test_no_way_needs_fewer_plugs_at_a_switch() -> None:
    wanted = planned("quad-switch")
    for there in wrongly_cabled("quad-switch"):
        found = fewest_moves(there, wanted, LEGS)
        assert found.count == by_assigning_cables(there, wanted, LEGS), there
        made = {frozenset(port if port not in POOL else POOL[0] for port in c) for c in after(there, found)}
        assert made == {frozenset((node, POOL[0])) for node, _ in wanted}


def test_a_switch_port_of_another_speed_is_left_for_a_free_one_of_the_right_speed() -> None:
    first, _, third, _ = planned("quad-switch")
    slow = Port("sw1", "ether1")
    found = fewest_moves([first, (third[0], slow)], [first, third], LEGS)
    assert [turn.moves for turn in found.turns] == [(Move(slow, third[1]),)]
    found = fewest_moves([(first[0], third[1]), (third[0], slow)], [first, third], LEGS)
    assert [turn.moves for turn in found.turns] == [(Move(slow, POOL[1]),)], "neither used nor planned"


def test_ports_are_alike_that_have_one_speed_and_slow_down_no_other() -> None:
    assert CRS804.alike([POOL[0].port])[0] == tuple(port.port for port in POOL)
    halves = CRS804.alike(["qsfp56-dd-1-1", "qsfp56-dd-1-3"])
    assert halves[0][:4] == ("qsfp56-dd-1-1", "qsfp56-dd-1-3", "qsfp56-dd-1-5", "qsfp56-dd-1-7")
    assert not any("qsfp56-dd-1-3" in ports for ports in CRS804.alike(["qsfp56-dd-1-1"]))
    assert set(alike("sw1", "mikrotik-crs804", [POOL[0].port])) >= set(POOL) and not alike("sw1", "acme", ["p1"])


def test_a_missing_cable_and_one_too_many_are_said() -> None:
    one, two, three = planned("mesh-3")
    found = fewest_moves([one, (two[0], three[0])], [one, two, three])
    assert (found.count, found.missing, found.surplus) == (1, (three,), ())
    found = fewest_moves([one, two, three], [one, two])
    assert (found.count, found.missing, found.surplus) == (0, (), (three,))
    found = fewest_moves([(one[0], two[0]), (one[1], two[1])], [(one[0], one[1])])
    assert (found.count, len(found.surplus)) == (1, 1)
    assert found.words(found.turns[0]) == (
        f"move the cable end from {two[0]} to {one[1]} (its other end stays in {one[0]}), "
        "in place of the one that is there"
    )


def test_the_words_are_one_sentence_a_plug() -> None:
    a, b, c, d = (Port(f"spark-{n}", "p0") for n in range(1, 5))
    e, f = Port("spark-5", "p0"), Port("spark-6", "p0")
    found = fewest_moves([(a, b), (c, d)], [(a, d), (c, b)])
    assert found.words(found.turns[0]).endswith(
        f"(its other end stays in {found.turns[0].stays}), and the one that is "
        f"in {found.turns[0].moves[0].target} to {found.turns[0].moves[0].source}"
    )
    found = fewest_moves([(a, b), (c, d)], [(a, b), (e, f)])
    assert found.words(found.turns[0]) == f"move the cable end from {c} to {e} and its other end from {d} to {f}"


def test_what_is_not_known_is_said_as_such() -> None:
    a, b, c, d = (Port(f"spark-{n}", "p0") for n in range(1, 5))
    found = fewest_moves([(a, nowhere(a))], [(a, b)])
    assert found.words(found.turns[0]) == f"follow the cable in {a}: its other end belongs into {b}"
    found = fewest_moves([(a, nowhere(a))], [(c, d)])
    assert found.words(found.turns[0]) == f"move the cable end from {a} to {c} and its other end to {d}"


PORTS = st.sampled_from([Port(f"n{n}", p) for n in range(3) for p in ("p0", "p1")])


@given(st.lists(st.tuples(PORTS, PORTS), max_size=8))
def test_cables_that_cannot_be_get_an_answer_too(there: list[Pair]) -> None:
    """Who hears whom may name a port twice."""
    found = fewest_moves(there, circle(["n0", "n1", "n2"]))
    assert all(found.words(turn) for turn in found.turns)
    assert along(there, ["n0", "n1", "n2"])[0] == "n0"


@given(st.permutations([Port(f"n{n}", p) for n in range(4) for p in ("p0", "p1")]), st.integers(0, 4))
def test_no_order_of_the_nodes_needs_fewer_plugs(ports: list[Port], cables: int) -> None:
    nodes = [f"n{n}" for n in range(4)]
    there = list(zip(ports[::2], ports[1::2], strict=True))[:cables]
    best = min(fewest_moves(there, circle(order)).count for order in permutations(nodes))
    order, found = relabelled(there, nodes, fewest_moves(there, circle(nodes)))
    assert order[0] == nodes[0] and sorted(order) == nodes
    assert found.count == best == fewest_moves(there, circle(along(there, nodes))).count


def test_the_order_is_kept_where_another_one_saves_nothing() -> None:
    nodes = ["a", "b", "c"]
    straight = [(Port("a", "p0"), Port("b", "p0")), (Port("a", "p1"), Port("b", "p1"))]
    assert relabelled(straight, nodes, fewest_moves(straight, circle(nodes)))[0] == ("a", "b", "c")
    turned = circle(["a", "c", "b"])
    assert relabelled(turned, nodes, fewest_moves(turned, circle(nodes))) == (("a", "c", "b"), Recabling((), (), ()))


# --- the graph --------------------------------------------------------------------------------------------------

WEIGHTS = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 9), max_size=14)


@given(WEIGHTS)
def test_no_matching_is_heavier(weights: dict[tuple[int, int], int]) -> None:
    found = heaviest_matching(weights)
    assert len(set(found.values())) == len(found) and found.items() <= weights.keys()
    best = max(sum(weights.get(pair, 0) for pair in enumerate(order)) for order in permutations(range(5)))
    assert sum(weights[pair] for pair in found.items()) == best


@given(st.data())
def test_the_tree_has_a_least_cut_for_every_two_switches(data: st.DataObject) -> None:
    names = [f"sw{n}" for n in range(data.draw(st.integers(2, 6)))]
    tree = [(names[data.draw(st.integers(0, n - 1))], names[n]) for n in range(1, len(names))]
    more = data.draw(st.lists(st.sampled_from(list(combinations(names, 2))), max_size=8))
    edges = [(*pair, data.draw(st.integers(1, 8)) * 50) for pair in [*tree, *more]]

    def crossing(part: frozenset[str]) -> int:
        return sum(capacity for a, b, capacity in edges if (a in part) != (b in part))

    cuts = minimum_cuts(edges)
    assert len(cuts) == len(names) - 1
    assert all(crossing(cut.part) == cut.capacity for cut in cuts)
    parts = [frozenset(part) for size in range(1, len(names)) for part in combinations(names, size)]
    for a, b in combinations(names, 2):
        least = min(crossing(part) for part in parts if (a in part) != (b in part))
        assert least == min(cut.capacity for cut in cuts if (a in cut.part) != (b in cut.part))


def test_groups_come_in_the_order_of_the_names() -> None:
    assert groups("dcba", [("a", "d"), ("b", "c")]) == (("d", "a"), ("c", "b"))
    assert groups((), ()) == ()


@pytest.mark.parametrize(
    ("words", "loads"),
    [
        (["--help"], False),
        (["validate", "inventories/dual.yaml"], False),
        (["validate", "inventories/ring-4.yaml"], False),
        (["validate", "tests/cases/findings/TOP005--straight/inventory.yaml"], True),
    ],
)
def test_the_graph_library_is_loaded_for_a_hard_question_alone(words: list[str], loads: bool) -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print('networkx.classes' in sys.modules)); "
        "from sparkctl.cli.main import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == str(loads), ran.stdout + ran.stderr
