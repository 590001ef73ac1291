"""What people read: hints are commands that exist, no Python in messages, one is not many, and plain English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from sparkctl.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sparkctl"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "inventories").glob("*.yaml"))]
ROOT_VERB: Any = typer.main.get_command(app)
REVIEWED_REPR = {"facts/snapshot.py"}  # a value for a digest
CLUMSY = (
    r"(?<!there )\b(?:is|are|was|were) no (?!longer|more\b)[a-z]+",
    r"\b(?:has|have) not (?:the|a|an|its|their)\b",
    r"\bput (?:this|that|it|the cause) right\b|\bputs it right\b",
    r"\bmend (?:this|that|it|its|these)\b",
    r"see `do:` above",
    r"\b(?:close|closed) (?:its|the|their) book\b",
    r"\bTimeoutError\b",
    r"\w\([a-z]{1,2}\)(?= |$)",  # node(s)
)
"""Kinds of sentences that readers stumbled over."""
SEVERAL = re.compile(r"^ (?!is\b|was\b|has\b|does\b|as\b|its\b|this\b|less\b|across\b|s\b)[a-z]+s\b")
COUNT = re.compile(r"^(?:len\(.*\)|count|total|number|left|.*\.(?:tokens|restarts|losses))$")


def texts(path: Path) -> Iterator[tuple[int, str, ast.AST]]:
    """String literals with a line each, `X` for what is filled in; no docstrings."""
    tree = ast.parse(path.read_text())
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    spared = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | spared:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, node
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values), node


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> Iterator[str]:
    """What a reader would paste: in quotes, or after the program's name where a group of verbs or an option follows."""
    verbs = "|".join(ROOT_VERB.list_commands(None))
    groups = "|".join(verb for verb in ROOT_VERB.list_commands(None) if hasattr(ROOT_VERB.get_command(None, verb), "list_commands"))
    for quoted in re.findall(r"`([^`]+)`", text):
        if re.match(rf"sparkctl [a-z]|(?:{groups}) [a-z]|(?:{verbs}) -", quoted):
            yield quoted.removeprefix("sparkctl ")
    plain = re.sub(r"`[^`]+`", "", text)
    yield from re.findall(rf"\bsparkctl ((?:{verbs})\b[^;,)\n#|]*)", plain)
    yield from re.findall(r"\bsparkctl ([a-z-]+ (?:-|X\b|INVENTORY|\S+\.yaml)[^;,)\n#|]*)", plain)


def unknown(command: str) -> str:
    """What of `command` the program does not have; empty when it has all."""
    at, words = ROOT_VERB, command.split()
    while words and hasattr(at, "list_commands"):
        found = at.get_command(None, words[0].rstrip(".:?"))
        if found is None:
            return words[0] if at is ROOT_VERB or not re.fullmatch(r"[A-Z.]+", words[0]) else ""
        at, words = found, words[1:]
    options = {option for parameter in at.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help", "-h"}
    asked = (word.partition("=")[0].rstrip(".:?") for word in words[: words.index("--")] if word.startswith("-")) if "--" in words else (
        word.partition("=")[0].rstrip(".:?") for word in words if re.match(r"--?[a-z]", word)
    )
    return " ".join(option for option in asked if option not in options)


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("then: sparkctl cluster restart X", ["restart"]),
        ("`cluster logs`", ["logs"]),
        ("`sparkctl cluster up --fast`", ["--fast"]),
        ("sparkctl doctors --fix", ["doctors"]),
        ("`cluster plan -o`; sparkctl lab ssh X NODE -- uptime --x, what sparkctl wrote; `verify --load`", ["verify"]),
        ("sparkctl cluster status says which; sparkctl explain ID", []),
    ],
)
def test_the_checker_sees_a_verb_that_is_not_there(text: str, lacking: list[str]) -> None:
    found = [unknown(command) for command in commands(text)]
    assert [each for each in found if each] == ([] if lacking == ["verify"] else lacking)


