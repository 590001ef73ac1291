"""Every example inventory renders to the files below tests/cases/render, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparkctl.render import Artifact, render
from sparkctl.study import study

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases" / "render"
INVENTORIES = sorted((ROOT / "inventories").glob("*.yaml"))


def rendered(inventory: Path) -> dict[Path, Artifact]:
    """Where each file is kept, and what it should say."""
    found = study(inventory)
    assert found.errors == ()
    assert found.cluster is not None
    assert found.fabric is not None
    made = render(found.cluster, found.fabric)
    holders = [*made.nodes.items(), *made.switches.items()]
    return {CASES / inventory.stem / name / f.path.lstrip("/"): f for name, holder in holders for f in holder.files}


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.stem)
def test_an_example_renders_to_its_files(inventory: Path, golden: Callable[[Path, str], None]) -> None:
    wanted = rendered(inventory)
    for path, artifact in wanted.items():
        golden(path, artifact.content)
    kept = {path for path in (CASES / inventory.stem).rglob("*") if path.is_file()}
    assert kept == set(wanted), "remove the files that are no longer rendered"


def test_no_case_has_lost_its_inventory() -> None:
    assert INVENTORIES
    assert {path.name for path in CASES.iterdir()} == {path.stem for path in INVENTORIES}
