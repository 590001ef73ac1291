"""The node's own functions one by one: what each refuses, what it does, and that it leaves alone all else.

One case is one script on a node where sparkctl never was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenario import node_checkpoint, node_files, node_network, node_probes
from tests.scenario.node import Case
from tests.scenario.rig import Rig, inventory
from tests.scenario.test_safety import HEAD, made_rig
from tests.scenario.world import folder

CASES = (*node_checkpoint.CASES, *node_files.CASES, *node_network.CASES, *node_probes.CASES)
SHORT = 5
"""Of so many cases `make test` plays one."""
LEVELS = [pytest.param(case, id=case.name, marks=() if n % SHORT == 0 else pytest.mark.more) for n, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """Two nodes; one is enough for most."""
    with folder() as name:
        path = Path(name, "direct.yaml")
        path.write_text(inventory("direct", engine=False))
        rig = made_rig(path)
        try:
            rig.furnish()
            yield rig
        finally:
            rig.world.close()


@pytest.mark.parametrize("case", LEVELS)
def test_a_function_of_the_node(made: Rig, case: Case) -> None:
    made.world.reset(made.base)
    said = made.world.run(HEAD, case.script())
    assert said.status == case.status, said
