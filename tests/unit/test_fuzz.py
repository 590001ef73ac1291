"""Recorded answers of a node, spoilt by seeded dice: each is a snapshot or a typed error, and nothing of it is hidden or obeyed.

`make long` spoils 20,000; the seed is that of the last line, and is given again with --hypothesis-seed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import settings
from rich.console import Console

from sparkctl.checks import judge
from sparkctl.errors import SparkctlError
from sparkctl.execute.read_facts import questions
from sparkctl.execute.readiness import read_look
from sparkctl.facts.base import parsed
from sparkctl.facts.snapshot import NodeFacts, Questions, snapshot
from sparkctl.facts.survey import skew
from sparkctl.loadtest import allgather_output, perftest_output
from sparkctl.outcome import Absent, Known, Ok, Unknown
from sparkctl.plan import steps
from sparkctl.plan.diff import Desired
from sparkctl.plan.drift import drift
from sparkctl.plan.playbook import load
from sparkctl.plan.recovery import recovery
from sparkctl.report.door import say
from sparkctl.report.drift import print_drift
from sparkctl.report.plan import print_plan
from sparkctl.report.verdicts import print_verdicts
from tests.unit.healthy import healthy, studied
from tests.unit.test_door import HOSTILE, hidden, shown
from tests.unit.test_facts_cases import CASES, INPUTS

LONG = settings().max_examples >= 10_000
CASES_A_TEST = 500 if LONG else 30
TESTS = 40 if LONG else 5
NODE, OTHER = "spark-2", "spark-1"
FACT = {"container": "container", "clock-again": "clock"}
RECORDED = CASES.parents[1] / "recorded"
DICTIONARY = (
    *(text.encode("utf-8", "surrogatepass") for text in HOSTILE.values()),
    *(b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"9" * 30, b"9" * 5000, b"-1", b"1e400", b"NaN", b"Infinity", b"0x", b"\x00"),
    *(b"[" * 50, b"[" * 5000, b'{"a":' * 2000, b"{}", b"[]", b"null", b'"', b"\\ud800", b"\\u0000", b"true", b"1.5"),
    *(b"\n", b"\r\n", b"\t", b" ", b":", b"|", b"=", b"/", b"../../etc/shadow", b"127.0.0.1", b"::1", b"169.254.0.1/16"),
)
BOOK, DOWN = load("up"), load("down")


@cache
def recorded(fact: str) -> tuple[bytes, ...]:
    """What nodes answered to a question, the hostile ones of the cases too."""
    return tuple(path.read_bytes()[:20_000] for path in INPUTS if path.parents[1].name == fact)


@cache
def asked() -> Questions:
    cluster, fabric, _ = studied("dual")
    return replace(questions(cluster, fabric, pings=True, journal=True, survey=True)[NODE], routes=True)


def answered(dice: Random) -> list[tuple[bytes, int, bytes]]:
    """Name, status and body of an answer to each question, as some node gave it."""
    found = []
    for probe in asked().probes():
        bodies = recorded(FACT.get(probe.name, probe.name.partition(":")[0]))
        body = dice.choice(bodies) if bodies else b""
        found.append((probe.name.encode(), dice.choice((0, 0, 0, 0, 0, 0, 0, 44, 127, 1)) if not bodies else 0, body))
    return found


# --- operators --------------------------------------------------------------------------------------------------


def flipped(text: bytes, dice: Random) -> bytes:
    made = bytearray(text)
    for _ in range(dice.randint(1, 8)):
        if made:
            made[dice.randrange(len(made))] ^= 1 << dice.randrange(8)
    return bytes(made)


def cut(text: bytes, dice: Random) -> bytes:
    a, b = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
    return dice.choice((text[:a], text[b:], text[:a] + text[b:], text[:-1]))


def doubled(text: bytes, dice: Random) -> bytes:
    a, b = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
    return text[:b] + text[a:b] * dice.choice((1, 2, 50)) + text[b:]


def planted(text: bytes, dice: Random) -> bytes:
    at = dice.randint(0, len(text))
    return text[:at] + dice.choice(DICTIONARY) + text[at + dice.choice((0, 0, 1, 7)) :]


def renumbered(text: bytes, dice: Random) -> bytes:
    """One number becomes another: sizes, counts, indexes, octets."""
    places = list(re.finditer(rb"\d+", text))
    if not places:
        return planted(text, dice)
    place = dice.choice(places)
    other = dice.choice((b"0", b"-1", b"4294967296", b"18446744073709551616", b"9" * 400, b"9" * 5000, b"1e999", b"0.1"))
    return text[: place.start()] + other + text[place.end() :]


def retyped(text: bytes, dice: Random) -> bytes:
    """One value of JSON becomes one of another type."""
    places = list(re.finditer(rb'"(?:[^"\\]|\\.)*"|\d+|true|false|null', text))
    if not places:
        return planted(text, dice)
    place = dice.choice(places)
    other = dice.choice((b"null", b"[]", b"{}", b"[[[]]]", b'{"x": 1}', b"1", b"-1.5", b'"\\u001b[2J"', b'"\\u202e"', b"true", b'""'))
    return text[: place.start()] + other + text[place.end() :]


def shuffled(text: bytes, dice: Random) -> bytes:
    lines = text.split(b"\n")
    dice.shuffle(lines)
    return b"\n".join(lines)


OPERATORS: tuple[Callable[[bytes, Random], bytes], ...] = (flipped, cut, doubled, planted, planted, renumbered, retyped, retyped, shuffled)


def spoilt(text: bytes, dice: Random) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        text = dice.choice(OPERATORS)(text, dice)
    return text


def framed(name: bytes, status: int, body: bytes, size: int | None = None) -> bytes:
    return b"%s %d %d\n%s\n" % (name, status, len(body) if size is None else size, body)


def said(dice: Random) -> str:
    """A batch of which some bodies, the frames or the base64 around it are spoilt."""
    parts = answered(dice)
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(parts))
        name, status, body = parts[at]
        parts[at] = (name, status, spoilt(body, dice))
    batch = b"".join(framed(*part) for part in parts)
    what = dice.random()
    if what < 0.15:
        batch = spoilt(batch, dice)
    text = base64.b64encode(batch)
    if what > 0.95:
        text = spoilt(text, dice)
    return text.decode("utf-8", "replace")


# --- what is made of it -----------------------------------------------------------------------------------------


@cache
def wanted() -> Mapping[str, Desired]:
    cluster, fabric, rendering = studied("dual")
    image = cluster.engine.runtime.docker if cluster.engine else None
    return {
        node.name: Desired(rendering.nodes[node.name], {s.path: "0" * 64 for s in rendering.nodes[node.name].secrets}, fabric.of(node.name), image)
        for node in cluster.nodes
    }


def told(console: Console, facts: Mapping[str, NodeFacts]) -> None:
    """Everything that is ever shown of facts."""
    view = healthy("dual")
    print_verdicts(judge(replace(view, facts=facts)), console, every=True)
    print_drift(drift("dual", wanted(), facts, {}), 2, console)
    for plan in (lambda: steps.plan_up("dual", wanted(), facts, BOOK), lambda: steps.plan_down("dual", facts)):
        try:
            print_plan(plan(), console)
        except SparkctlError as refusal:
            say(console, refusal.message)
    try:
        found = recovery("dual", facts)
        say(console, found.reason if found else "")
    except SparkctlError as refusal:
        say(console, refusal.message)


@pytest.mark.parametrize("part", range(TESTS))
def test_whatever_a_node_answers_is_a_snapshot(part: int, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("hypothesis_seed")
    known = unknown = 0
    for number in range(CASES_A_TEST):
        case = f"{seed} {part} {number}"
        stdout = said(Random(case))
        try:
            facts = snapshot(NODE, asked(), stdout)
            assert isinstance(skew(stdout, 1.0, 2.0), Known | Absent | Unknown)
            text = shown(lambda console, facts=facts: told(console, {**healthy("dual").facts, NODE: facts}))  # type: ignore[misc]
        except Exception as error:
            error.add_note(f"case {case}")
            raise
        assert hidden(text) == set(), (case, hidden(text))
        both = [fact for fact in (*vars(facts).values(), *vars(facts.survey).values()) if isinstance(fact, Known | Unknown)]
        known, unknown = known + sum(isinstance(f, Known) for f in both), unknown + sum(isinstance(f, Unknown) for f in both)
    assert known > CASES_A_TEST and unknown > CASES_A_TEST // 4, "the dice spoil too much, or nothing"


LOOKS = (
    b'{"log": "loading"}\n{"waiting": "HTTP 503", "cursor": "s=1"}\n',
    b'{"ready": {"text": " 4", "tokens": 1, "seconds": 0.04, "version": "0.33.0"}}\n',
    b'{"failed": "unit died", "last": ["a", "b"]}\n',
)


@pytest.mark.parametrize("part", range(TESTS))
def test_whatever_a_program_on_a_node_says_is_an_outcome(part: int, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("hypothesis_seed")
    reports = tuple(path.read_bytes() for path in sorted(RECORDED.glob("perftest/*")))
    gathered = tuple(path.read_bytes() for path in sorted(CASES.glob("gathered/*/input.txt")))
    for number in range(CASES_A_TEST):
        dice = Random(f"{seed} {part} {number} programs")
        look = read_look(spoilt(dice.choice(LOOKS), dice).decode("utf-8", "replace"))
        assert len(look.failed) <= 2000 and len(look.waiting) <= 500 and len(look.cursor) <= 500
        text = spoilt(dice.choice(reports), dice).decode("utf-8", "replace")
        assert isinstance(parsed(Known(text), perftest_output.parse), Known | Unknown)
        lane = b"lane 0 0 =%s =%s\n" % (base64.b64encode(dice.choice(reports)), base64.b64encode(b"x"))
        assert isinstance(parsed(Known(spoilt(lane, dice).decode("utf-8", "replace")), perftest_output.ends), Known | Unknown)
        found = allgather_output.together({n: Ok(spoilt(dice.choice(gathered), dice).decode("utf-8", "replace")) for n in (NODE, OTHER)})
        assert isinstance(found, Known | Absent | Unknown) and hidden(str(vars(found.value) if isinstance(found, Known) else found.reason)) == set()


def test_the_same_seed_says_the_same() -> None:
    assert said(Random("1 2 3")) == said(Random("1 2 3")) != said(Random("1 2 4"))
    assert json.dumps([operator(b"abc 12", Random(1)).decode("latin-1") for operator in OPERATORS])
