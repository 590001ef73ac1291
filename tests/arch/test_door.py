"""Text leaves by one door, sparkctl/report/door.py: nothing beside it prints, writes to the terminal or makes markup."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sparkctl"
DOOR = "report/door.py"
REVIEWED = {
    DOOR: {"print", ".print", ".write"},  # what takes back a line of progress
    "cli/asking.py": {"os.write"},  # a question on a terminal, made visible
    "cli/discover.py": {".write"},  # the inventory, into a file
    "cli/explain.py": {".print", "rich.markdown", "sys.stdout"},  # our own pages, on a terminal
    "cli/init.py": {"typer.confirm", "typer.prompt"},  # questions, made visible
    "cli/inventory.py": {"typer.confirm"},  # a question, made visible
    "cli/main.py": {"sys.stdout", "sys.stderr"},  # written out at the end; closed when nobody reads
    "cli/places.py": {".write"},  # reports, into files
    "cli/render.py": {".write"},  # what nodes should hold, into files
    "cli/terminal.py": {".write", "rich.console", "sys.stdout", "sys.stderr"},  # the consoles; a bug's file
    "cli/topology.py": {"sys.stdout"},  # is it a terminal?
    "cli/validate.py": {"sys.stdout"},  # is it a terminal?
    "lab/container/supervisor.py": {"print", "sys.stderr"},  # a log of the lab
    "lab/control.py": {"print", ".write", "sys.stderr"},  # a log of the lab; an answer to the other process
    "lab/vm/supervisor.py": {"print", "sys.stderr"},  # a log of the lab
    "report/html.py": {"Markup"},  # the picture, which ElementTree wrote
    "ssh/connection.py": {".write"},  # to a node
    "ssh/known_hosts.py": {".write", "os.write"},  # host keys, into a file
}
"""By file: what it does that might be a way past the door, and why it is none."""
ECHOES = {"echo", "secho", "confirm", "prompt", "style", "echo_via_pager"}
WRITES = {"write", "writelines", "print", "print_json", "log", "rule", "status", "print_exception", "input", "out"}
RICH = {"rich", "markupsafe"}


def ways(source: str) -> Iterator[str]:
    """What in a file could bring text out of the program, or make markup of it."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in RICH)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in RICH:
            yield from (name.name if node.module == "markupsafe" else str(node.module) for name in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            yield from [f"sys.{node.attr}"] if node.attr in ("stdout", "stderr", "__stdout__", "__stderr__") else []
        elif isinstance(node, ast.Call):
            yield from called(node.func)


def called(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.Name) and function.id in ("print", "Markup"):
        yield function.id
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if owner in ("typer", "click") and function.attr in ECHOES:
            yield f"{owner}.{function.attr}"
        elif owner == "os" and function.attr in ("write", "writev"):
            yield f"os.{function.attr}"
        elif function.attr in WRITES and owner not in ("marks", "math", "os", "places"):
            yield f".{function.attr}"


def test_the_checker_sees_a_way_out() -> None:
    planted = "from rich.markup import escape\nimport sys\nprint(1)\nout.print(f'[bold]{x}[/]')\nsys.stdout.write(x)\ntyper.echo(x)\nos.write(1, x)\nMarkup(x)"
    assert set(ways(planted)) == {"rich.markup", "sys.stdout", "print", ".print", ".write", "typer.echo", "os.write", "Markup"}
    assert set(ways("if TYPE_CHECKING:\n    from rich.console import Console\n")) == set()
    assert set(ways("console.render_str(x)\nplaces.write(x, y)")) == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_leaves_beside_the_door(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    assert set(ways(path.read_text())) - REVIEWED.get(name, set()) == set()


def test_what_was_reviewed_is_still_there() -> None:
    gone = {name: said for name, allowed in REVIEWED.items() if (said := allowed - set(ways((PACKAGE / name).read_text())))}
    assert gone == {}


def test_no_template_of_a_report_lets_markup_through() -> None:
    pages = sorted((ROOT / "templates/report").glob("*.j2"))
    assert pages
    for page in pages:
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|\bMarkup\b", page.read_text()), page
