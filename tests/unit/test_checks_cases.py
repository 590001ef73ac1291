"""Every folder of cases/checks is a healthy cluster with some changes and exactly the verdicts that one check gives.

case.yaml: `inventory`, `expect` (real; lab), `change` (see changes.py), `also`: other checks that fail for it, too.
verdicts.txt: the check's own verdicts; `--golden` rewrites them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkctl.checks import View, judge
from sparkctl.outcome import Verdict
from tests.unit.changes import changed
from tests.unit.healthy import healthy

FOLDER = Path(__file__).parents[1] / "cases/checks"
CASES = sorted(FOLDER.glob("*/*/case.yaml"))
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
