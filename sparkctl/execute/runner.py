"""Runs a plan as one transaction: lock, prepare, commit step by step, prove, confirm, record; or undo it all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sparkctl.commands.base import Command, Effect
from sparkctl.commands.canary import Answer
from sparkctl.commands.lock import HELD, INTERRUPTED, STALE
from sparkctl.errors import AccessRefused, Locked, Refused, RollbackIncomplete, SparkctlError, StalePlan, Unfinished
from sparkctl.execute.undo import ENDS, Interrupted, Undo, clock, told
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.snapshot import NodeFacts, Questions, snapshot
from sparkctl.outcome import Failed, Ok, Result, Verdict
from sparkctl.plan import compile as compiled
from sparkctl.plan.compile import Run
from sparkctl.plan.diff import INTERRUPTED as INTERRUPTED_HELP
from sparkctl.plan.plan import Plan, Step
from sparkctl.ssh.fleet import Fleet, problem

T = TypeVar("T")
LOCKED_HELP = (
    "wait for the other run; if its controller is dead, the nodes put themselves back when its lease ends "
    "(at once: `sparkctl cluster recover --break-lock`)"
)
RECOVER = "afterwards, `sparkctl cluster recover` says whether anything is left, and ends it"


class StepFailed(SparkctlError):
    """A step of the run failed; the undo follows."""


@dataclass(frozen=True)
class Applied:
    """What a run was confirmed on: the last verdicts, those on slow hardware, the engine's answer.

    `lost`: routes, rules and neighbours that a teardown could not put back.
    """

    verdicts: tuple[Verdict, ...] = ()
    slow: tuple[Verdict, ...] = ()
    answer: Answer | None = None
    lost: tuple[str, ...] = ()


Prove: TypeAlias = Callable[["Runner", Applied], Awaitable[Applied]]
"""Given what earlier stages proved; raises when its own does not hold."""


@dataclass
class Runner:
    """One run of one plan. `prove` maps a stage to what must hold after its last step."""

    fleet: Fleet
    plan: Plan
    run: Run
    asked: Mapping[str, Questions]
    secrets: Mapping[str, Mapping[str, bytes]]
    prove: Mapping[str, Prove]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    before: dict[str, NodeFacts] = field(default_factory=dict)
    locked: bool = False
    fresh: bool = False
    begun: bool = False
    confirming: bool = False
    confirmed: bool = False
    applied: Applied = Applied()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Nodes that the plan changes."""
        return self.plan.changed_nodes

    async def execute(self) -> Applied:
        """What was proved. Refused: nothing was changed. ApplyFailed: all is as before.

        RollbackIncomplete: a node may not be as before.
        Unfinished: all is as planned and confirmed, and a node could not close its book.
        """
        with self.fleet.allow(Effect.WRITE):
            try:
                await self._lock()
                await self._change()
            except ENDS as error:
                if self.confirmed or (isinstance(error, Refused) and not self.locked):
                    if isinstance(error, SparkctlError):
                        raise
                    raise self._left(error) from error
                await self._undone(error)
        return self.applied

    async def _undone(self, cause: BaseException) -> None:
        """A second interruption cancels even this: then the timers of the nodes finish it."""
        if self._leaving(cause):
            raise self._left(cause)
        try:
            await Undo(self.fleet, self.plan, self.run, self.asked, self.before, self.begun).all(cause)
        except SparkctlError:
            raise
        except ENDS as error:
            raise self._left(error) from error

    def _leaving(self, error: BaseException) -> bool:
        """Whether somebody asked to stop, and then to leave at once."""
        return isinstance(error, asyncio.CancelledError) and self.stop.is_set()

    def _left(self, error: BaseException) -> SparkctlError:
        """What becomes of each node, after `error` that nobody foresaw, or that somebody wanted."""
        said = "left at once" if self._leaving(error) else told(error)
        said += "".join(f"\n  {node}: {self._fate(node)}" for node in self.plan.nodes)
        if self._leaving(error):
            return Interrupted(said, RECOVER)
        return SparkctlError(said, RECOVER, error) if self.confirmed else RollbackIncomplete(said, RECOVER, error)

    def _fate(self, node: str) -> str:
        """What becomes of a node that nobody tells anything any more."""
        at = f"at {clock(self.run.lease)} at the latest"
        if self.confirmed:
            return "all is as planned and confirmed, and stays; that the run ended is not recorded there"
        if node not in self.nodes:
            return f"nothing was changed there; its lock ends {at}"
        but = ", unless it had confirmed already" if self.confirming else ""
        return f"its own timer begins to put it back {at}{but}"

    async def _lock(self) -> None:
        """Lock every node of the cluster and read it again: the plan must still fit."""
        commands = {node: compiled.lock_and_read(self.run, self.asked[node]) for node in self.plan.nodes}
        results = await self.fleet.each("lock", commands)
        try:
            self._refuse_unlocked(results)
            self._refuse_stale(results)
        except Refused:
            ours = {n: compiled.unlock(self.run) for n, r in results.items() if not _foreign(r)}
            await self.fleet.each("unlock", ours)
            raise
        self.locked = True

    def _refuse_unlocked(self, results: Mapping[str, Result]) -> None:
        found = "\n  ".join(f"{node}: {_words(r)}" for node, r in results.items() if not isinstance(r, Ok))
        statuses = {r.status for r in results.values() if isinstance(r, Failed)}
        if HELD in statuses:
            raise Locked(found, LOCKED_HELP)
        if statuses & {INTERRUPTED, STALE}:
            raise Refused(
                f"a node cannot be locked:\n  {found}", "nothing was changed; fix this and run the command again"
            )
        if found:
            raise StepFailed(f"lock: {found}")

    def _refuse_stale(self, results: Mapping[str, Result]) -> None:
        self.before = {n: snapshot(n, self.asked[n], r.stdout) for n, r in results.items() if isinstance(r, Ok)}
        moved = [n for n, facts in self.before.items() if facts.fingerprint(NETDEVS) != self.plan.fingerprints[n]]
        if moved:
            message = f"{', '.join(moved)} changed since the plan was made"
            raise StalePlan(message, "make a new plan; nothing was changed")

    async def _change(self) -> None:
        await self._all("prepare", {n: self._prepare(n) for n in self.nodes})
        for position, step in enumerate(self.plan.steps):
            await self.checkpoint()
            self.begun = True
            commands = {node: compiled.commit(self.plan, self.run, step, node) for node in step.changes}
            await self._all(step.title, commands)
            if _last_of_stage(self.plan.steps, position) and step.stage in self.prove:
                last = position == len(self.plan.steps) - 1
                self.applied = await self._proved(step, early=last and step.stage == "network")
        await self._confirm()

    async def _proved(self, step: Step, *, early: bool) -> Applied:
        """What the stage of `step` proves. `early`: it is the last, and the new connections are opened beside it."""
        connecting = asyncio.create_task(self._connect_early()) if early else None
        try:
            applied = await self.prove[step.stage](self, self.applied)
        except BaseException:
            if connecting is not None:
                connecting.cancel()
            raise
        if connecting is not None:
            await connecting
        return applied

    async def _connect_early(self) -> None:
        with suppress(AccessRefused):  # the network may be settling yet: the confirmation tries again
            await self._connect()

    async def _connect(self) -> None:
        await self.fleet.connect(self.nodes)
        self.fresh = True

    def _prepare(self, node: str) -> Command:
        return compiled.prepare(self.plan, self.run, node, self.secrets.get(node, {}))

    async def checkpoint(self) -> None:
        """A barrier: the place where an interruption is obeyed."""
        await asyncio.sleep(0)
        if self.stop.is_set():
            raise Interrupted("interrupted")

    async def extend(self) -> None:
        """Tell every changed node that the controller is alive."""
        await self.checkpoint()
        await self._all("extend the checkpoint", {n: compiled.hold(self.run) for n in self.nodes})

    async def _confirm(self) -> None:
        """All or none: new connections to all nodes first, then disarm; the before-images are still there."""
        await self.checkpoint()
        if not self.fresh:
            await self._connect()
        self.confirming = True
        await self._all("confirm", {n: compiled.disarm(self.run) for n in self.nodes})
        self.confirmed = True
        await self._close_books()

    async def _close_books(self) -> None:
        """Once more where the answer was lost or the disk was full for a moment: it does no harm."""
        commands = {n: compiled.conclude(self.plan, self.run, n) for n in self.nodes}
        commands |= {n: compiled.unlock(self.run) for n in self.plan.nodes if n not in self.nodes}
        wrong = await self._recorded(commands)
        if wrong:
            wrong = await self._recorded({node: commands[node] for node in wrong})
        if wrong:
            lines = "".join(f"\n  {node}: {why}" for node, why in wrong.items())
            message = f"everything is as planned and confirmed, but a node could not record that the run ended:{lines}"
            raise Unfinished(message, "fix the cause, then: `sparkctl cluster recover`")

    async def _recorded(self, commands: Mapping[str, Command]) -> dict[str, str]:
        results = await self.fleet.each("record", commands)
        return {node: problem(result) for node, result in results.items() if not isinstance(result, Ok)}

    async def _keep_alive(self) -> None:
        """A step takes long (an image of 30 GB): the nodes hear that the controller lives. A loss shows in the step."""
        kept = (self.fleet.gates[node].run(compiled.keepalive(self.run)) for node in self.nodes)
        await asyncio.gather(*kept, return_exceptions=True)

    async def kept_alive(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` makes; while it lasts, the nodes hear that the controller lives."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=self.run.lease / 3))[0]:
                await self._keep_alive()
        finally:
            task.cancel()
        return task.result()

    async def _all(self, title: str, commands: Mapping[str, Command]) -> None:
        """Run one command per node; StepFailed names every node that did not end well."""
        results = await self.kept_alive(self.fleet.each(title, commands))
        failures = [f"{node}: {title}: {problem(r)}" for node, r in results.items() if not isinstance(r, Ok)]
        if failures:
            raise StepFailed("\n  ".join(failures))


def _last_of_stage(steps: Sequence[Step], position: int) -> bool:
    return all(step.stage != steps[position].stage for step in steps[position + 1 :])


def _foreign(result: Result) -> bool:
    """Another run's lock, or another run's remains, are not ours to remove."""
    return isinstance(result, Failed) and result.status in (HELD, INTERRUPTED)


def _words(result: Result) -> str:
    if isinstance(result, Failed) and result.status == INTERRUPTED:
        return f"an interrupted run is on this node: {INTERRUPTED_HELP}"
    if isinstance(result, Failed) and result.status == STALE:
        return f"not as planned: {result.reason}"
    return problem(result)
