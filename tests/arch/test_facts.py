"""Every fact that a file cites can be opened: `facts ff8, ff10 and B3`, in this form alone; on pages each id is a link."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.arch.test_text import tracked

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT / "docs/facts"
LINKED = ("docs/rules", "docs/checks", "docs/guides")  # pages whose ids are links
ID = r"(?:(?:ff|pp)\d+(?:\.\d+)?|own\d+|eg[A-C]\d+|[A-G]\d+|N\d+)\b(?!\.\d)"
CITED = re.compile(rf"\b(?:[Ff]acts|explain) {ID}(?:(?:, | and |, and | or | to ){ID})*")
LINK = re.compile(r"\[([^][\n]*)\]\(([^()\n]*)\)")
LEAD = re.compile(r"""[ \t]*(?:#+|//|\*|--|>|f?["'])?[ \t]*""")
OLD = re.compile(
    r"(?:field-faults|engine-nccl-netplan|peer-promises)(?!\.md)"  # a page instead of an id
    r"|(?<!/)\b(?:rules|engines|newer|outside|weights)\.md\b|(?<!/)\bnccl-params\.tsv\b"
    r"|\bff ?[1-9]\d?(?:\.\d+)?\b"  # an id without the word, or with a blank in it
    r"|(?:\(|\b(?:see|in|by|of) )(?:[A-G]\d|[A-G]1\d|N\d\d?)\b"
    r"|\b[Ff]acts:? [A-G]\b(?! [a-z])|\b[Ff]acts: ?(?:ff|pp|eg|own)\w"
    r"|\b[Dd]esign,? (?:sections? \d|\")|\blab-recipes\b"  # papers that are not here
)


@cache
def anchors() -> dict[str, Path]:
    """The page of each fact."""
    return {id: path for path in sorted(FACTS.glob("*.md")) for id in ids_of(path)}


def ids_of(path: Path) -> list[str]:
    return re.findall(r'<a id="([^"]*)"', path.read_text())


def flat(text: str) -> str:
    """In one line, strings and comments joined, and links as their words."""
    lines = (line[LEAD.match(line).end() :].rstrip(" \t\"'") for line in LINK.sub(r"\1", text).splitlines())
    return " ".join(lines).replace("  ", " ")


def cited(text: str) -> list[str]:
    """The ids that a text cites; `A1 to A5` cites both ends."""
    return [id for match in CITED.finditer(flat(text)) for id in re.findall(ID, match[0])]


def wrong(text: str) -> list[str]:
    """Citations that resolve to nothing, and those in another form."""
    unknown = [id for id in cited(text) if id not in anchors()]
    return unknown + [match[0] for match in OLD.finditer(CITED.sub("", flat(text)))]


def exempt(path: Path) -> bool:
    """The facts themselves, and the bad examples of this file."""
    return FACTS in path.parents or path == Path(__file__).resolve()


def broken(page: Path, text: str) -> list[str]:
    """Links to a fact that is not there, and ids whose link leads to another."""
    found = []
    for words, target in LINK.findall(text):
        path, _, id = target.partition("#")
        wanted = anchors().get(id)
        here = page if not path else Path(os.path.normpath(page.parent / path))
        lost = here.parent == FACTS and id != "" and here != wanted
        if lost or (re.fullmatch(ID, words) and id != words):
            found.append(f"[{words}]({target})")
    return found


def unlinked(text: str) -> list[str]:
    """Ids that a page cites without a link."""
    return [id for id in cited(text) if id not in {words for words, _ in LINK.findall(text)}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# see facts ff20, ff3.4 and B3.", ["ff20", "ff3.4", "B3"]),
        ("Facts A1 to A5, and N13 (facts pp5.1)", ["A1", "A5", "N13", "pp5.1"]),
        ('"as facts "\n    "ff7 says"', ["ff7"]),
        ("x = 1  # facts ff1 and\n# ff2: a wrap", ["ff1", "ff2"]),
        ("[facts](x.md) [ff1](../facts/field-faults.md#ff1) and [B3](y.md#B3)", ["ff1", "B3"]),
        ("known(facts).items(), facts A node has, artifacts A1", []),
    ],
)
def test_the_reader_finds_the_ids(text: str, found: list[str]) -> None:
    assert cited(text) == found
    assert wrong(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "facts ff99",
        "facts ff3.99",
        "facts ff1 and Z1, ff2",
        "field-faults 9",
        "engine-nccl-netplan B3",
        "facts: ff20",
        "(ff20)",
        "as ff 31 says",
        "waits (A3)",
        "ports of any number (A4, A5): see facts B1",
        "see N13",
        "vLLM's own (facts F).",
        "rules.md, MTU003",
        "newer.md N13",
        "lab-recipes 2",
        "design, section 4",
    ],
)
def test_the_checker_sees_what_resolves_to_nothing(text: str) -> None:
    assert len(wrong(text)) == 1
    assert len(wrong(f"good: facts ff1, ff2 and B3\n# {text}")) == 1


def test_the_checkers_see_a_wrong_link() -> None:
    page = ROOT / "docs/rules/X.md"
    right = "Facts [ff1](../facts/field-faults.md#ff1) and [B3](../facts/engine-nccl-netplan.md#B3)."
    assert broken(page, right) == unlinked(right) == []
    assert broken(page, right.replace("#ff1", "#ff2")) == ["[ff1](../facts/field-faults.md#ff2)"]
    assert broken(page, right.replace("field-faults", "spark")) == ["[ff1](../facts/spark.md#ff1)"]
    assert broken(page, "[here](../facts/spark.md#ff999)") == ["[here](../facts/spark.md#ff999)"]
    assert unlinked("Facts ff1 and [B3](../facts/engine-nccl-netplan.md#B3).") == ["ff1"]


def test_every_fact_has_one_anchor_before_its_heading() -> None:
    every = [id for path in FACTS.glob("*.md") for id in ids_of(path)]
    assert [id for id, times in Counter(every).items() if times > 1] == []
    assert [id for id in every if not re.fullmatch(ID, id)] == []
    text = "".join(path.read_text() for path in FACTS.glob("*.md"))
    assert re.findall(r'^<a id="([^"]*)"></a>\n### \1(?=: \S|\n)', text, re.MULTILINE) == every
    assert len(every) > 150


def test_every_page_of_facts_is_in_the_list() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.\w+)\)", (FACTS / "README.md").read_text()))
    assert {path.name for path in FACTS.iterdir()} - {"README.md"} == listed


def test_every_citation_resolves() -> None:
    texts = {path: path.read_text(errors="replace") for path in tracked() if not exempt(path)}
    assert {str(path.relative_to(ROOT)): hits for path, text in texts.items() if (hits := wrong(text))} == {}
    assert sum(len(cited(text)) for text in texts.values()) > 200


def test_every_link_to_a_fact_leads_to_it() -> None:
    pages = {path: path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))}
    assert {str(path): hits for path, text in pages.items() if (hits := broken(path, text))} == {}
    found = {
        path: unlinked(text) for folder in LINKED for path in (ROOT / folder).glob("*.md") for text in [pages[path]]
    }
    assert {str(path): ids for path, ids in found.items() if ids} == {}
