"""What changed since an older report, and reports that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.checks import OF_HARDWARE, UNDER_LOAD, View, judge
from sparkctl.commands.canary import Answer
from sparkctl.loadtest.results import Measure
from sparkctl.outcome import Fact, Known, State, Verdict
from sparkctl.report import compare, measures
from sparkctl.report.compare import Old, change_of, parse
from sparkctl.report.measures import Row
from sparkctl.report.verification import document
from tests.unit.healthy import healthy
from tests.unit.judged import VERDICTS, judged


def verdict(id: str, state: State, where: str = "spark-1", measured: str = "") -> Verdict:
    return Verdict(id, state, where, "", measured)


def since(
    before: list[Verdict], after: list[Verdict], old: tuple[Row, ...] = (), new: tuple[Row, ...] = ()
) -> compare.Comparison:
    return compare.compare(Old("dual", "then", tuple(before), old), after, new)


def test_a_report_is_read_back_as_it_was_written() -> None:
    proof = judged("dual")
    old = parse(json.dumps(document(proof)))
    assert (old.cluster, old.taken) == ("dual", proof.taken)
    assert old.verdicts == tuple(replace(v, ends=(), nodes=(), cause=None) for v in proof.verdicts)
    assert [row.value for row in old.rows] == [row.value for row in measures.rows(proof.load)]
    assert compare.compare(old, proof.verdicts, measures.rows(proof.load)).empty


def test_new_failures_come_first_and_what_is_gone_last() -> None:
    before = [
        verdict("a", "fail"),
        verdict("b", "pass"),
        verdict("c", "pass"),
        verdict("d", "warn"),
        verdict("same", "fail"),
    ]
    after = [
        verdict("a", "pass"),
        verdict("b", "fail"),
        verdict("c", "unknown"),
        verdict("new", "fail"),
        verdict("same", "fail"),
    ]
    found = since(before, after)
    assert [(turn.id, change_of(turn)) for turn in found.turns] == [
        ("b", "pass -> fail"),
        ("new", "new: fail"),
        ("c", "pass -> unknown"),
        ("a", "fail -> pass"),
        ("d", "gone: warn"),
    ]


@pytest.mark.parametrize(
    ("test", "before", "after", "worse"),
    [
        ("bandwidth", 110, 98, True),
        ("bandwidth", 98, 110, False),
        ("latency", 1.5, 1.9, True),
        ("latency", 1.9, 1.5, False),
        ("bandwidth", 110, 100, None),
        ("bandwidth", None, 100, None),
        ("bandwidth", 0, 100, None),
        ("bandwidth", 110, None, None),
    ],
)
def test_a_measurement_moved_by_more_than_a_tenth(
    test: str, before: float | None, after: float | None, worse: bool | None
) -> None:
    found = since(
        [], [], (Row(test, "lane", before, "u"),), (Row(test, "lane", after, "u"), Row(test, "other", 1, "u"))
    )
    assert [move.worse for move in found.moves] == ([] if worse is None else [worse])


def test_a_value_of_the_same_verdict_changed_but_numbers_that_never_repeat_did_not() -> None:
    before = [
        verdict("kernel", "pass", measured="6.17.0-1008"),
        verdict("canary", "pass", measured="1 token in 0.31 s (+-0.1)"),
    ]
    after = [
        verdict("kernel", "pass", measured="6.17.0-1009"),
        verdict("canary", "pass", measured="1 token in 0.42 s (+-0.02)"),
    ]
    (move,) = since(before, after).moves
    assert (move.id, move.before, move.after, move.worse) == ("kernel", "6.17.0-1008", "6.17.0-1009", None)


def test_several_verdicts_of_one_place_are_told_apart() -> None:
    twice = [verdict("a", "pass"), verdict("a", "fail")]
    assert since(twice, twice).empty
    assert [change_of(turn) for turn in since(twice, [verdict("a", "pass")]).turns] == ["gone: fail"]


def test_what_people_read() -> None:
    rows = (Row("bandwidth", "lane", 110, "Gb/s"),), (Row("bandwidth", "lane", 12, "Gb/s"),)
    found = since([verdict("a", "pass", "x\x1b")], [verdict("a", "fail", "x\x1b", "1500")], *rows)
    said = "".join(text for text, _ in compare.pieces(found))
    assert said.splitlines() == [
        "changed since then",
        "  pass -> fail       a  x\\x1b: 1500",
        "  worse              bandwidth  lane: 110 Gb/s -> 12 Gb/s (-89%)",
        "",
    ]
    assert "".join(text for text, _ in compare.pieces(since([], []))).startswith("nothing changed since then")


def times(view: View, share: float, clock: float) -> View:
    """The same cluster on another day: each measurement a little less, each clock a little off."""
    assert view.load is not None and isinstance(view.load.gathered, Known)

    def scaled(fact: Fact[Measure]) -> Fact[Measure]:
        assert isinstance(fact, Known)
        one = fact.value
        gbits, slow = (value and value * share for value in (one.gbits, one.microseconds))
        return Known(replace(one, gbits=gbits, microseconds=slow))

    counted = {n: {d: {c: int(x * share) for c, x in of.items()} for d, of in f.value.items()}
               for n, f in view.load.after.items() if isinstance(f, Known)}  # fmt: skip
    load = replace(
        view.load,
        measured={trial: tuple(map(scaled, facts)) for trial, facts in view.load.measured.items()},
        after={node: Known(counts) for node, counts in counted.items()},
        gathered=Known(replace(view.load.gathered.value, bus=view.load.gathered.value.bus * share)),
    )
    skews = {node: (least + clock, most + clock) for node, (least, most) in view.skews.items()}
    return replace(view, load=load, skews=skews, canary=Known(Answer(" 4", 1, 0.042 * share, "0.33.0")))


def written(view: View) -> Old:
    """The report of a view, as --compare reads it."""
    proof = replace(judged("dual"), verdicts=judge(view), load=view.load, expect=view.expect)
    return parse(json.dumps(document(proof)))


@pytest.mark.parametrize("inventory", ["dual", "mesh-3"])
def test_two_healthy_days_do_not_differ(inventory: str) -> None:
    view = healthy(inventory)
    other = times(view, 0.99, -0.02)
    found = compare.compare(written(view), judge(other), measures.rows(other.load))
    assert (found.moves, found.turns, found.left_out) == ((), (), "")


def test_what_is_no_number_of_a_test_under_load_is_a_change() -> None:
    before, after = (verdict("nccl-gather", "fail", measured=said) for said in ("NCCL uses sockets", "1 ranks"))
    assert [move.after for move in since([before], [after]).moves] == ["1 ranks"]


def test_without_load_on_one_day_what_it_measures_is_left_out() -> None:
    view = healthy("dual")
    idle = replace(view, load=None)
    now = compare.compare(written(view), judge(idle), None)
    assert (now.empty, now.left_out) == (True, "load was measured then, not now: not compared")
    then = compare.compare(written(idle), judge(view), measures.rows(view.load))
    assert (then.empty, then.left_out) == (True, "load was measured now, not then: not compared")
    said = "".join(text for text, _ in compare.pieces(now)).splitlines()
    assert said[1] == "  load was measured then, not now: not compared" and said[0].startswith("nothing changed")
    assert compare.compare(written(idle), judge(idle), None).left_out == ""


def test_what_quick_does_not_test_is_left_out_and_a_fault_is_not() -> None:
    view = healthy("dual")
    assert view.load is not None
    few = {trial: facts for trial, facts in view.load.measured.items() if trial.tool == "bandwidth"}
    quick = replace(view, load=replace(view.load, measured={t: f for t, f in few.items() if len(t.lanes) == 1}))
    now = compare.compare(written(view), judge(quick), measures.rows(quick.load))
    assert (now.empty, now.left_out) == (True, "load: what was tested on one of the two days only is not compared")
    assert compare.compare(written(quick), judge(view), measures.rows(view.load)).empty
    news = since([], [verdict("rail-latency", "warn"), verdict("rail-bandwidth", "pass")])
    assert [change_of(turn) for turn in news.turns] == ["new: warn"]


def test_what_runs_under_load_is_said_by_the_checks() -> None:
    assert {"rail-bandwidth", "rails-bandwidth", "rail-duplex", "rail-latency", "rdma-counters", "nccl-gather"} == UNDER_LOAD
    assert UNDER_LOAD | {"perftest"} == OF_HARDWARE


def test_a_degraded_duplex_state_is_news() -> None:
    view = healthy("dual")
    assert view.load is not None
    of = {True: 0.5, False: 1.0}
    scaled = {
        t: tuple(Known(replace(f.value, gbits=f.value.gbits * of[t.kind == "ways"])) for f in facts if isinstance(f, Known) and f.value.gbits)
        for t, facts in view.load.measured.items()
        if t.tool == "bandwidth"
    }
    sick = replace(view, load=replace(view.load, measured={**view.load.measured, **scaled}))
    found = compare.compare(written(view), judge(sick), measures.rows(sick.load))
    assert [(turn.id, turn.where, change_of(turn)) for turn in found.turns] == [
        ("rail-duplex", f"spark-1:p1 <-> spark-2:p1 rail {rail}", "pass -> warn") for rail in "AB"
    ]
    assert {(move.id, move.worse) for move in found.moves} == {("each way", True), ("both ways", True)}
    assert len(found.moves) == 2 * 3, "both ways of both rails, and their sums"


GOOD: dict[str, Any] = {"cluster": "dual", "verdicts": [{"id": "a", "state": "pass", "where": "w"}]}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"verdicts": []}',
        '{"verdicts": 3, "cluster": "dual"}',
        '{"verdicts": [3], "cluster": "dual"}',
        '{"verdicts": [{}], "cluster": "dual"}',
        "[" * 100_000,
        "1" * 5000,
        json.dumps(GOOD | {"cluster": 3}),
        json.dumps(GOOD | {"verdicts": [{"id": "a", "state": "purple", "where": "w"}]}),
        json.dumps(GOOD | {"verdicts": [{"id": "a", "state": [], "where": "w"}]}),
        json.dumps(GOOD | {"verdicts": [{"id": "a", "state": "pass", "where": "w", "measured": 3}]}),
        json.dumps(GOOD | {"load": [{"test": "a", "where": "w", "value": "x", "unit": "u"}]}),
        json.dumps(GOOD | {"load": [{"test": "a", "where": "w", "value": 10**400, "unit": "u"}]}),
        json.dumps(GOOD | {"load": 3}),
        json.dumps(GOOD | {"expect": 3}),
    ],
    ids=lambda said: said[:40],
)
def test_what_is_no_report_is_said(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(said)


@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)).map(
        json.dumps
    )
)
def test_any_text_is_a_report_or_a_reason(said: str) -> None:
    try:
        assert isinstance(parse(said), Old)
    except ValueError as error:
        assert str(error)


@given(before=VERDICTS, after=VERDICTS)
def test_hostile_reports_compare(before: tuple[Verdict, ...], after: tuple[Verdict, ...]) -> None:
    found = compare.compare(Old("c", "\x1b", before), after, ())
    assert "".join(text for text, _ in compare.pieces(found)).replace("\n", "").isprintable()
    assert compare.compare(Old("c", "", after), after, ()).empty
