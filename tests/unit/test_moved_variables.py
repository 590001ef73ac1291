"""A variable that goes from nccl.env to engine.env, as the engine's own address did: no running engine restarts for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from sparkctl.commands.canary import Watch
from sparkctl.execute import apply
from sparkctl.execute.plan_verbs import Planned
from sparkctl.execute.runner import Applied, Runner
from sparkctl.execute.site import Site
from sparkctl.facts.units import UnitState
from sparkctl.outcome import Known
from sparkctl.plan.playbook import load
from sparkctl.render.artifact import ENGINE_ENV, NCCL_ENV
from sparkctl.ssh.fleet import Fleet
from tests.unit.test_plan import (
    CLUSTER,
    FABRIC,
    RENDERING,
    RUN,
    FakeNode,
    planned,
    settled,
    titles,
    written_by_sparkctl,
)


def written_before() -> dict[str, FakeNode]:
    """A running cluster as a version left it that wrote the address into nccl.env; nothing else differs."""
    nodes = settled()
    for node in nodes.values():
        mode, engine = node.files[ENGINE_ENV]
        kept, moved = engine.splitlines(keepends=True), b""
        for line in [line for line in kept if line.startswith(b"VLLM_HOST_IP=")]:
            kept.remove(line)
            moved += line
        assert moved
        node.files[ENGINE_ENV] = (mode, b"".join(kept))
        node.files[NCCL_ENV] = (mode, node.files[NCCL_ENV][1] + moved)
        for path in (ENGINE_ENV, NCCL_ENV):
            written_by_sparkctl(node, path)
    return nodes


def test_the_plan_shows_both_files_and_restarts_nothing() -> None:
    plan = planned(written_before())
    assert titles(plan) == ["network, workers", "network, head", "engine, workers", "engine, head"]
    for node in plan.nodes:
        assert [change.path for change in plan.files(node)] == [NCCL_ENV, ENGINE_ENV]
        assert plan.units(node) == ()
    assert plan.risk == "none"
    assert plan.notes == tuple(
        f"{node}: {NCCL_ENV} and {ENGINE_ENV} say together what they said: no reason to restart the engine"
        for node in plan.nodes
    )


def test_the_network_alone_takes_the_engines_variables_along() -> None:
    """A restart for whatever reason would start an engine without its address."""
    plan = planned(written_before(), only="network")
    for node in plan.nodes:
        assert [change.path for change in plan.files(node)] == [NCCL_ENV, ENGINE_ENV]
        assert plan.units(node) == ()


def test_an_engine_that_does_not_run_is_started() -> None:
    nodes = written_before()
    nodes["spark-1"].active = "failed"
    assert titles(planned(nodes))[0] == "stop all ranks"
    assert all([c.action for c in planned(nodes).units(node)][-1] == "start" for node in nodes)


@pytest.mark.parametrize("path", [NCCL_ENV, ENGINE_ENV])
@pytest.mark.parametrize("what", ["value", "added", "mode", "edited", "unrecorded"])
def test_anything_else_restarts_the_gang_and_the_plan_says_so(path: str, what: str) -> None:
    nodes = written_before()
    node = nodes["spark-2"]
    mode, content = node.files[path]
    if what == "value":
        name = b"NCCL_NET=" if path == NCCL_ENV else b"VLLM_ENGINE_READY_TIMEOUT_S="
        assert name in content
        node.files[path] = (mode, content.replace(name, name + b"1"))
    elif what == "added":
        node.files[path] = (mode, content + b"OTHER=1\n")
    elif what == "mode":
        node.files[path] = (0o600, content)
    if what == "edited":
        node.files[path] = (mode, content + b"# mine\n")
    elif what == "unrecorded":
        assert node.record is not None
        left = {name: entry for name, entry in node.record.files.items() if name != path}
        node.record = node.record.model_copy(update={"files": left})
    else:
        written_by_sparkctl(node, path)
    plan = planned(nodes)
    assert titles(plan)[0] == "stop all ranks"
    for name in plan.nodes:
        assert {change.reason for change in plan.units(name)} == {"something that it uses changes"}


def test_a_line_that_an_engine_does_not_read_is_no_reason() -> None:
    nodes = settled()
    mode, content = nodes["spark-2"].files[NCCL_ENV]
    nodes["spark-2"].files[NCCL_ENV] = (mode, b"# an older header\n" + content)
    written_by_sparkctl(nodes["spark-2"], NCCL_ENV)
    assert titles(planned(nodes)) == ["network, workers"]


@pytest.mark.parametrize(("restarted", "expected"), [(False, 2), (True, 0)])
def test_only_a_death_during_the_run_is_one(
    restarted: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that runs on may have died before; one that the run starts has not, for systemd counts anew."""
    nodes = written_before()
    if restarted:
        nodes["spark-1"].files[NCCL_ENV] = (0o600, nodes["spark-1"].files[NCCL_ENV][1])
    before = {n: replace(f, unit=Known(UnitState(True, "active", "running", True, 2))) for n, f in ((n, node.facts()) for n, node in nodes.items())}
    seen: list[Mapping[str, Watch]] = []

    class Wait:
        def __init__(self, fleet: object, head: str, watches: Mapping[str, Watch], pause: object) -> None:
            seen.append(watches)

        async def token(self, seconds: float) -> None:
            return None

    monkeypatch.setattr(apply, "Wait", Wait)
    made = Planned(planned(nodes), before, load("up"))
    site = Site(CLUSTER, FABRIC, RENDERING, Fleet({}), "me@here")
    runner = Runner(site.fleet, made.plan, RUN, {}, {}, {}, before=before)
    asyncio.run(apply._proofs_up(site, made)["engine"](runner, Applied()))
    assert [watch.restarts for watches in seen for watch in watches.values()] == [expected] * 2
