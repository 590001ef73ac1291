"""One fault is one failure, also for the engine, whose ranks work as one: what follows points to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkctl.checks import View, judge
from sparkctl.outcome import Absent, Known, Unknown
from tests.unit.healthy import healthy
from tests.unit.test_status import dark


def without_token(view: View) -> View:
    return replace(view, canary=Unknown("no token within 30 s"))


def stopped(view: View, node: str) -> View:
    unit = view.facts[node].unit
    assert isinstance(unit, Known)
    down = replace(view.facts[node], unit=Known(replace(unit.value, active="failed", sub="failed")))
    return replace(view, facts={**view.facts, node: down})


def cut(view: View) -> View:
    for node in view.facts:
        for netdev in ("enp1s0f1np1", "enP2p1s0f1np1"):
            view = dark(view, node, netdev)
    return view


def no_image(view: View) -> View:
    return replace(view, facts={**view.facts, "spark-2": replace(view.facts["spark-2"], image=Absent("none"))})


DUAL = healthy("dual")
CASES = {
    "rank": (stopped(DUAL, "spark-2"), {"engine-unit"}),
    "image": (no_image(DUAL), {"engine-image"}),
    "cable": (stopped(stopped(cut(DUAL), "spark-1"), "spark-2"), {"rail-carrier"}),
    "nothing else": (DUAL, {"engine-canary"}),
}


@pytest.mark.parametrize(("view", "cause"), CASES.values(), ids=CASES)
def test_what_follows_from_a_fault_points_to_it(view: View, cause: set[str]) -> None:
    verdicts = judge(without_token(view))
    assert {v.id for v in verdicts if v.state in ("fail", "unknown")} == cause
    (token,) = [v for v in verdicts if v.id == "engine-canary"]
    assert token.state == "fail" or (token.cause is not None and {token.cause[0]} == cause)
