"""Scenario clusters, one for each fabric, and the matrix that is kept as a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkctl.study import study
from tests.scenario.cells import Matrix
from tests.scenario.rig import Rig, inventory
from tests.scenario.world import World, folder

ROOT = Path(__file__).resolve().parents[2]


def rig_of(topology: str, base: Path, engine: bool) -> Rig:
    """A cluster of new nodes."""
    assert os.geteuid() == 0, "scenario nodes are namespaces: they need root"
    path = base / f"{topology}.yaml"
    path.write_text(inventory(topology, engine))
    found = study(path)
    assert found.cluster is not None and found.fabric is not None, found.findings
    rig = Rig(World.of(found.fabric, [node.name for node in found.cluster.nodes], base), path)
    rig.furnish()
    return rig


def opened(topology: str, engine: bool) -> Iterator[Rig]:
    """The same, closed at the end."""
    with folder() as name:
        rig = rig_of(topology, Path(name), engine)
        try:
            yield rig
        finally:
            rig.world.close()


@pytest.fixture(scope="session")
def direct() -> Iterator[Rig]:
    """Two nodes, one cable, an engine."""
    yield from opened("direct", True)


@pytest.fixture(scope="session")
def mesh() -> Iterator[Rig]:
    """Three nodes, three cables."""
    yield from opened("mesh", False)


@pytest.fixture(scope="session")
def switch() -> Iterator[Rig]:
    """Four nodes on a switch."""
    yield from opened("switch", False)


@pytest.fixture(scope="session")
def matrix() -> Iterator[Matrix]:
    """All cells of this run, written down at the end."""
    kept = Matrix()
    yield kept
    if kept.cells:
        kept.keep(ROOT / ".make")

