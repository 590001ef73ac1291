"""Every check has a page, sources for its limits, and a passing, a failing and an unknown case; none is alarmed by a
healthy cluster."""

from __future__ import annotations

import re
from dataclasses import replace
from graphlib import TopologicalSorter
from inspect import getsourcefile
from pathlib import Path

import pytest

from sparkctl.checks import CHECKS, STAGES, judge
from sparkctl.checks.base import AFTER, SLOWED
from sparkctl.checks.thresholds import Thresholds, sources
from sparkctl.facts.survey import NOTHING
from sparkctl.outcome import RailEnd
from sparkctl.resources import share
from tests.unit.healthy import SHIPPED, healthy

CASES = Path(__file__).parents[1] / "cases/checks"
SECTIONS = ["What it judges", "Expected", "Why", "What to do", "Source"]
every_check = pytest.mark.parametrize("id", CHECKS)


def page(id: str) -> str:
    return (share("checks") / f"{id}.md").read_text()


def states(id: str) -> set[str]:
    """All states that the cases of a check show."""
    texts = (path.read_text() for path in CASES.glob(f"{id}/*/verdicts.txt"))
    return {line.split()[0] for text in texts for line in text.splitlines()}


def limits(id: str) -> set[str]:
    """The thresholds that the module of a check reads."""
    source = Path(getsourcefile(CHECKS[id]) or "").read_text()
    return {name for name in sources() if re.search(rf"(thresholds|limits)\.{name}\b", source)}


@every_check
def test_the_page_is_complete(id: str) -> None:
    text = page(id)
    assert text.startswith(f"# {id}: ")
    assert f"\nStage: {STAGES[id]}" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert all(section.strip() for section in re.split(r"^## .+$", text, flags=re.MULTILINE))


@every_check
def test_the_page_names_its_limits(id: str) -> None:
    module = [other for other in CHECKS if getsourcefile(CHECKS[other]) == getsourcefile(CHECKS[id])]
    named = {name for other in module for name in limits(id) if f"`{name}`" in page(other)}
    assert named == limits(id)


@pytest.mark.parametrize("name", sources())
def test_a_limit_has_a_unit_a_source_and_a_check(name: str) -> None:
    default, unit, source = sources()[name]
    assert getattr(Thresholds(), name) == default
    assert unit and source
    assert any(name in limits(id) for id in CHECKS), f"no check compares with {name}"


@every_check
@pytest.mark.parametrize("state", ["pass", "fail", "unknown"])
def test_there_is_a_case_of_each_state(id: str, state: str) -> None:
    if (id, state) in (("engine-canary", "unknown"), ("node-off", "unknown"), ("node-answer", "fail")):
        return  # no token, and no answer, is a failure, whatever kept it away; a row that cannot be read proves none
    wanted = {"fail", "warn"} if state == "fail" else {state}
    assert states(id) & wanted, f"no case of {id} shows {state}"


@every_check
def test_there_is_no_case_that_shows_nothing(id: str) -> None:
    for path in CASES.glob(f"{id}/*/case.yaml"):
        assert (path.parent / "verdicts.txt").read_text(), path


def test_there_is_no_page_and_no_case_without_a_check() -> None:
    assert {path.stem for path in share("checks").iterdir()} == set(CHECKS)
    assert {path.name for path in CASES.iterdir()} <= set(CHECKS)


@pytest.mark.parametrize("expect", ["real", "lab"])
@pytest.mark.parametrize("inventory", SHIPPED)
def test_a_healthy_cluster_raises_no_alarm(inventory: str, expect: str) -> None:
    verdicts = judge(healthy(inventory, "lab" if expect == "lab" else "real"))
    assert [v for v in verdicts if v.state not in ("pass", "skipped")] == []
    assert {v.id for v in verdicts} == set(CHECKS)
    assert all(v.message for v in verdicts)


@pytest.mark.parametrize("inventory", SHIPPED)
def test_what_was_not_asked_is_not_judged(inventory: str) -> None:
    """A run settles on the facts of its plan alone."""
    start = healthy(inventory)
    bare = {node: replace(facts, survey=NOTHING) for node, facts in start.facts.items()}
    verdicts = judge(replace(start, facts=bare, load=None, skews={}))
    assert [v for v in verdicts if v.state not in ("pass", "skipped")] == []


def test_every_end_is_an_end_of_the_fabric() -> None:
    """A verdict that names an end by another word would neither be a cause nor have one."""
    for inventory in SHIPPED:
        start = healthy(inventory)
        known = {RailEnd(a.node, a.half.port, a.rail) for a in start.fabric.attachments}
        assert {end for v in judge(start) for end in v.ends} <= known


def test_causes_are_checks_and_lead_to_an_end() -> None:
    assert {cause for causes in AFTER.values() for cause in causes} <= set(CHECKS)
    assert list(TopologicalSorter(AFTER).static_order())
    assert all(set(SLOWED[id]) <= set(causes) for id, causes in AFTER.items())
