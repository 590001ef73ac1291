"""A plan on a terminal of 80 columns and 24 lines: the question stands below all of it, and no risk is left out."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparkctl.plan.blocks import Block
from sparkctl.plan.changes import Change, FileChange, NetworkChange
from sparkctl.plan.diff import Wishes
from sparkctl.plan.plan import Plan, Step
from sparkctl.report.plan import print_plan
from tests.unit.test_plan import CX7, pair, planned, settled

WIDTH, HEIGHT = 80, 24


def screen(plan: Plan, width: int = WIDTH, **more: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    print_plan(plan, console, short=True, **more)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def joined(lines: list[str]) -> str:
    """As it was before it was broken to fit."""
    return re.sub(r"\s+", " ", " ".join(lines))


def every(plan: Plan) -> list[tuple[str, Change]]:
    return [(node, change) for node in plan.nodes for change in plan.of(node)]


def test_the_question_of_two_nodes_stands_on_the_same_screen_as_the_plan() -> None:
    nodes = pair()
    for node in nodes.values():
        node.image = None  # fetched, too: the longest plan that two blank nodes can have
    plan = planned(nodes)
    lines = screen(plan)
    assert len(lines) < HEIGHT and max(map(cell_len, lines)) <= WIDTH
    said = joined(lines)
    assert f"{len(every(plan))} changes on 2 nodes; highest risk: link-drop" in said
    assert said.count("spark-1, spark-2: pull image") == 1, "equal changes share a line"
    for name, change in every(plan):
        if isinstance(change, FileChange):
            assert re.search(rf"{name}: create [^:]*{re.escape(change.path)}", said), change.path
        elif change.risk != "none":
            assert f"{name}: {change.summary} ({change.risk})" in said


def test_nothing_is_folded_but_what_is_equal() -> None:
    nodes = settled()
    for name, node in nodes.items():
        node.files["/etc/sparkctl/api.key"] = (0o644, b"other" if name == "spark-1" else b"another")
    said = joined(screen(planned(nodes, wishes=Wishes(force=frozenset({"/etc/sparkctl/api.key"})))))
    assert "spark-1, spark-2: change" not in said
    assert said.count("change /etc/sparkctl/api.key") == 2 and said.count("edited by somebody else (--force-path)") == 2


def test_equal_changes_of_another_mode_are_not_equal() -> None:
    step = planned(pair()).steps[0]
    change = next(c for c in step.changes["spark-2"] if isinstance(c, FileChange))
    assert change.after is not None
    other = change.model_copy(update={"after": change.after.model_copy(update={"digest": "0" * 64})})
    for twin, shared in ((change, True), (other, False)):
        plan = planned(pair()).model_copy(update={"steps": (Step(stage="network", title="x", changes={"spark-1": (change,), "spark-2": (twin,)}),)})
        assert (f"spark-1, spark-2: create {change.path}" in joined(screen(plan))) == shared


def hostile(count: int = 8) -> Plan:
    """Many nodes with long names, wide characters in reasons, several netdevs, foreign files and restarts."""
    nodes = pair()
    for node in nodes.values():
        node.foreign, node.active = CX7, "active"
    made = planned(nodes, wishes=Wishes(take_over=True))
    names = [f"node-{number}-{'x' * 50}" for number in range(count)]
    steps = []
    for step in made.steps:
        (changes, *_) = step.changes.values()
        steps.append(step.model_copy(update={"changes": {name: tuple(_renamed(c, i) for c in changes) for i, name in enumerate(names)}}))
    notes = (*made.notes, "node-0: 192.0.2.1 becomes 192.0.2.2", "node-1: /etc/x stays as it is: left behind " + "長い" * 60)
    return made.model_copy(update={"nodes": tuple(names), "steps": tuple(steps), "notes": notes})


def _renamed(change: Change, number: int) -> Change:
    if isinstance(change, NetworkChange):
        targets = (t.model_copy(update={"after_address": f"10.20.{k}.{number + 1}/24", "before_addresses": ("192.0.2.9/24",)}) for k, t in enumerate(change.netdevs))
        return change.model_copy(update={"netdevs": tuple(targets)})
    if isinstance(change, FileChange):
        return change.model_copy(update={"reason": f"因為{'長' * 60} {number}", "aside": change.aside})
    return change


@pytest.mark.parametrize("width", [20, 40, 80, 132])
def test_every_risk_of_a_large_plan_is_named_within_the_width(width: int) -> None:
    plan = hostile()
    block = Block(("network",), "node-3", "port 8000 is taken", "stop it")
    lines = screen(plan, width, blocked=(block,), silent=("node-9",))
    assert max(map(cell_len, lines)) <= width
    said = re.sub(r"\s+", "", "".join(lines))
    risks = [(node, change) for node, change in every(plan) if change.risk != "none" or (isinstance(change, FileChange) and change.aside)]
    assert len(risks) > 8 * 3
    for node, change in risks:
        assert re.search(rf"{node}[^:]*:{re.escape(change.summary.replace(' ', ''))}", said), (node, change.summary)
    for words in (*plan.notes, "blockedbynode-3:port8000istaken", "do:stopit"):
        assert words.replace(" ", "") in said
    for _node, change in every(plan):
        if isinstance(change, FileChange):
            assert change.path in said


def test_a_file_that_is_there_says_how_many_lines_change() -> None:
    nodes = settled()
    mode, content = nodes["spark-2"].files["/etc/sparkctl/engine.sh"]
    nodes["spark-2"].files["/etc/sparkctl/engine.sh"] = (mode, content.replace(b"set -eu\n", b"set -eu\nexit 0\nexit 1\n"))
    said = joined(screen(planned(nodes, wishes=Wishes(force=frozenset({"/etc/sparkctl/engine.sh"})))))
    assert "change /etc/sparkctl/engine.sh (+0 -2) because edited by somebody else (--force-path)" in said