def test_the_checker_sees_the_hints_that_there_are() -> None:
    assert len([c for path in modules() for _, text, _ in texts(path) for c in commands(text)]) > 60


@pytest.mark.parametrize("path", modules(), ids=name)
def test_no_hint_names_what_does_not_exist(path: Path) -> None:
    assert [(line, c) for line, text, _ in texts(path) for c in commands(text) if unknown(c)] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_names_what_does_not_exist(path: Path) -> None:
    assert [command for line in path.read_text().splitlines() for command in commands(line) if unknown(command)] == []


def helps(at: Any, path: str = "sparkctl") -> Iterator[Any]:
    """Every verb's own help, by its name."""
    yield pytest.param(at.help or "", id=path)
    for verb in at.list_commands(None) if hasattr(at, "list_commands") else ():
        yield from helps(at.get_command(None, verb), f"{path} {verb}")


@pytest.mark.parametrize("text", list(helps(ROOT_VERB)))
def test_help_is_plain_and_names_what_exists(text: str) -> None:
    assert [command for line in text.splitlines() for command in commands(line) if unknown(command)] == []
    assert [found[0] for kind in CLUMSY for found in re.finditer(kind, text)] == []


def pythonic(node: ast.AST) -> bool:
    """Whether a message is made with `!r` or repr()."""
    return any((isinstance(n, ast.FormattedValue) and n.conversion == ord("r")) or (isinstance(n, ast.Call) and ast.unparse(n.func) == "repr") for n in ast.walk(node))


def uncounted(node: ast.AST) -> list[str]:
    """Numbers before a plural that is always one."""
    values = node.values if isinstance(node, ast.JoinedStr) else []
    pairs = [(a, b) for a, b in pairwise(values) if isinstance(a, ast.FormattedValue) and isinstance(b, ast.Constant)]
    return [ast.unparse(a.value) for a, b in pairs if COUNT.match(ast.unparse(a.value)) and SEVERAL.match(str(b.value))]


def test_the_checkers_see_what_they_look_for() -> None:
    assert pythonic(ast.parse('f"no {x!r}"')) and pythonic(ast.parse("repr(x)")) and not pythonic(ast.parse('f"{x}"'))
    joined = ast.parse('f"{len(nodes)} nodes"').body[0]
    assert isinstance(joined, ast.Expr) and uncounted(joined.value) == ["len(nodes)"]
    said = ("star is no topology", "it has not the memory", "put this right", "mend it", "2 node(s) are")
    assert all(any(re.search(kind, text) for kind in CLUMSY) for text in said)
    assert not any(re.search(kind, "there is no node x; no longer") for kind in CLUMSY)


@pytest.mark.parametrize("path", modules(), ids=name)
def test_no_python_is_in_a_message(path: Path) -> None:
    if str(path.relative_to(PACKAGE)) not in REVIEWED_REPR:
        assert not pythonic(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", modules(), ids=name)
def test_one_is_not_many_and_sentences_are_plain(path: Path) -> None:
    said = list(texts(path))
    assert [(line, text) for line, text, node in said if uncounted(node)] == []
    assert [(line, text) for line, text, _ in said for kind in CLUMSY if " " in text and re.search(kind, text)] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_are_plain(path: Path) -> None:
    assert [found[0] for kind in CLUMSY[1:] for found in re.finditer(kind, path.read_text())] == []


def test_no_recorded_message_has_python_or_one_of_many() -> None:
    kinds = re.compile(r"\['|\bNone\b|\bTrue\b|\bFalse\b|\w+Error\(|\[Errno|\b1 (?:nodes|changes|tokens|losses|cables|files|places|errors|checks)\b")
    cases = [path for said in ("*/**/verdicts.txt", "reports/*.txt", "findings/**/expected.json") for path in sorted((ROOT / "tests/cases").glob(said))]
    assert len(cases) > 300
    assert {name(case): found[0] for case in cases if (found := kinds.search(case.read_text()))} == {}
