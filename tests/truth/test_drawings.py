"""What `sparkctl topology --format dot` draws, laid out by the real Graphviz without a complaint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.report.drawing import Sketch, as_dot, sketch
from sparkctl.study import study_text

ROOT = Path(__file__).resolve().parents[2]
DESK = Controller("op", PurePosixPath("/home/op"), PurePosixPath("/inventories"))
EXAMPLES = sorted((ROOT / "inventories").glob("*.yaml"))
CASES = sorted((ROOT / "tests/cases/findings").glob("*/inventory.yaml"))


def drawn(path: Path) -> Sketch | None:
    found = study_text(path.read_bytes(), path.name, DESK)
    return None if found.cluster is None else sketch(found.cluster, found.fabric, found.findings)


def laid_out(one: Sketch, real: Callable[..., Any]) -> list[list[str]]:
    """The lines of Graphviz's plain output: kind, then names and places."""
    ran = real(["dot", "-Tplain"], input=as_dot(one))
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.split(" ") for line in ran.stdout.splitlines()]


def complete(one: Sketch, real: Callable[..., Any]) -> None:
    lines = laid_out(one, real)
    assert [line[1] for line in lines if line[0] == "node"] == [f"n{k}" for k in range(len(one.boxes))]
    edges = sorted((line[1], line[2]) for line in lines if line[0] == "edge")
    assert edges == sorted((f"n{wire.a[0]}", f"n{wire.b[0]}") for wire in one.wires)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_graphviz_draws_every_example(path: Path, real: Callable[..., Any]) -> None:
    one = drawn(path)
    assert one is not None
    complete(one, real)


def test_graphviz_draws_files_with_findings(real: Callable[..., Any]) -> None:
    families = {path.parent.name[:3]: path for path in CASES if drawn(path)}
    assert len(families) > 4
    for path in families.values():
        one = drawn(path)
        assert one is not None
        complete(one, real)


def test_graphviz_would_have_said_so(real: Callable[..., Any]) -> None:
    one = drawn(EXAMPLES[0])
    assert one is not None
    broken = as_dot(one).replace("</TABLE>", "", 1)
    ran = real(["dot", "-Tplain"], input=broken)
    assert ran.stderr != ""
