"""An all-gather over nodes in memory: when it is not begun, and that a run ends its own ranks only."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.commands.base import Command
from sparkctl.execute.allgather_test import all_gather
from sparkctl.execute.load import measured
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.system import SystemState
from sparkctl.facts.units import UnitState
from sparkctl.loadtest.results import Gathered
from sparkctl.outcome import Absent, Fact, Failed, Known, Ok, Result, Unknown
from tests.unit.healthy import GIB, healthy
from tests.unit.test_gathered import report
from tests.unit.test_load_run import TRIALS, Scripted, fleet_of, healthy_answer

STOPPED = Known(UnitState(True, "inactive", "dead", True, 0))
LOCK = Known("r1")


def stopped(**others: Any) -> dict[str, NodeFacts]:
    """The facts of `dual` with its engine stopped; `others` of spark-2."""
    facts = {node: replace(known, unit=STOPPED) for node, known in healthy("dual").facts.items()}
    return facts | {"spark-2": replace(facts["spark-2"], **others)}


def with_memory(available: int) -> Fact[SystemState]:
    return Known(SystemState("boot-spark-2", available))


def rank(command: Command) -> Result:
    return report() if command.title == "all-gather" else healthy_answer(command)


def gather(facts: dict[str, NodeFacts], **answers: Any) -> tuple[Fact[Gathered], dict[str, Scripted]]:
    named = {"spark-1": rank, "spark-2": rank} | {name.replace("_", "-"): answer for name, answer in answers.items()}
    fleet, nodes, _ = fleet_of("dual", named)
    view = healthy("dual")
    return asyncio.run(all_gather(fleet, view.cluster, view.fabric, facts)), nodes


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"lock": LOCK}, Unknown("spark-2: another run of sparkctl holds it, or died there")),
        ({"lock": Unknown("x")}, Unknown("spark-2: whether another run of sparkctl holds it is not known: x")),
        ({"system": Unknown("x")}, Unknown("spark-2: how much memory is available is not known: x")),
        (
            {"system": with_memory(8 * GIB - 1)},
            Absent("too little memory is free for an all-gather that tells anything and harms nobody"),
        ),
    ],
)
def test_when_none_is_begun(others: dict[str, Any], reason: Fact[Gathered]) -> None:
    found, nodes = gather(stopped(**others))
    assert found == reason
    assert not any(node.ran for node in nodes.values())


def test_the_node_with_least_memory_decides() -> None:
    found, nodes = gather(stopped(system=with_memory(8 * GIB)))
    assert isinstance(found, Known)
    assert all(node.ran == ["all-gather"] for node in nodes.values())


def test_a_run_ends_its_own_ranks_only() -> None:
    scripts: list[str] = []

    def busy(command: Command) -> Result:
        scripts.append(command.script)
        if command.title == "all-gather":
            return Failed(75, "", "another test under load runs there\n")
        return Ok("")

    found, _ = gather(stopped(), spark_2=busy)
    assert found == Unknown("spark-2: another test under load runs there")
    begun, ended = (set(re.findall(r"sparkctl-gather-[0-9a-f]{8}", script)) for script in scripts)
    assert begun == ended and len(begun) == 1
    gather(stopped(), spark_2=busy)
    assert not begun & set(re.findall(r"sparkctl-gather-[0-9a-f]{8}", scripts[-1])), "the next run has another name"


@pytest.mark.parametrize(("verify", "trials"), [(True, 0), (False, 4)])
def test_nothing_is_measured_where_another_run_is_at_work(verify: bool, trials: int) -> None:
    """`up` itself holds the lock, and asks for no all-gather."""
    fleet, nodes, _ = fleet_of("dual")
    view, facts = healthy("dual"), stopped(lock=LOCK)
    load = asyncio.run(measured(fleet, view.cluster, view.fabric, facts, "quick", emulated=False, gather=verify))
    assert load is not None
    assert sum(title in TRIALS for title in nodes["spark-1"].ran) == trials
    said = {fact.reason for facts in load.measured.values() for fact in facts if isinstance(fact, Unknown)}
    assert said == ({"not run: spark-2: another run of sparkctl holds it, or died there"} if verify else set())
