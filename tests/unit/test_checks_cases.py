"""Every folder of cases/checks is a healthy cluster with some changes and exactly the verdicts that one check gives.

case.yaml: `inventory`, `expect` (real; lab), `change` (see changes.py), `also`: other checks that fail for it, too.
verdicts.txt: the check's own verdicts; `--golden` rewrites them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkctl.checks import View, judge
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.survey import Survey
from sparkctl.outcome import Verdict
from tests.unit.changes import changed
from tests.unit.healthy import healthy

FOLDER = Path(__file__).parents[1] / "cases/checks"
CASES = sorted(FOLDER.glob("*/*/case.yaml"))
POINTER = re.compile(r": see ([a-z-]+)(?:,|$)")
UNJUDGED = {
    *("system", "record", "run", "lock", "journal", "netplan_files", "missing_tools", "container", "raw"),
    "pulled",  # asked with the image, and only where ids differ
    *("skew", "survey.clock", "survey.counters"),  # judged as View.skews and View.load
    *("survey.hellos", "survey.lldp"),  # what one end did not hear the other one may have heard
    "survey.nccl",  # one image holds one library
}
"""Facts that no check judges alone."""
KEYS = {"inventory", "expect", "change", "also"}


def identify(path: Path) -> str:
    return f"{path.parent.parent.name}--{path.parent.name}"


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    assert case.keys() <= KEYS, case.keys() - KEYS
    return case


def view(case: dict[str, Any]) -> View:
    """What the checks see in this case."""
    start = healthy(case["inventory"], case.get("expect", "real"))
    return reduce(changed, case.get("change", []), start)


def shown(verdict: Verdict) -> str:
    """A verdict in a line that a person can review."""
    parts = [f"{verdict.state:7} {verdict.where}: {verdict.message}"]
    parts += [f"measured {verdict.measured}"] * bool(verdict.measured)
    parts += [f"expected {verdict.expected}"] * bool(verdict.expected)
    parts += [f"do: {verdict.remedy}"] * bool(verdict.remedy)
    return " | ".join(parts) + "\n"


@pytest.mark.parametrize("path", CASES, ids=identify)
def test_a_case_has_exactly_these_verdicts(path: Path, golden: Callable[[Path, str], None]) -> None:
    case, id = read(path), path.parent.parent.name
    verdicts = judge(view(case))
    golden(path.parent / "verdicts.txt", "".join(shown(v) for v in verdicts if v.id == id))
    failed = {v.id for v in verdicts if v.state == "fail"}
    assert failed - {id} == set(case.get("also", ())), "exactly the right checks fail"


@pytest.mark.parametrize("path", CASES, ids=identify)
def test_a_verdict_is_fit_to_be_read(path: Path) -> None:
    """What is wrong says what to do, what is skipped or unknown says why, and a terminal shows it as it is."""
    for v in judge(view(read(path))):
        assert v.where and v.message, v
        assert v.state in ("pass", "skipped") or v.remedy, v
        assert all(text.isprintable() for text in (v.where, v.message, v.measured, v.expected, v.remedy)), v


def test_a_change_is_made_where_the_path_says() -> None:
    start = healthy("dual")
    made = changed(start, {"path": "spark-1.survey.ethernet.enp1s0f1np1.speed", "to": 100000})
    survey = made.facts["spark-1"].survey
    assert made.facts["spark-2"] == start.facts["spark-2"]
    assert changed(made, {"path": "spark-1.survey.ethernet.enp1s0f1np1.speed", "to": 200000}) == start
    assert replace(survey, ethernet=start.facts["spark-1"].survey.ethernet) == start.facts["spark-1"].survey
    with pytest.raises(KeyError):
        changed(start, {"path": "spark-1.survey.engine", "to": 1})


@pytest.mark.parametrize("path", CASES, ids=identify)
def test_what_points_to_a_cause_points_to_a_failure(path: Path) -> None:
    """`see ID` of a skipped verdict: that check fails, or is explained by one that does."""
    verdicts = judge(view(read(path)))
    failed = {v.id for v in verdicts if v.state == "fail"}
    pointing = {(v.id, found[1]) for v in verdicts if v.state == "skipped" and (found := POINTER.search(v.message))}
    causes = dict(pointing)
    for _, cause in pointing:
        seen = {cause}
        while cause not in failed and causes.get(cause, cause) not in seen:
            seen.add(cause := causes[cause])
        assert cause in failed, (pointing, failed)


WHOLE = [field.name for field in fields(NodeFacts) if field.name not in ("node", "files", "survey", "baseline", "room", "arrival", "holders")]
"""No check asks for `baseline`: teardown alone does (test_plan); nor for the last three, which a plan needs (test_blocks)."""
FACTS = [*WHOLE, *(f"survey.{field.name}" for field in fields(Survey))]


@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "quad-switch"])
@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_that_could_not_be_read_is_noticed(inventory: str, fact: str) -> None:
    verdicts = judge(changed(healthy(inventory), {"path": f"spark-2.{fact}", "unknown": "planted"}))
    noticed = any(v.state == "unknown" and "spark-2" in v.where and "planted" in v.message for v in verdicts)
    assert noticed or fact in UNJUDGED, f"nobody noticed that {fact} is unknown"


@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "quad-switch"])
@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("state", ["absent", "unknown"])
@pytest.mark.parametrize("node", ["spark-2", "*"])
def test_no_missing_fact_breaks_a_check(inventory: str, fact: str, state: str, node: str) -> None:
    verdicts = judge(changed(healthy(inventory), {"path": f"{node}.{fact}", state: "planted"}))
    assert verdicts
    assert all(v.remedy for v in verdicts if v.state in ("fail", "unknown", "warn"))
