"""Whatever a node says, there is a Fact: arbitrary text, recorded answers with something else inside, broken batches."""

from __future__ import annotations

import base64
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.facts.base import answers, parsed
from sparkctl.facts.snapshot import Questions, snapshot
from sparkctl.facts.survey import Inquiry, skew
from sparkctl.outcome import Absent, Fact, Known, Unknown
from tests.unit.test_facts_cases import INPUTS, PARSERS, said

INQUIRY = Inquiry("spark-1", "t0", (("enp1s0f1np1", ("spark-2",)),), image="engine:1")
QUESTIONS = Questions(("/a",), ("/b",), ("enp1s0f1np1",), "/etc/netplan/x.yaml", "engine:1", 9000, survey=INQUIRY)
NAMES = tuple(probe.name for probe in QUESTIONS.probes())
PIECES = ("\t", "|", "=", " ", "\n", "\0", "\x1b[2J", "-1", "9" * 5000, "[" * 3000, '"', "{}", "null", "\u2028", "é")


@cache
def recorded(fact: str) -> tuple[str, ...]:
    """Its cases, short enough to be changed often."""
    return tuple(said(path)[:4000] for path in INPUTS if path.parents[1].name == fact)


@st.composite
def mutated(draw: st.DrawFn, fact: str) -> str:
    """A recorded answer with a few places replaced."""
    text = draw(st.sampled_from(recorded(fact)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.integers(0, 12))
        text = text[:at] + draw(st.sampled_from(PIECES) | st.text(max_size=5)) + text[end:]
    return text


def texts(fact: str) -> st.SearchStrategy[str]:
    raw = st.binary(max_size=400).map(lambda raw: raw.decode("utf-8", "replace"))
    return st.text(max_size=400) | raw | mutated(fact)


def sound(fact: Fact[object]) -> bool:
    """Known, or a reason that a terminal may print in one line."""
    return isinstance(fact, Known) or (fact.reason.isprintable() and len(fact.reason) < 400)


@pytest.mark.parametrize("fact", PARSERS)
@given(choice=st.data())
def test_a_parser_knows_or_says_why_not(fact: str, choice: st.DataObject) -> None:
    found = parsed(Known(choice.draw(texts(fact))), PARSERS[fact])
    assert isinstance(found, Known | Unknown)
    assert sound(found)


@pytest.mark.parametrize("fact", ["ethernet", "gids", "counters", "ways", "hellos", "lldp", "links", "routes", "pings"])
@given(choice=st.data())
def test_nothing_of_the_fabric_reaches_a_terminal_raw(fact: str, choice: st.DataObject) -> None:
    found = parsed(Known(choice.draw(texts(fact))), PARSERS[fact])
    shown = str(found.value) if isinstance(found, Known) else ""
    assert "\\x1b" not in shown.replace("\\\\x1b", ""), "spelled out, not escaped by repr alone"


def framed(name: str, status: int, body: str) -> bytes:
    text = body.encode()
    return f"{name} {status} {len(text)}\n".encode() + text + b"\n"


frames = st.lists(
    st.builds(framed, st.sampled_from(NAMES) | st.text("ab:/", min_size=1), st.sampled_from([0, 1, 44, 127]), st.text())
)


@given(parts=frames, cut=st.integers(0, 40), junk=st.binary(max_size=20))
def test_any_batch_gives_a_snapshot(parts: list[bytes], cut: int, junk: bytes) -> None:
    stdout = base64.b64encode(b"".join(parts) + junk).decode()
    stdout = stdout[: len(stdout) - cut]
    facts = snapshot("spark-1", QUESTIONS, stdout)
    everything = {**vars(facts), **vars(facts.survey)}.values()
    assert all(sound(fact) for fact in everything if isinstance(fact, Known | Absent | Unknown))
    assert isinstance(skew(stdout, 1.0, 2.0), Known | Absent | Unknown)


@given(stdout=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_what_is_no_batch_answers_nothing(stdout: str) -> None:
    facts = snapshot("spark-1", QUESTIONS, stdout)
    assert answers(stdout) or isinstance(facts.netdevs, Unknown)


def test_a_cut_answer_is_unknown_and_those_before_it_are_kept() -> None:
    whole = framed("lldp", 0, '{"lldp": {}}') + framed("gids", 0, "x" * 100)
    said = answers(base64.b64encode(whole[:-20]).decode())
    assert said["lldp"] == Known('{"lldp": {}}')
    assert isinstance(said["gids"], Unknown)


def batch_of(*parts: bytes) -> str:
    return base64.b64encode(b"".join(parts)).decode()


def test_the_skew_is_bounded_by_what_the_node_read_first_and_last() -> None:
    both = batch_of(framed("clock", 0, "1010.5\n"), framed("clock-again", 0, "1013.0\n"))
    assert skew(both, 1000.0, 1003.5) == Known((9.5, 10.5))
    assert skew(batch_of(framed("clock", 0, "1010.5\n")), 1000.0, 1003.5) == Known((7.0, 10.5))
    assert isinstance(skew(batch_of(framed("clock", 0, "zwölf\n")), 1000.0, 1003.5), Unknown)
    assert isinstance(skew("", 1000.0, 1003.5), Unknown)
