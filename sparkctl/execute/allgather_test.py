"""The all-gather over all ranks, in the engine's own environment, on nodes whose engine does not run."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping

from sparkctl.commands.base import Command, Effect
from sparkctl.engines import Rank, engine_of
from sparkctl.errors import AccessRefused
from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.loadtest import allgather
from sparkctl.loadtest.allgather import Place
from sparkctl.loadtest.allgather_output import together
from sparkctl.loadtest.in_engine import NO_PYTHON, trial_script
from sparkctl.loadtest.results import Gathered
from sparkctl.outcome import Absent, Fact, Known, Lost, Ok, Result, Unknown
from sparkctl.render.artifact import ENGINE_ENV, NCCL_ENV, UNIT_NAME
from sparkctl.report.events import Ended, Phase
from sparkctl.ssh.fleet import Fleet, problem

TITLE = "NCCL all-gather over all ranks"
ENDED = "ended here, because another rank had failed"
GRACE = 5.0
"""Seconds for the other ranks to say what they saw, after one has failed."""


async def all_gather(
    fleet: Fleet, cluster: Cluster, fabric: Fabric, facts: Mapping[str, NodeFacts], *, quick: bool = False
) -> Fact[Gathered]:
    """Measure it. Absent: it was not tried, with the reason; Unknown: it was tried, or could not be, and why."""
    obstacle = obstacles(cluster, facts)
    if obstacle is not None or cluster.engine is None:
        return obstacle or Absent("the inventory has no engine")
    steps = allgather.sizes(_available(facts), gpu=cluster.engine.accelerator == "gpu", quick=quick)
    if not steps:
        return Absent("too little memory is free for an all-gather that tells anything and harms nobody")
    token = secrets.token_hex(4)
    commands = _commands(cluster, fabric, cluster.engine, steps, token)
    with fleet.allow(Effect.LOAD):
        end = allgather.stop(token, docker=cluster.engine.runtime.docker is not None)
        return together(await _gang(fleet, commands, end))


async def _gang(fleet: Fleet, commands: Mapping[str, Command], end: Command) -> dict[str, Result]:
    """Run every rank; one that fails, or an interruption, ends all: the others would wait for it in vain."""
    fleet.rounds += 1
    fleet.observer(Phase(TITLE, tuple(commands), max(command.timeout for command in commands.values())))
    tasks = {node: asyncio.create_task(_rank(fleet, node, command)) for node, command in commands.items()}
    late: list[str] = []
    try:
        late = await _first_failure(tasks)
    finally:
        await _end(fleet, [node for node, task in tasks.items() if not _well(task)], end)
    results = {node: await task for node, task in tasks.items()}
    return results | {node: Lost(ENDED) for node in late if not isinstance(results[node], Ok)}


async def _first_failure(tasks: Mapping[str, asyncio.Task[Result]]) -> list[str]:
    """Wait until all have ended, or one has failed and the others had their time to say why; those that did not."""
    running = set(tasks.values())
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if running and not all(map(_well, done)):
            _, running = await asyncio.wait(running, timeout=GRACE)
            break
    return [node for node, task in tasks.items() if task in running]


def _well(task: asyncio.Task[Result]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None and isinstance(task.result(), Ok)


async def _end(fleet: Fleet, nodes: list[str], end: Command) -> None:
    """Whatever is left of the gang on `nodes` goes."""
    if nodes:
        await fleet.each("end the all-gather", dict.fromkeys(nodes, end))


async def _rank(fleet: Fleet, node: str, command: Command) -> Result:
    begun = time.monotonic()
    try:
        result = await fleet.gates[node].run(command)
    except AccessRefused as error:
        result = Lost(error.message)
    fleet.observer(Ended(TITLE, node, time.monotonic() - begun, problem(result)))
    return result


def _commands(
    cluster: Cluster, fabric: Fabric, intent: EngineIntent, steps: tuple[int, ...], token: str
) -> dict[str, Command]:
    head = fabric.endpoints[cluster.head.name].address
    port = engine_of(intent.kind).ports(intent)[0].number
    found: dict[str, Command] = {}
    for node in cluster.nodes:
        rank = Rank(cluster, fabric, node, intent)
        place = Place(node.rank, len(cluster.nodes), head, port)
        script = trial_script(rank, allgather.name(token), allgather.argument(place, steps))
        docker = intent.runtime.docker is not None
        found[node.name] = allgather.command(script, token, UNIT_NAME, docker=docker, user=rank.user)
    return found


def obstacles(cluster: Cluster, facts: Mapping[str, NodeFacts]) -> Absent | Unknown | None:
    """Why no all-gather can be run now; None when one can."""
    if cluster.engine is None:
        return Absent("the inventory has no engine, whose environment it would be measured in")
    if len(cluster.nodes) < 2:
        return Absent("one node: nothing to gather")
    if engine_of(cluster.engine.kind).python_for_tests(cluster.engine) is None:
        return Absent(NO_PYTHON)
    for node, known in facts.items():
        found = _obstacle(node, known, cluster.engine)
        if found is not None:
            return found
    return None


def _obstacle(node: str, facts: NodeFacts, intent: EngineIntent) -> Absent | Unknown | None:
    if not isinstance(facts.unit, Known):
        return Unknown(f"{node}: whether the engine runs is not known: {facts.unit.reason}")
    if facts.unit.value.running:
        return Absent(f"the engine is running on {node}, and needs the memory; engine-canary judges its own traffic")
    held = holders({node: facts})
    if held:
        return Unknown(held)
    if intent.runtime.docker is not None and not isinstance(facts.image, Known):
        return _missing(node, f"the image {intent.runtime.docker}", facts.image)
    for path in (NCCL_ENV, ENGINE_ENV):
        fact = facts.file(path)
        if not isinstance(fact, Known):
            return _missing(node, path, fact)
    if not isinstance(facts.system, Known):
        return Unknown(f"{node}: how much memory is available is not known: {facts.system.reason}")
    return None


def holders(facts: Mapping[str, NodeFacts]) -> str:
    """Which node may be in the hands of another run, which a test under load would disturb; empty: none is."""
    for node, known in facts.items():
        if isinstance(known.lock, Unknown):
            return f"{node}: whether another run of sparkctl holds it is not known: {known.lock.reason}"
        if isinstance(known.lock, Known):
            return f"{node}: another run of sparkctl holds it, or died there"
    return ""


def _missing(node: str, what: str, fact: Absent | Unknown) -> Absent | Unknown:
    if isinstance(fact, Absent):
        return Absent(f"{what} is not on {node} yet: `sparkctl cluster up` brings it")
    return Unknown(f"{node}: {what}: {fact.reason}")


def _available(facts: Mapping[str, NodeFacts]) -> int:
    """KiB on the node that has least."""
    return min(one.system.value.memory_available for one in facts.values() if isinstance(one.system, Known))
