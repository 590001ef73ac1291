"""Labs of two nodes for the cluster suites, one per file, with nothing of sparkctl left after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.labs import BARE, DESKTOP, SERVING, LabKind, Labs, Rig


@pytest.fixture(scope="module")
def serving(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """The first example, engine and all."""
    return labs.of(SERVING, request.node.nodeid)


@pytest.fixture(scope="module")
def bare_lab(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """The same fabric without an engine: quick to change and to break."""
    return labs.of(BARE, request.node.nodeid)


@pytest.fixture
def bare(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The same with everything planted taken away again after each test, and nothing of sparkctl left."""
    yield from _cleared(labs, BARE, request)


@pytest.fixture
def desktop(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The same on nodes with NetworkManager, as DGX OS has it."""
    yield from _cleared(labs, DESKTOP, request)


def _cleared(labs: Labs, kind: LabKind, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = labs.of(kind, request.node.getparent(pytest.Module).nodeid)
    yield rig
    rig.heal()
    ended = rig.cluster("down", "--yes")
    assert ended.code == 0, ended.err
