"""A second engine, whose head starts first: up, undo in its order, and down, with the nodes' own scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkctl.engines import ENGINES
from sparkctl.errors import ApplyFailed
from sparkctl.render import render
from sparkctl.study import study
from tests.scenario.rig import Outcome, Rig, down, inventory, up
from tests.scenario.test_safety import HEAD, WORKER, made_rig, place, unchanged
from tests.scenario.transport import Fault
from tests.scenario.world import folder
from tests.standin.engine import ENGINE

SECTION = """engine:
  kind: standin
  runtime: {venv: /opt/standin}
  model: /models/one
  parallel: PP2
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """Two nodes that sparkctl never saw, and the stand-in among the engines."""
    ENGINES[ENGINE.kind] = ENGINE
    try:
        with folder() as name:
            path = Path(name, "direct.yaml")
            path.write_text(inventory("direct", False) + SECTION)
            rig = made_rig(path)
            try:
                rig.furnish()
                yield rig
            finally:
                rig.world.close()
    finally:
        del ENGINES[ENGINE.kind]


@pytest.fixture
def rig(made: Rig) -> Rig:
    """The same before any run."""
    made.controllers = 0
    made.world.reset(made.base)
    return made


def starts(outcome: Outcome) -> list[tuple[str, str]]:
    """Engine steps with their nodes, in order."""
    return [(event.title, event.node) for event in outcome.events if event.title.startswith("engine, ")]


def active(rig: Rig, node: str) -> bool:
    return rig.world.run(node, "systemctl is-active --quiet sparkctl-engine.service").status == 0


def grown(rig: Rig) -> dict[str, str]:
    """Both ranks run."""
    assert rig.run(up).error is None
    assert active(rig, HEAD) and active(rig, WORKER)
    rig.controllers = 0
    return rig.world.states()


def other_model(rig: Rig) -> Rig:
    """The same nodes, and an inventory with another model."""
    rig.path.write_text(rig.path.read_text().replace("/models/one", "/models/two"))
    found = study(rig.path)
    assert found.cluster is not None and found.fabric is not None and not found.errors
    changed = Rig(rig.world, rig.path, rig.base)
    changed.rendering = render(found.cluster, found.fabric)
    rig.path.write_text(rig.path.read_text().replace("/models/two", "/models/one"))
    return changed


def test_up_starts_the_head_first_and_down_leaves_nothing(rig: Rig) -> None:
    outcome = rig.run(up)
    assert outcome.error is None
    assert starts(outcome) == [("engine, head", HEAD), ("engine, workers", WORKER)]
    scripts = {n: c.script for n, c in outcome.wire.commands if c.title.startswith("engine, ")}
    assert "\nawait_port sparkctl-engine.service 7100 50 " in scripts[HEAD]
    assert "\nawait_port " not in scripts[WORKER]
    assert rig.run(down).error is None
    assert unchanged(rig, rig.base) == []


def test_a_head_that_does_not_listen_fails_the_run_before_any_worker_starts(rig: Rig) -> None:
    rig.world.run(HEAD, "mkdir -p /etc/scenario && touch /etc/scenario/deaf")
    before = rig.world.states()
    outcome = rig.run(up)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert "sparkctl-engine.service does not listen at port 7100" in str(outcome.error)
    assert starts(outcome) == [("engine, head", HEAD)]
    assert unchanged(rig, before) == []


def test_a_gang_that_ran_runs_again_its_head_first(rig: Rig) -> None:
    before = grown(rig)
    changed = other_model(rig)
    healthy = changed.run(up)
    assert healthy.error is None and ("stop all ranks", HEAD) in [(e.title, e.node) for e in healthy.events]
    at = place(healthy, "engine, workers", WORKER)
    changed.controllers = 0
    rig.world.reset(before)
    outcome = changed.run(up, Fault("FAIL", at, healthy.events[at].steps - 1))
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert [e.node for e in outcome.events if e.title == "put everything back"] == [HEAD, WORKER]
    assert active(rig, HEAD) and active(rig, WORKER)
    assert unchanged(rig, before) == []


def test_on_the_way_back_a_head_that_does_not_listen_is_no_fault(rig: Rig) -> None:
    grown(rig)
    changed = other_model(rig)
    rig.world.run(HEAD, "mkdir -p /etc/scenario && touch /etc/scenario/deaf")
    before = rig.world.states()
    outcome = changed.run(up)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert active(rig, HEAD) and active(rig, WORKER)
    assert unchanged(rig, before) == []
