"""The fault matrix: whatever fails, is lost or dies at any command, all nodes end as before or all at the goal, and the exit says which."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scenario.cells import KINDS, Case, Cell, Matrix
from tests.scenario.rig import Rig, down, recover, reprovision, up
from tests.scenario.transport import Fault
from tests.scenario.world import STARTED_AT

LATER = STARTED_AT + 1000
VERBS = ("up", "down", "reprovision", "recover finish", "recover undo")
TOPOLOGIES = ("direct", "mesh", "switch")
# direct has every cell; the others a covering subset for the sake of time: every n-th cell of each kind and verb.
EVERY = {"direct": 1, "mesh": 7, "switch": 13}


class Cases:
    """Healthy runs of every verb on one cluster; each is the beginning of others."""

    def __init__(self, topology: str, rig: Rig) -> None:
        self.topology, self.rig = topology, rig
        self._made: dict[str, Case] = {}

    def of(self, verb: str) -> Case:
        """The case of a verb, with its healthy run behind it."""
        if verb not in self._made:
            case: Case = getattr(self, "_" + verb.replace(" ", "_"))()
            case.healthy()
            self._made[verb] = case
        return self._made[verb]

    def _up(self) -> Case:
        return Case(self.topology, "up", self.rig, up, self.rig.base, every_step=True)

    def _down(self) -> Case:
        return Case(self.topology, "down", self.rig, down, self.of("up").goal, every_step=True)

    def _reprovision(self) -> Case:
        """The last node was replaced by a new one."""
        last = self.rig.names[-1]
        return Case(self.topology, "reprovision", self.rig, reprovision, {**self.of("up").goal, last: self.rig.base[last]})

    def _recover_finish(self) -> Case:
        """The controller of an `up` died when every node had confirmed, and none had closed its book."""
        return self._ended("record", 0, "recover finish")

    def _recover_undo(self) -> Case:
        """It died when one node had confirmed; the others have put themselves back meanwhile."""
        return self._ended("confirm", 1, "recover undo")

    def _ended(self, title: str, number: int, name: str) -> Case:
        begun = self.of("up")
        places = [at for at, event in enumerate(begun.events) if event.title == title]
        world = self.rig.world
        begun.reset()
        self.rig.run(up, Fault("CONTROLLER_KILLED", places[number], 0))
        world.advance(LATER - world.now)
        return Case(self.topology, name, self.rig, recover, world.states(), LATER, ending=True)


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> Callable[[str], Cases]:
    """The cases of one cluster, which is made when it is first asked for."""
    made: dict[str, Cases] = {}

    def of(topology: str) -> Cases:
        if topology not in made:
            made[topology] = Cases(topology, request.getfixturevalue(topology))
        return made[topology]

    return of


def told(wrong: list[Cell]) -> str:
    """Which cells ended badly, and how."""
    return f"{len(wrong)} cells ended badly:\n" + "\n".join("\n    ".join([cell.name, *cell.wrong]) for cell in wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("topology", [pytest.param(t, marks=() if t == "direct" else pytest.mark.more) for t in TOPOLOGIES])
def test_all_nodes_end_alike(topology: str, verb: str, kind: str, cases: Callable[[str], Cases], matrix: Matrix) -> None:
    case = cases(topology).of(verb)
    before = len(matrix.cells)
    wrong = matrix.run(case, [kind], EVERY[topology])
    assert len(matrix.cells) > before, "no cell was run"
    assert not wrong, told(wrong)


def test_a_healthy_line_ends_where_it_began(cases: Callable[[str], Cases]) -> None:
    """up, reprovision, down: the goal differs from the beginning, and down brings back every byte of it."""
    found = cases("direct")
    assert found.of("up").goal != found.rig.base
    assert found.of("reprovision").goal.keys() == found.rig.base.keys()
    ended = found.of("down").goal
    for node, state in found.rig.base.items():
        found.rig.world.reset(ended)
        assert found.rig.world.differences(node, state) == []
