"""Runs the tests under load: round by round, both ends of a trial at once, the counters read before and after."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.facts import counters as counter_facts
from sparkctl.facts.base import answers, batch, parsed
from sparkctl.facts.counters import Counters
from sparkctl.facts.perftest_tool import PORT
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.loadtest import perftest as commands
from sparkctl.loadtest import perftest_output as said
from sparkctl.loadtest.perftest import Effort, End
from sparkctl.loadtest.perftest_output import Spoken
from sparkctl.loadtest.results import Lane, Load, Measure, Trial
from sparkctl.loadtest.schedule import Rounds, gid_index, hindrance, schedule
from sparkctl.outcome import Absent, Fact, Failed, Known, Lost, Ok, Result, Unknown
from sparkctl.report.events import Ended, Note, Phase
from sparkctl.ssh.fleet import Fleet, problem

AGAIN = "not tried again: "
Hindrance: TypeAlias = Callable[[Lane], str]
"""Why a lane need not be tried; empty: nothing speaks against it."""


@dataclass
class Measuring:
    """One run of a schedule. `hindered` lanes are not tried; whatever happens, no perftest is left on a node."""

    fleet: Fleet
    rounds: Rounds
    hindered: Hindrance
    gid: Callable[[Attachment], int | None]
    effort: Effort
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    measured: dict[Trial, tuple[Fact[Measure], ...]] = field(default_factory=dict)
    ports: Iterator[int] = field(default_factory=lambda: count(PORT, 2))

    @property
    def nodes(self) -> tuple[str, ...]:
        """Those that take part, in rank order."""
        busy = {node for round in self.rounds for pair in round for trial in pair for node in trial.nodes}
        return tuple(node for node in self.fleet.gates if node in busy)

    async def all(self) -> Load:
        """Every trial; counters of all nodes that take part around them."""
        before = await self._counters("counters before")
        with self.fleet.allow(Effect.LOAD):
            try:
                for round in self.rounds:
                    await asyncio.gather(*map(self._pair, round))
            except BaseException:
                await asyncio.shield(self._stopped())
                raise
        return Load(self.measured, before, await self._counters("counters after"))

    async def _counters(self, title: str) -> dict[str, Fact[Counters]]:
        asked = batch((counter_facts.PROBE,))
        results = await self.fleet.each(title, dict.fromkeys(self.nodes, asked))
        return {node: _counted(result) for node, result in results.items()}

    async def _pair(self, trials: Iterable[Trial]) -> None:
        dead: dict[frozenset[Attachment], Absent] = {}
        alive: set[frozenset[Attachment]] = set()
        for trial in trials:
            gone = next(filter(None, (dead.get(_wire(lane)) for lane in trial.lanes)), None)
            self.measured[trial] = (gone,) * len(trial.lanes) if gone else await self._tried(trial, alive)
            dead |= {} if gone else _unconnected(trial, self.measured[trial])
            pairs = zip(trial.lanes, self.measured[trial], strict=True)
            alive |= {_wire(lane) for lane, fact in pairs if isinstance(fact, Known)}

    async def _tried(self, trial: Trial, alive: Collection[frozenset[Attachment]]) -> tuple[Fact[Measure], ...]:
        """Once more where a rail does not connect that did before."""
        found = await self._trial(trial)
        for _ in range(self.effort.tries - 1):
            if not set(alive) & set(_unconnected(trial, found)):
                break
            found = await self._trial(trial)
        return found

    async def _trial(self, trial: Trial) -> tuple[Fact[Measure], ...]:
        reasons = [self.hindered(lane) for lane in trial.lanes]
        if any(reasons):
            return tuple(Unknown(f"not run: {next(filter(None, (reason, *reasons)))}") for reason in reasons)
        title, begun = _title(trial), time.monotonic()
        client, server = trial.lanes[0].client.node, trial.lanes[0].server.node
        self.fleet.observer(Phase(title, (client,)))
        ended = {node: _spoken(result) for node, result in (await self._ends(trial, (server, client))).items()}
        bound = self.effort.among(len(trial.lanes)).bound
        found = tuple(
            said.outcome(lane, _end(ended[lane.client.node], k), _end(ended[lane.server.node], k), bound)
            for k, lane in enumerate(trial.lanes)
        )
        wrong = "; ".join(fact.reason for fact in found if not isinstance(fact, Known))
        self.fleet.observer(Ended(title, client, time.monotonic() - begun, wrong))
        return found

    async def _ends(self, trial: Trial, nodes: Iterable[str]) -> dict[str, Result]:
        """Both ends at once; when one of them fails, the other has nothing to wait for."""
        port = next(self.ports)
        tasks = {asyncio.create_task(self._one(node, self._part(node, trial, port))): node for node in nodes}
        try:
            done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if left and not all(_went_well(task.result()) for task in done):
                await self._nudge([tasks[task] for task in left])
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        return {node: task.result() for task, node in tasks.items()}

    async def _nudge(self, nodes: Iterable[str]) -> None:
        """Stop what waits in vain. It says so itself, by its status: nothing is lost with this answer."""
        await asyncio.gather(*(self._one(node, commands.stop(self.token)) for node in nodes))

    async def _one(self, node: str, command: Command) -> Result:
        try:
            return await self.fleet.gates[node].run(command)
        except AccessRefused as error:
            return Lost(error.message)

    def _part(self, node: str, trial: Trial, port: int) -> Command:
        """What `node` does of each lane: it serves, or writes to the address of the other end."""
        ends = (
            End(lane.server.half.rdma, self.gid(lane.server))
            if lane.server.node == node
            else End(lane.client.half.rdma, self.gid(lane.client), str(lane.server.address.ip))
            for lane in trial.lanes
        )
        return commands.command(self.token, trial.tool, ends, self.effort.among(len(trial.lanes)), port)

    async def _stopped(self) -> None:
        """After an interruption: stop what runs, see that nothing is left, and say so."""
        results = await asyncio.gather(*(self._one(node, commands.stop(self.token)) for node in self.nodes))
        wrong = {n: problem(r) for n, r in zip(self.nodes, results, strict=True) if not isinstance(r, Ok)}
        note = _left(wrong) if wrong else Note(f"tests under load were stopped on {', '.join(self.nodes)}")
        self.fleet.observer(note)


def _wire(lane: Lane) -> frozenset[Attachment]:
    return frozenset((lane.client, lane.server))


def _unconnected(trial: Trial, found: tuple[Fact[Measure], ...]) -> dict[frozenset[Attachment], Absent]:
    """Ends between which RDMA certainly does not work: each further trial would take its whole patience to say so."""
    lanes = zip(trial.lanes, found, strict=True)
    return {_wire(lane): Absent(f"{AGAIN}{fact.reason}") for lane, fact in lanes if isinstance(fact, Absent)}


def _left(wrong: Mapping[str, str]) -> Note:
    named = "; ".join(f"{node}: {why}" for node, why in wrong.items())
    return Note(f"tests under load could not be stopped ({named}); they end by themselves within half a minute")


def _title(trial: Trial) -> str:
    if trial.kind == "ways":
        return f"{trial.tool} {trial.both_ways}"
    rails = "+".join(lane.client.rail for lane in trial.lanes)
    return f"{trial.tool} {trial.lanes[0].client.node} -> {trial.lanes[0].server.node} rail {rails}"


def _counted(result: Result) -> Fact[Counters]:
    if not isinstance(result, Ok):
        return Unknown(problem(result))
    said = answers(result.stdout).get(counter_facts.PROBE.name, Unknown("the node did not answer this"))
    return parsed(said, counter_facts.parse)


def _spoken(result: Result) -> Fact[dict[int, Spoken]]:
    if isinstance(result, Ok):
        return parsed(Known(result.stdout), said.ends)
    known = {said.BUSY: Unknown("another test under load runs there"), said.STOPPED: said.WAITED}
    status = result.status if isinstance(result, Failed) else 0
    return known.get(status, Unknown(problem(result)))


def _went_well(result: Result) -> bool:
    """The script ended well, and so did its lanes."""
    spoken = _spoken(result)
    return isinstance(spoken, Known) and bool(spoken.value) and all(end.status == 0 for end in spoken.value.values())


def _end(spoken: Fact[dict[int, Spoken]], key: int) -> Fact[Spoken]:
    if not isinstance(spoken, Known):
        return spoken
    return Known(spoken.value[key]) if key in spoken.value else Unknown("perftest left no report")


async def load(
    fleet: Fleet,
    fabric: Fabric,
    facts: Mapping[str, NodeFacts],
    *,
    quick: bool = False,
    emulated: bool = False,
    held: str = "",
) -> Load:
    """What `verify --load` measures between the nodes; `emulated`: Soft-RoCE, which needs less to do and is slower.

    `held`: why nothing may be disturbed now.
    """
    effort = {
        (False, False): commands.FULL, (True, False): commands.QUICK,
        (False, True): commands.EMULATED, (True, True): commands.EMULATED_QUICK,
    }[quick, emulated]  # fmt: skip
    rounds = schedule(fabric, quick=quick)
    return await Measuring(
        fleet, rounds, lambda lane: held or hindrance(lane, facts), lambda end: gid_index(end, facts[end.node]), effort
    ).all()
