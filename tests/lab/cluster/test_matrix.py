"""The fault matrix on real nodes: one fault per cell; then all nodes are as before, or all at the goal, never in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.cluster.matrix import play
from tests.lab.cluster.matrix.cells import STAGES, STRIKES, TOPOLOGIES, Cell, brief, every
from tests.lab.cluster.matrix.play import Played
from tests.lab.labs import LEASE, ROOT

CELLS = tuple(every(whole=False))
"""What CI plays: every kind at every stage of `up` on two nodes, and for every other verb once, on one of the fabrics."""
SOME = frozenset(brief(CELLS))
"""What `make test` plays: of `up` on two nodes two kinds at every stage, and all others."""
MORE = tuple(cell for cell in every() if cell not in CELLS)
"""What `make deep` plays besides: every kind for every verb on every fabric."""
LONGEST = 1500  # seconds: for the last cell, with all that come before it


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The cells of this session, being played; at the end the table is shown and kept."""
    items = [i for i in request.session.items if isinstance(i, pytest.Function) and i.path == request.path]
    wanted = [i.callspec.params["cell"] for i in items if hasattr(i, "callspec")]
    made = Played(wanted, tmp_path_factory.mktemp("matrix"))
    made.start()
    try:
        yield made
    finally:
        made.join()
        done = [f.result() for f in made.outcomes.values() if f.done() and not f.exception()]
        text = play.keep(done, ROOT / ".make")
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(text)


LEVELS = [
    *(pytest.param(cell, id=str(cell), marks=() if cell in SOME else pytest.mark.more) for cell in CELLS),
    *(pytest.param(cell, id=str(cell), marks=pytest.mark.long) for cell in MORE),
]


@pytest.mark.parametrize("cell", LEVELS)
def test_cell(played: Played, cell: Cell) -> None:
    outcome = played.outcomes[cell].result(timeout=LONGEST)
    assert outcome.fired, outcome.wrong
    assert not outcome.wrong, "\n".join(outcome.wrong)


def test_every_stage_of_a_healthy_run_has_cells(played: Played) -> None:
    """The stages come from real runs: a step that is new has no cell, and is found here."""
    next(iter(played.outcomes.values())).result(timeout=LONGEST)
    found = {stage for course in played.courses.values() for stage in course.healthy["up"]}
    struck = Counter(cell.stage for cell in CELLS if (cell.topology, cell.verb) == ("direct", "up"))
    assert found == set(struck) == set(STAGES)
    assert all(struck[stage] == len(STRIKES) for stage in found - {"facts"}), struck


def test_the_lease_is_three_times_the_slowest_command(played: Played) -> None:
    """Or a slow node is taken for one that nobody leads, and what the cells say of dead controllers means nothing."""
    for outcome in played.outcomes.values():
        outcome.result(timeout=LONGEST)
    slowest = {name: course.slowest for name, course in played.courses.items()}
    assert slowest and all(0 < seconds <= LEASE / 3 for seconds in slowest.values()), slowest


def test_the_matrix_is_wide_enough() -> None:
    """Every kind for every verb, on every fabric when the whole is played; sixty cells or more in any case."""
    assert len(CELLS) >= 60 and len(set(map(str, CELLS))) == len(CELLS)
    verbs = ("up", "down", "reprovision", "recover")
    assert {(cell.verb, cell.kind) for cell in CELLS} == {(v, k) for v in verbs for k in STRIKES}
    assert {cell.topology for cell in CELLS} == set(TOPOLOGIES)
    triples = {(cell.topology, cell.verb, cell.kind) for cell in every()}
    assert triples == {(t, v, k) for t in TOPOLOGIES for v in verbs for k in STRIKES}
    assert {(cell.verb, cell.kind) for cell in SOME} == {(v, k) for v in verbs for k in STRIKES}
    assert {cell.stage for cell in SOME if (cell.topology, cell.verb) == ("direct", "up")} == set(STAGES)
    assert not set(MORE) & set(CELLS) and {*CELLS, *MORE} == {*every()}
