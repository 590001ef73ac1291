"""Names say the thing, and everything public says what it is. Each checker is shown a violation first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sparkctl"
EMPTY_WORDS = {"manager", "helper", "util", "handler", "process", "data", "info", "do"}  # CONTRIBUTING, Style
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def words(name: str) -> set[str]:
    """`NodeManagers` and `node_managers` are both made of `node` and `manager`."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return {form for part in parts for form in (part.lower(), part.lower().removesuffix("s"))}


def empty_names(path: Path, source: str) -> list[str]:
    """Modules, classes and functions with a name that says nothing."""
    names = [path.stem] + [n.name for n in ast.walk(ast.parse(source)) if isinstance(n, Definition)]
    return [name for name in names if words(name) & EMPTY_WORDS]


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Classes, functions and methods that others may use."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def undocumented(source: str) -> list[str]:
    """Public things without a docstring; the module itself when its first line is not one."""
    module = ast.parse(source)
    opening = (ast.get_docstring(module) or "").splitlines()[:1]
    missing = [] if opening and opening[0].strip() else ["module"]
    return missing + [name for name, node in public(module.body) if not ast.get_docstring(node) and not restated(node)]


def restated(node: Definition) -> bool:
    """Overloads and property setters say nothing new."""
    marks = {ast.unparse(mark).rsplit(".", 1)[-1] for mark in node.decorator_list}
    return bool(marks & {"overload", "setter"})


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("utils.py", "", ["utils"]),
        ("x.py", "class NodeManager: ...", ["NodeManager"]),
        ("x.py", "class A:\n def handle_info(self): ...", ["handle_info"]),
        ("x.py", "async def do_it(): ...", ["do_it"]),
        ("x.py", "def document(): ...\nclass Metadata: ...\ndef processed(): ...", []),
    ],
)
def test_the_checker_sees_an_empty_name(path: str, source: str, found: list[str]) -> None:
    assert empty_names(Path(path), source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1", ["module"]),
        ('"""Job."""\ndef f(): ...', ["f"]),
        ('"""Job."""\nclass A:\n "A."\n def f(self): ...\n def _g(self): ...', ["A.f"]),
        ('"""Job."""\nclass A:\n "A."\n @x.setter\n def f(self, v): ...', []),
    ],
)
def test_the_checker_sees_a_missing_docstring(source: str, found: list[str]) -> None:
    assert undocumented(source) == found


@pytest.mark.parametrize("path", modules(), ids=identify)
def test_names_say_the_thing(path: Path) -> None:
    assert empty_names(path, path.read_text()) == []


@pytest.mark.parametrize("path", modules(), ids=identify)
def test_everything_public_says_what_it_is(path: Path) -> None:
    assert undocumented(path.read_text()) == []
