"""The page: it stands alone, every part of the fabric has the mark of its worst verdict, nothing of a node is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from sparkctl.checks import judge
from sparkctl.outcome import Absent, RailEnd, Unknown, Verdict
from sparkctl.report import compare, measures
from sparkctl.report.by_place import spots
from sparkctl.report.drawing import sketch
from sparkctl.report.drawing.verdicts_svg import Picture, svg
from sparkctl.report.html import headline, page
from tests.unit.healthy import healthy
from tests.unit.judged import HOSTILE, VERDICTS, judged

VOID = {"meta", "br", "link", "img"}


class Tags(HTMLParser):
    """What a browser sees: elements in order, their attributes, the ids and the links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.mark.parametrize("faults", [True, False])
@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "quad-switch", "octo-switch"])
def test_the_page_stands_alone(inventory: str, faults: bool) -> None:
    text = page(judged(inventory, faults=faults))
    seen = Tags(text)
    assert seen.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(seen.tags)
    assert not re.search(r"(?:https?:)?//[a-z]|url\(|@import", re.sub(r'xmlns="[^"]*"', "", text))
    assert {link.removeprefix("#") for link in seen.values("href")} <= set(seen.values("id"))
    assert all(link.startswith("#") for link in seen.values("href"))
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert len(seen.values("id")) == len(set(seen.values("id")))


def test_the_page_says_all_that_was_found() -> None:
    proof = judged("dual")
    old = compare.Old("dual", "yesterday", tuple(replace(v, state="pass") for v in proof.verdicts))
    since = replace(compare.compare(old, proof.verdicts, ()), left_out="load was measured then, not now")
    text = page(replace(proof, since=since, overlays=("container: tcp",), expect="lab"))
    for said in (
        "3 of 15 checks failed",
        "What changed since yesterday",
        "load was measured then, not now",
        "pass → fail",
        "reseat the cable in p1 of spark-2",
        "Lab: container: tcp",
        "expect lab",
        "1 of them not the default",
        "facts ff3.4",
        "112 / 112 Gb/s",
        "2026-11-21 10:20:31 UTC",
        "see rail-carrier, spark-2 p1 rail B",
    ):
        assert said in text, said
    assert "\x1b" not in text and "\\x1b[31manswer" in text


def test_a_page_without_load_or_verdicts() -> None:
    proof = judged("dual", faults=False)
    assert "Measured under load" not in page(replace(proof, load=None))
    assert "no verdicts" in page(replace(proof, verdicts=()))
    assert headline(proof.verdicts).startswith("nothing is wrong: ")


@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "quad-switch"])
def test_every_place_has_the_mark_of_its_worst_verdict(inventory: str) -> None:
    proof = judged(inventory)
    owners = [n.name for n in proof.cluster.nodes] + [s.name for s in proof.cluster.switches]
    found = spots(proof.verdicts, owners)
    for a in proof.fabric.attachments:
        wrong = (a.node, a.rail) in (("spark-1", "A"), ("spark-2", "B"))
        assert found.state(a.node, a.half.port, a.rail) == ("fail" if wrong else "pass"), a
    drawn = sketch(proof.cluster, proof.fabric, ())
    root = ElementTree.fromstring(svg(Picture(drawn, found, measures.rows(proof.load), {0: "here"})))
    wires = [line.get("class") for line in root.iter("line") if "wire" in str(line.get("class"))]
    cards = [rect.get("class") for rect in root.iter("rect") if "card node" in str(rect.get("class"))]
    broken = sum(any(end.owner in ("spark-1", "spark-2") for end in (c.a, c.b)) for c in proof.fabric.cables)
    both = sum({c.a.owner, c.b.owner} == {"spark-1", "spark-2"} for c in proof.fabric.cables)
    assert wires.count("wire s-fail") == broken + both
    assert cards[:2] == ["card node s-fail", "card node s-fail"]
    assert set(cards[2:]) <= {"card node s-pass"}


def test_a_place_is_the_ends_of_a_verdict_or_the_nodes_that_it_is_about() -> None:
    def at(*nodes: str, ends: tuple[RailEnd, ...] = ()) -> list[str]:
        found = spots([Verdict("x", "fail", "spark-1", "", ends=ends, nodes=nodes)], ["spark-1", "spark-10", "sw1"])
        return [owner for owner, about in found.by_owner.items() if about] or ["-"] * len(found.elsewhere)

    assert at("spark-1") == ["spark-1"]
    assert at("spark-10", "spark-1") == ["spark-1", "spark-10"]
    assert at("spark-1", ends=(RailEnd("spark-10", "p1", "A"), RailEnd("sw1", "p", "B"))) == ["spark-10", "sw1"]
    assert at("spark-1.example") == ["-"]
    assert at() == ["-"]
    assert at(ends=(RailEnd("gone", "p1", "A"),)) == ["-"]


@pytest.mark.parametrize("inventory", ["dual", "mesh-3", "quad-switch"])
def test_what_is_judged_of_a_node_is_about_that_node(inventory: str) -> None:
    """Nobody reads it from the words of `where`: a node may be called like anything."""
    view = healthy(inventory)
    for verdict in judge(view):
        named = [node for node in view.facts if node in verdict.where.split()]
        assert verdict.ends or set(verdict.nodes) == set(named), verdict


def test_what_was_not_measured_says_why() -> None:
    proof = judged("dual")
    assert proof.load is not None
    measured = {trial: tuple(Unknown("perftest hung") for _ in trial.lanes) for trial in proof.load.measured}
    load = replace(proof.load, measured=measured, gathered=Absent("no GPU"))
    found = measures.rows(load)
    assert {row.value for row in found} == {None}
    assert {row.note for row in found} == {"perftest hung", "a rail was not measured", "a way was not measured", "no GPU"}
    assert "perftest hung" in page(replace(proof, load=load))


@settings(max_examples=40)
@given(verdicts=VERDICTS, said=HOSTILE)
def test_nothing_that_a_node_says_is_markup(verdicts: tuple[Verdict, ...], said: str) -> None:
    """The same page with harmless words has the same elements."""
    proof = judged("dual", faults=False)
    mine = replace(proof, verdicts=verdicts, taken=said, overlays=(said,))
    harmless = tuple(
        Verdict(
            f"id{[u.id for u in verdicts].index(v.id)}",
            v.state,
            "w",
            "x" if v.message else "",
            "x" if v.measured else "",
            "x",
        )
        for v in verdicts
    )
    seen, plain = Tags(page(mine)), Tags(page(replace(mine, verdicts=harmless, taken="x", overlays=("x",))))
    listed = ("li", "ol", "p", "br", "b", "article", "h3", "ul", "span", "div")  # as many as there are steps and groups
    assert set(seen.tags) <= set(plain.tags) | set(listed)
    assert not any(name.startswith("on") or name == "src" for name, _ in seen.attributes)
    assert re.sub(r"[ -~\n→✓✗–·]|[^\W\d_]|\w", "", page(mine)).isprintable()
