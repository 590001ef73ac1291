"""The size budget: small functions, small files. Each checker is shown a violation first."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median
from textwrap import indent

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sparkctl"
MAX_MEDIAN, MAX_FUNCTION, MAX_FILE = 8, 60, 400  # CONTRIBUTING, Style


def functions(source: str) -> dict[str, int]:
    """Lines of every function of a module, by name and first line."""
    defs = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {f"{d.name}:{d.lineno}": (d.end_lineno or d.lineno) - d.lineno + 1 for d in defs}


def too_long(source: str) -> list[str]:
    """Functions over the limit."""
    return [name for name, lines in functions(source).items() if lines > MAX_FUNCTION]


def too_big(source: str) -> bool:
    """A file over the limit."""
    return source.count("\n") > MAX_FILE


def sources() -> dict[Path, str]:
    """Every module of the package."""
    return {path.relative_to(ROOT): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def body(lines: int) -> str:
    """A function of `lines` lines in all."""
    return "def long() -> None:\n" + "    x = 1\n" * (lines - 1)


def test_the_checkers_see_a_violation() -> None:
    assert too_long(body(MAX_FUNCTION + 1)) == ["long:1"]
    assert too_long(body(MAX_FUNCTION)) == []
    assert too_long(f"if True:\n{indent(body(MAX_FUNCTION + 1), '    ')}") == ["long:2"]
    assert too_big("x\n" * (MAX_FILE + 1))
    assert not too_big("x\n" * MAX_FILE)


def test_no_function_is_too_long() -> None:
    found = {str(path): too_long(source) for path, source in sources().items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_file_is_too_big() -> None:
    assert [str(path) for path, source in sources().items() if too_big(source)] == []


def test_the_median_function_is_small() -> None:
    lengths = [lines for source in sources().values() for lines in functions(source).values()]
    assert median(lengths) <= MAX_MEDIAN, f"median of {len(lengths)} functions: {median(lengths)} lines"
