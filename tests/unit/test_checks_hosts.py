"""What must hold of the checks of hosts whatever the nodes say: nobody is forgotten, and no answer crashes a check."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.checks import STAGES, View, judge
from sparkctl.checks.alike import Alike
from sparkctl.checks.clock import Bounds, differ
from sparkctl.checks.hosts import STAGE
from sparkctl.checks.kernel import is_off
from sparkctl.checks.nccl import fault
from sparkctl.facts.host import Kernel
from sparkctl.facts.survey import Survey
from sparkctl.outcome import Absent, Fact, Known, Unknown, Verdict
from tests.unit.healthy import healthy

OURS = sorted(id for id, stage in STAGES.items() if stage == STAGE and id != "node-answer")  # which is about what was answered
ALIKE = Alike("same-kernel", "kernel", "make it equal")

facts = st.one_of(
    st.sampled_from(["a", "b", "c"]).map(Known), st.just(Absent("not there")), st.just(Unknown("not read"))
)
clusters = st.lists(facts, min_size=2, max_size=8).map(lambda all: {f"spark-{n}": f for n, f in enumerate(all, 1)})
bounds = st.tuples(st.floats(-1e4, 1e4), st.floats(0, 20)).map(lambda at: (at[0], at[0] + at[1]))


def judged(view: View, id: str) -> list[Verdict]:
    return [verdict for verdict in judge(view) if verdict.id == id]


@given(clusters)
def test_who_is_unlike_the_others_is_told_and_nobody_else(nodes: dict[str, Fact[str]]) -> None:
    verdicts = list(ALIKE.judge(nodes))
    values = {fact.value for fact in nodes.values() if isinstance(fact, Known)}
    some = any(not isinstance(fact, Absent) for fact in nodes.values())
    failed = {v.where for v in verdicts if v.state == "fail"}
    assert {v.where for v in verdicts if v.state == "unknown"} == {
        n for n, f in nodes.items() if f == Unknown("not read")
    }
    assert {n for n, f in nodes.items() if isinstance(f, Absent) and some} <= failed
    assert not [v for v in verdicts if v.state == "pass"] or len(values) == 1
    assert len(values) < 2 or failed, "two values never pass"
    assert verdicts or sum(isinstance(fact, Known) for fact in nodes.values()) == 1 < len(nodes)


@given(bounds, bounds, st.floats(0.1, 100))
def test_clocks_differ_only_where_it_is_certain(one: Bounds, other: Bounds, limit: float) -> None:
    assert differ(one, other, limit) == differ(other, one, limit)
    assert not (differ(one, other, limit) and max(one[0], other[0]) <= min(one[1], other[1])), "they overlap"


@given(st.lists(bounds, min_size=4, max_size=4))
def test_every_clock_is_judged(all: list[Bounds]) -> None:
    view = healthy("quad-switch")
    names = [node.name for node in view.cluster.nodes]
    view = replace(view, skews=dict(zip(names, all, strict=True)))
    verdicts = judged(view, "clock-skew")
    apart = any(differ(one, other, view.thresholds.clock_skew) for one in all for other in all)
    assert {v.where for v in verdicts} >= set(names) or "cluster" in {v.where for v in verdicts}
    assert any(v.state == "fail" for v in verdicts) == apart


@given(st.text(max_size=40), st.booleans())
def test_any_version_has_an_answer(version: str, ring: bool) -> None:
    found = fault(version, ring)
    assert found is None or found.state in ("warn", "fail")


@pytest.mark.parametrize(
    ("version", "ring", "state"),
    [
        ("2.28.9", False, "fail"),
        ("2.29.2", False, "fail"),
        ("2.29.3", False, "warn"),
        ("2.29.7", True, "fail"),
        ("2.30", True, "fail"),
        ("2.30.6", True, "fail"),
        ("2.30.6", False, "warn"),
        ("2.30.7", True, None),
        ("2.30.7+cuda13.0", False, None),
        ("3.0", True, None),
    ],
)
def test_where_the_floors_are(version: str, ring: bool, state: str | None) -> None:
    found = fault(version, ring)
    assert (found.state if found else None) == state


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ("", False),
        ("kho=off", True),
        ("a kho=0 b", True),
        ("nokho=off", False),
        ("kho=off kho=on", False),
        ("kho", False),
    ],
)
def test_a_switch_of_the_command_line(line: str, off: bool) -> None:
    assert is_off("kho", Kernel("7.0.0", line)) == off


@pytest.mark.parametrize("id", OURS)
def test_what_nobody_asked_for_is_no_answer(id: str) -> None:
    """A survey of other things: none of these passes, fails or warns for want of an answer."""
    view = healthy("dual")
    kept = {name: replace(f, survey=Survey(gids=f.survey.gids)) for name, f in view.facts.items()}
    verdicts = judged(replace(view, facts=kept, skews={}), id)
    assert verdicts and {v.state for v in verdicts} == {"skipped"}


@pytest.mark.parametrize("id", OURS)
def test_without_a_survey_nothing_is_said(id: str) -> None:
    view = healthy("dual")
    kept = {name: replace(f, survey=Survey()) for name, f in view.facts.items()}
    assert judged(replace(view, facts=kept), id) == []


@pytest.mark.parametrize("id", OURS)
def test_a_proof_of_the_network_is_not_about_hosts(id: str) -> None:
    """`up` undoes what it did where its stage is not right: a full disk must not have that effect."""
    assert judged(replace(healthy("dual"), stages=frozenset({"network"})), id) == []
