"""The layers of the design, over the whole import graph and in every single file."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sparkctl"
OUTSIDE = {"asyncssh", "asyncio", "subprocess", "socket", "time", "random", "typer"}
REACHES_OUT = {"ssh", "execute", "lab", "cli"}
IMPORT_LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in IMPORT_LINTER["contracts"]}


def imported(node: ast.AST) -> set[str]:
    """Top-level packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) and not node.level else set()


def forbidden(package: str, source: str) -> set[str]:
    """What a file of `package` imports and may not."""
    found: set[str] = set().union(*(imported(node) for node in ast.walk(ast.parse(source))))
    outside = set() if package in REACHES_OUT else found & OUTSIDE
    return outside | (found & {"networkx"} if package != "fabric" else set())


def late(source: str) -> list[str]:
    """Functions that import something when they are called."""
    defs = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [d.name for d in defs if any(isinstance(s, ast.Import | ast.ImportFrom) for s in ast.walk(d))]


def package_of(path: Path) -> str:
    """`inventory` for sparkctl/inventory/parse.py, `errors` for sparkctl/errors.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def packages() -> set[str]:
    """Everything directly below sparkctl."""
    return {package_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lint_imports(where: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """The contracts of pyproject.toml, all or these alone, on the tree at `where`."""
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *chosen]
    here = {"PYTHONPATH": str(where)}
    return subprocess.run(command, cwd=where, env=here, capture_output=True, text=True, timeout=120)


def test_the_checkers_see_a_violation() -> None:
    assert forbidden("plan", "import asyncio.subprocess") == {"asyncio"}
    assert forbidden("plan", "def f():\n from time import sleep") == {"time"}
    assert forbidden("lab", "import subprocess, networkx") == {"networkx"}
    assert forbidden("fabric", "import networkx") == set()
    assert late("async def f():\n if x:\n  import y") == ["f"]
    assert late("import y\ndef f(): ...") == []


@pytest.mark.parametrize("path", modules(), ids=identify)
def test_only_execute_lab_and_cli_reach_the_outside(path: Path) -> None:
    assert forbidden(package_of(path), path.read_text()) == set()


@pytest.mark.parametrize("path", [p for p in modules() if package_of(p) != "cli"], ids=identify)
def test_imports_stand_at_the_top(path: Path) -> None:
    assert late(path.read_text()) == []


def test_the_contracts_cover_every_package() -> None:
    pure = {f"sparkctl.{name}" for name in packages() - REACHES_OUT}
    assert set(CONTRACTS["pure"]["source_modules"]) == pure
    assert set(CONTRACTS["pure"]["forbidden_modules"]) == OUTSIDE
    assert set(CONTRACTS["graph"]["source_modules"]) == {f"sparkctl.{name}" for name in packages() - {"fabric"}}


def test_the_layers_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("inventory/model.py", "import sparkctl.fabric.model", "layers"),
        ("outcome.py", "import sparkctl.cli.terminal", "layers"),
        ("commands/shell.py", "import asyncio", "pure"),
        ("inventory/model.py", "import networkx", "graph"),
    ],
)
def test_a_planted_violation_is_seen(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "sparkctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "sparkctl" / file
    planted.write_text(planted.read_text() + f"\n{line}\n")
    assert lint_imports(tmp_path, contract).returncode == 1
    assert lint_imports(ROOT, contract).returncode == 0, "it is known, and holds without what was planted"
