"""Verdicts in the terminal and as JUnit: problems first with steps, passes in few lines, nothing raw from a node."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from rich.console import Console

from sparkctl.outcome import Verdict
from sparkctl.report.junit import verdicts_as_junit
from sparkctl.report.verdicts import pieces, print_verdicts, problems, span, steps, summary, worst
from tests.unit.judged import HOSTILE, STATES, VERDICTS, judged

CASES = Path(__file__).resolve().parents[1] / "cases/reports"
Golden = Callable[[Path, str | bytes], None]


def text(verdicts: tuple[Verdict, ...], width: int | None = None, *, every: bool = False) -> str:
    return "".join(said for said, _ in pieces(verdicts, width, every=every))


@pytest.mark.parametrize("width", [80, 140, None])
@pytest.mark.parametrize("every", [False, True], ids=["short", "every"])
@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "octo-switch"])
def test_the_table(golden: Golden, inventory: str, width: int | None, every: bool) -> None:
    said = text(judged(inventory).verdicts, width, every=every)
    golden(CASES / f"{inventory}-{width or 'piped'}{'-every' if every else ''}.txt", said)
    assert width is None or max(map(len, said.splitlines())) <= width


def test_what_passes_takes_a_line_for_each_check() -> None:
    verdicts = judged("octo-switch", faults=False).verdicts
    assert len(verdicts) > 40
    assert len(text(verdicts).splitlines()) < 10
    assert text(verdicts).startswith("pass ")


def test_problems_come_first_and_the_worst_of_them_first() -> None:
    found = problems(judged("dual").verdicts)
    assert [(p.state, p.id) for p in found] == [
        ("fail", "rail-mtu"),
        ("fail", "rail-carrier"),
        ("unknown", "clock-skew"),
        ("warn", "kernel"),
    ]
    said = text(judged("dual").verdicts)
    assert said.index("clock-skew") < said.index("kernel") < said.index("engine-image")
    assert "\x1b" not in said and "\\x1b[31m" in said


def test_equal_problems_are_told_once() -> None:
    many = tuple(Verdict("a", "fail", f"place {k}", "bad", remedy="first; then") for k in range(12))
    said = text(many)
    assert said.count("do: 1. first") == 1
    assert "place 7" in said and "place 8" not in said and "and 4 more" in said
    assert "place 11" in text(many, every=True)


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        ("", ()),
        ("reseat it", ("reseat it",)),
        ("off; wait 30 s; on", ("off", "wait 30 s", "on")),
        ("1. off\n2. on\n", ("off", "on")),
        ("run `a; b` there (not c; d); go on", ("run `a; b` there (not c; d)", "go on")),
        ("a ` b; c ( d; e", ("a ` b", "c ( d", "e")),
        ("one\x1b[2J", ("one\\x1b[2J",)),
    ],
)
def test_steps_of_a_remedy(remedy: str, expected: tuple[str, ...]) -> None:
    assert steps(remedy) == expected


def test_a_span_keeps_the_unit_and_what_was_not_judged() -> None:
    rates = [Verdict("b", "pass", str(k), f"netdev {k}", f"{109.5 + k} Gb/s") for k in range(3)]
    assert span(rates) == "109.5 to 111.5 Gb/s"
    assert span([*rates, Verdict("b", "pass", "x", "", "fast")]) == "109.5 Gb/s, 110.5 Gb/s, 111.5 Gb/s and fast"
    assert span([*rates, Verdict("b", "pass", "x", "", "fast" * 10)]) == ""
    assert span([Verdict("b", "pass", "x", "", f"{k} Gb/s ({k} + 0)") for k in (9, 10)]) == "9 to 10 Gb/s"
    assert (
        span([Verdict("b", "pass", "x", "runs; speed not judged (lab)", "3 Gb/s")])
        == "runs; speed not judged (lab): 3 Gb/s"
    )
    mixed = [Verdict("b", "pass", k, f"{k} not judged") for k in "xy"] + [Verdict("b", "pass", "z", "judged")]
    assert span(mixed) == "x not judged and y not judged"


def test_the_worst_state_counts() -> None:
    assert [worst([Verdict("a", s, "w", "") for s in STATES]), worst([])] == ["fail", None]
    assert worst([Verdict("a", "skipped", "w", ""), Verdict("a", "pass", "w", "")]) == "pass"
    assert summary(()) == "no verdicts"


def test_colour_only_on_a_terminal() -> None:
    plain, colour = io.StringIO(), io.StringIO()
    verdicts = judged("dual").verdicts
    print_verdicts(verdicts, Console(file=plain, width=200))
    print_verdicts(verdicts, Console(file=colour, width=90, force_terminal=True, color_system="standard"))
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[1;31mfail" in colour.getvalue()


@given(verdicts=VERDICTS)
def test_nothing_of_a_node_reaches_the_terminal_raw(verdicts: tuple[Verdict, ...]) -> None:
    for width in (None, 80):
        for every in (False, True):
            said = text(verdicts, width, every=every)
            assert said.replace("\n", "").isprintable()


def test_junit_has_a_suite_for_each_check_and_a_case_for_each_place() -> None:
    proof = judged("dual")
    root = ElementTree.fromstring(verdicts_as_junit("dual", proof.verdicts))
    counts = [root.get(name) for name in ("tests", "failures", "errors", "skipped")]
    states = [v.state for v in proof.verdicts]
    assert counts == [
        str(n) for n in (len(states), states.count("fail"), states.count("unknown"), states.count("skipped"))
    ]
    assert [s.get("name") for s in root] == [
        "rail-carrier",
        "rail-mtu",
        "files",
        "gpu-clock",
        "kernel",
        "clock-skew",
        "engine-image",
    ]
    failure = root.find("testsuite[@name='rail-carrier']/testcase[@name='spark-2 p1 rail B']/failure")
    assert failure is not None and failure.text is not None
    assert failure.get("message") == "enP2p1s0f1np1 (no carrier; expected carrier)"
    assert failure.text.count("    do: ") == 2
    assert root.find("testsuite[@name='clock-skew']/testcase/error") is not None
    skipped = root.find("testsuite[@name='gpu-clock']/testcase/skipped")
    assert skipped is not None and skipped.get("message") == "expect lab: no GPU"
    assert (root.findtext("testsuite[@name='kernel']/testcase/system-out") or "").startswith("warning: 6.17.0-1008")


@given(verdicts=VERDICTS, cluster=HOSTILE)
def test_junit_is_xml_whatever_a_node_says(verdicts: tuple[Verdict, ...], cluster: str) -> None:
    root = ElementTree.fromstring(verdicts_as_junit(cluster, verdicts))
    assert len(root.findall("testsuite/testcase")) == len(verdicts)
    tags = {element.tag for element in root.iter()}
    assert tags <= {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"}
    assert all(value.isprintable() for element in root.iter() for value in element.attrib.values())
