"""Every rule has a page whose examples are true, a failing and a passing case, and a source."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path, PurePosixPath

import pytest

from sparkctl import resources
from sparkctl import rule as base
from sparkctl.engines import ENGINES, Engine
from sparkctl.errors import SparkctlError
from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding
from sparkctl.resources import share
from sparkctl.rule import declare
from sparkctl.rules import Rule, rules
from sparkctl.study import study_text

CASES = Path(__file__).parents[1] / "cases/findings"
DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"), {"/cluster/open.key"}.__contains__)
SECTIONS = ["What it refuses", "Why", "Wrong", "Right", "Source"]
BASE = {
    "apiVersion": "apiVersion: sparkctl/v1\n",
    "kind": "kind: Cluster\n",
    "metadata": "metadata: {name: example}\n",
    "nodes": "nodes:\n  - {name: spark-1, address: 192.0.2.11}\n  - {name: spark-2, address: 192.0.2.12}\n",
    "links": "links:\n  - [spark-1:p1, spark-2:p1]\n",
    "fabric": "fabric:\n  topology: direct\n",
}
every_rule = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)


def page(rule: Rule) -> str:
    return resources.page("rules", rule.id)


def example(rule: Rule, section: str) -> str:
    """The YAML under a heading of the rule's page."""
    found = re.search(rf"^## {section}\n```yaml\n(.*?)^```", page(rule), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{rule.id}.md has no example under {section}"
    return found[1]


def completed(fragment: str) -> str:
    """A whole inventory: the sections of the fragment, and plain ones for the rest."""
    keys = re.findall(r"^(\w+):", fragment, re.MULTILINE)
    own = dict(zip(keys, re.split(r"^(?=\w+:)", fragment, flags=re.MULTILINE)[1:], strict=True))
    return "".join({**BASE, **own}.values())


def judged(text: str) -> tuple[Finding, ...]:
    return study_text(text.encode(), "inventory.yaml", DESK).findings


def ids(text: str) -> set[str]:
    return {finding.id for finding in judged(text)}


@every_rule
def test_page_is_complete(rule: Rule) -> None:
    assert page(rule).startswith(f"# {rule.id}: {rule.title}\n\nSeverity: {rule.severity}.\n")
    assert re.findall(r"^## (.+)$", page(rule), re.MULTILINE) == SECTIONS
    assert page(rule).rpartition("## Source\n")[2].replace("\n", " ").strip(" .").lower() == rule.source.lower()


@every_rule
def test_examples_of_the_page_are_true(rule: Rule) -> None:
    assert rule.id in ids(completed(example(rule, "Wrong")))
    assert rule.id not in ids(completed(example(rule, "Right")))


@every_rule
def test_there_is_a_failing_and_a_passing_case(rule: Rule) -> None:
    verdicts = {
        path.name: {f["id"] for f in json.loads((path / "expected.json").read_text())}
        for path in CASES.glob(f"{rule.id}--*")
    }
    assert any(rule.id in found for found in verdicts.values()), verdicts
    assert any(rule.id not in found for found in verdicts.values()), verdicts


def failing_cases(rule: Rule) -> list[bytes]:
    """The inventories of the rule's cases in which it has something to say."""
    kept = (
        path for path in CASES.glob(f"{rule.id}--*") if f'"id": "{rule.id}"' in (path / "expected.json").read_text()
    )
    return [(path / "inventory.yaml").read_bytes() for path in kept]


def engine_rules(engine: Engine) -> dict[str, Rule]:
    """The book of an engine's own rules."""
    book = import_module(f"{type(engine).__module__.rpartition('.')[0]}.rules").RULES
    assert {rule.id for rule in engine.rules()} == book.keys()
    return book


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule.check is not None], ids=lambda rule: rule.id)
def test_without_the_rule_its_cases_fail(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else gives its findings, so a rule that is lost is seen."""
    found = [{f.id for f in study_text(content, "x.yaml", DESK).findings} for content in failing_cases(rule)]
    assert found and all(rule.id in each for each in found)
    books = [base._REGISTRY, *(engine_rules(engine) for engine in ENGINES.values())]
    (book,) = (book for book in books if rule.id in book)
    monkeypatch.delitem(book, rule.id)
    for content in failing_cases(rule):
        assert rule.id not in {f.id for f in survived(content)}


def survived(content: bytes) -> tuple[Finding, ...]:
    """The findings of a study in which a rule is missing; it may break where that rule stood guard."""
    try:
        return study_text(content, "x.yaml", DESK).findings
    except (ValueError, KeyError, IndexError):
        return ()


def test_only_these_are_enforced_while_reading() -> None:
    """The file's own layer and the comments: no check of theirs can be taken out alone."""
    assert {rule.id for rule in rules() if rule.check is None} == {
        *(f"INV00{n}" for n in range(1, 6)),
        "INV011",
    }


def test_every_rule_of_the_catalogue_is_there() -> None:
    """Ids are in users' CI: none may get lost."""
    families = {"ENG": 7, "INV": 11, "TOP": 16, "ADR": 6, "MTU": 4, "MGT": 5, "NCL": 12, "PAR": 12, "MEM": 3, "SWT": 4, "SEC": 5}
    wanted = {f"{family}{n:03}" for family, count in families.items() for n in range(1, count + 1)}
    assert wanted <= {rule.id for rule in rules()}


@every_rule
def test_findings_say_what_to_write(rule: Rule) -> None:
    for finding in judged(completed(example(rule, "Wrong"))):
        assert finding.message
        assert finding.remedy
        assert finding.message.isprintable()
        assert finding.location.line > 0
        assert finding.location.column > 0


def test_no_page_and_no_case_without_a_rule() -> None:
    known = {rule.id for rule in rules()}
    assert {path.stem for path in share("rules").glob("*.md")} == known | {"exit-codes"}
    assert {path.name.partition("--")[0] for path in CASES.iterdir()} <= known


def test_ids_are_well_formed() -> None:
    assert all(re.fullmatch(r"(INV|TOP|ADR|MTU|MGT|NCL|PAR|ENG|SWT|MEM|SEC)\d{3}", rule.id) for rule in rules())


def test_an_id_is_given_once() -> None:
    with pytest.raises(ValueError, match="TOP001 is registered twice"):
        declare("TOP001", "error", "again", "nowhere")
    assert {type(rule) for rule in rules()} == {Rule}


def test_every_exit_code_is_explained() -> None:
    def codes(error: type[SparkctlError]) -> set[int]:
        return {error.exit_code}.union(*(codes(child) for child in error.__subclasses__()))

    text = (share("rules") / "exit-codes.md").read_text()
    explained = {int(code) for code in re.findall(r"^## (\d+): ", text, re.MULTILINE)}
    assert explained == codes(SparkctlError) | {0, 10, 130}
