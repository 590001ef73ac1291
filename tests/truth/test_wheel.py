"""The wheel, installed into a fresh virtual environment far from the checkout, renders what the checkout renders."""

from __future__ import annotations

import sys
import tomllib
import venv
from pathlib import Path

import pytest

from tests.wheel import PIP, ROOT, built, run

INVENTORY = ROOT / "inventories" / "dual.yaml"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel and what a user's lock has, which must be all that it asks for."""
    home = tmp_path_factory.mktemp("made")
    wheel = built(home)
    venv.create(home / "venv")
    there = (*PIP, "--python", home / "venv")
    locked = ("--only-binary=:all:", "--requirement", ROOT / ".ci/lock/run.txt")
    run(*there, "install", "--require-hashes", *locked, cwd=home)
    run(*there, "install", "--no-deps", wheel, cwd=home)
    run(*there, "check", cwd=home)
    return home / "venv"


def test_the_wheel_carries_what_the_program_reads(installed: Path) -> None:
    where = run(installed / "bin/python", "-c", "import sparkctl; print(sparkctl.__path__[0])", cwd=installed)
    package = Path(where.strip())
    assert installed in package.parents
    for source, target in SHIPPED.items():
        ours, theirs = files(ROOT / source), files(package.parent / target)
        assert [name for name in ours | theirs if ours.get(name) != theirs.get(name)] == []
        assert ours, f"{source} is empty"


def test_the_wheel_carries_the_tables_of_the_package(installed: Path) -> None:
    where = run(installed / "bin/python", "-c", "import sparkctl; print(sparkctl.__path__[0])", cwd=installed)
    ours = {str(path.relative_to(ROOT / "sparkctl")) for path in (ROOT / "sparkctl").rglob("*.json")}
    assert {name for name in ours if not (Path(where.strip()) / name).is_file()} == set()
    assert {"models/known.json", "engines/vllm/known/vllm-0.33.0.json"} <= ours


def test_the_wheel_renders_as_the_checkout_does(installed: Path, tmp_path: Path) -> None:
    ours = Path(sys.executable).with_name("sparkctl")
    run(installed / "bin/sparkctl", "render", INVENTORY, "-o", tmp_path / "wheel", cwd=tmp_path)
    run(ours, "render", INVENTORY, "-o", tmp_path / "checkout", cwd=tmp_path)
    assert files(tmp_path / "wheel") == files(tmp_path / "checkout") != {}


def test_the_wheel_explains_a_rule(installed: Path, tmp_path: Path) -> None:
    assert "TOP001" in run(installed / "bin/sparkctl", "explain", "TOP001", cwd=tmp_path)
    assert "# rail-mtu" in run(installed / "bin/sparkctl", "explain", "rail-mtu", cwd=tmp_path)
