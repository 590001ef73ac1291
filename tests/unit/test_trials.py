"""Tests under load: the schedule, what need not be tried, the commands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.commands.base import Effect
from sparkctl.fabric.model import Fabric
from sparkctl.loadtest import perftest as commands
from sparkctl.loadtest.perftest import EMULATED, FULL, PORT, QUICK, End
from sparkctl.loadtest.results import Lane
from sparkctl.loadtest.schedule import Rounds, hindrance, schedule
from sparkctl.study import study
from tests.made import text, trees
from tests.unit.changes import changed
from tests.unit.healthy import healthy, studied


def pairs(rounds: Rounds) -> list[frozenset[str]]:
    return [pair[0].nodes for round in rounds for pair in round]


def lanes(rounds: Rounds, tool: str, kind: str = "alone") -> Counter[Lane]:
    trials = (trial for round in rounds for pair in round for trial in pair)
    return Counter(lane for t in trials if t.tool == tool and t.kind == kind for lane in t.lanes)


# --- the schedule -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inventory", "full", "quick", "met"),
    [
        ("dual", 1, 1, 1),
        ("dual-switch", 1, 1, 1),
        ("mesh-3", 3, 3, 3),
        ("ring-4", 2, 2, 4),
        ("quad-switch", 3, 2, 6),
        ("octo-switch", 7, 2, 28),
    ],
)
def test_rounds_are_as_few_as_they_can_be(inventory: str, full: int, quick: int, met: int) -> None:
    fabric = studied(inventory)[1]
    assert (len(schedule(fabric)), len(schedule(fabric, quick=True))) == (full, quick)
    assert len(pairs(schedule(fabric))) == len(set(pairs(schedule(fabric)))) == met


def made(tree: dict[str, object], folder: Path) -> Fabric:
    path = folder / "made.yaml"
    path.write_text(text(tree))
    fabric = study(path).fabric
    assert fabric is not None
    return fabric


@given(trees(), st.booleans())
def test_no_trial_disturbs_another_and_nothing_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object], quick: bool
) -> None:
    fabric = made(tree, tmp_path_factory.mktemp("made"))
    rounds = schedule(fabric, quick=quick)
    for round in rounds:
        busy = [node for pair in round for node in pair[0].nodes]
        assert len(busy) == len(set(busy)), "a node takes part in one pair at a time"
        assert all(trial.nodes == pair[0].nodes for pair in round for trial in pair)
    reachable = {Lane(a, b) for a in fabric.attachments for b in fabric.peers(a)}
    alone = lanes(rounds, "bandwidth")
    assert set(alone) <= reachable and set(alone.values()) <= {1}
    assert {Lane(lane.server, lane.client) for lane in alone} == set(alone), "both directions"
    if quick:
        assert {lane.client for lane in alone} == {a for a in fabric.attachments if fabric.peers(a)}
        assert lanes(rounds, "latency") == lanes(rounds, "bandwidth", "rails") == lanes(rounds, "bandwidth", "ways") == Counter()
    else:
        assert set(alone) == reachable
        both = {a.rail for a in fabric.attachments} == {"A", "B"}
        assert set(lanes(rounds, "bandwidth", "rails")) == (reachable if both else set())
        assert set(lanes(rounds, "latency")) == set(lanes(rounds, "bandwidth", "ways")) == reachable


@given(trees(topology="switch"))
def test_quick_costs_two_rounds_at_most_unless_switches_share_a_cable(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    fabric = made(tree, tmp_path_factory.mktemp("made"))
    if len({a.segment for a in fabric.attachments}) == 1 and len(fabric.cables) == len(fabric.endpoints):
        assert len(schedule(fabric, quick=True)) <= 2


# --- what speaks against a trial ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "spark-2.netdevs.enp1s0f1np1.carrier", "to": False}, "no carrier at spark-2 p1 rail A"),
        ({"path": "spark-1.netdevs.enp1s0f1np1.up", "to": False}, "no carrier at spark-1 p1 rail A"),
        ({"path": "spark-1.netdevs.enp1s0f1np1", "remove": True}, "no netdev at spark-1 p1 rail A"),
        ({"path": "spark-2.rdma.rocep1s0f1", "remove": True}, "no RDMA device at spark-2 p1 rail A"),
        ({"path": "spark-2.survey.gids", "to": []}, "no RoCE v2 GID of 10.20.0.12 at spark-2 p1 rail A"),
        ({"path": "spark-2.survey.gids", "unknown": "x"}, ""),
        ({"path": "spark-2.survey.perftest", "absent": "x"}, "perftest is not installed on spark-2"),
        (
            {"path": "spark-1.pings.enp1s0f1np1=10.20.0.12", "to": False},
            "spark-2 does not answer full-size pings there",
        ),
        ({"path": "spark-1.netdevs", "unknown": "x"}, ""),
        ({"path": "spark-1.pings", "unknown": "x"}, ""),
        ({"path": "spark-1.survey.perftest", "unknown": "x"}, ""),
        ({"path": "spark-1.netdevs.enP2p1s0f1np1.carrier", "to": False}, ""),
    ],
)
def test_what_is_known_to_be_wrong_is_not_tried(change: dict[str, object], words: str) -> None:
    view = changed(healthy("dual"), change)
    lane = next(t for t in view.load.measured if str(t.lanes[0]) == "spark-1:p1 -> spark-2:p1 rail A").lanes[0]  # type: ignore[union-attr]
    assert hindrance(lane, view.facts) == words


# --- the commands ---------------------------------------------------------------------------------------------------


def test_the_commands_of_both_ends() -> None:
    ends = [End("rocep1s0f1", 3, "10.20.0.12"), End("roceP2p1s0f1", None, "10.20.1.12")]
    made = commands.command("abcd", "bandwidth", ends, FULL)
    assert made.effect is Effect.LOAD and made.timeout > FULL.bound
    assert made.script.splitlines()[-4:] == [
        "load_begins abcd",
        "lane 0 14 client ib_write_bw -d rocep1s0f1 -x 3 -p 18515 -F --report_gbits -s 65536 -q 4 -D 2 10.20.0.12",
        "lane 1 14 client ib_write_bw -d roceP2p1s0f1 -p 18516 -F --report_gbits -s 65536 -q 4 -D 2 10.20.1.12",
        "load_ends",
    ]
    server = commands.command("abcd", "latency", [End("rocep1s0f1", 3)], EMULATED)
    assert server.script.splitlines()[-2] == f"lane 0 51 server ib_write_lat -d rocep1s0f1 -x 3 -p {PORT} -F -s 2 -n 50"
    assert " -t 8 -D 2 10.20.0.12\n" in commands.command("t", "bandwidth", ends, EMULATED).script
    assert commands.stop("abcd").effect is Effect.LOAD


def test_lanes_that_run_together_take_longer_on_real_machines_only() -> None:
    assert (FULL.among(1), FULL.among(2).seconds, FULL.among(2).bound) == (FULL, 4, FULL.bound + 2)
    assert (EMULATED.among(2), QUICK.among(2)) == (EMULATED, QUICK)


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_hostile_names_stay_words(name: str) -> None:
    script = commands.command("t", "bandwidth", [End(name, 3)], QUICK).script
    assert script.startswith(commands.functions("load/perftest.sh"))
