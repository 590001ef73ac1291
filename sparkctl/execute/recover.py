"""Ends a run that died: every node that it left something on is finished or put back, and read again."""

from __future__ import annotations

import asyncio
import secrets as entropy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparkctl.commands import checkpoint, lock
from sparkctl.commands.base import Command, Effect, write
from sparkctl.commands.lock import HELD
from sparkctl.errors import Locked, RollbackIncomplete, SparkctlError
from sparkctl.execute.read_facts import gather, gather_reachable, questions
from sparkctl.execute.site import Site
from sparkctl.execute.undo import ENDS, Interrupted, bug_of, clock, told
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.snapshot import NodeFacts, Questions
from sparkctl.outcome import Failed, Known, Ok, Result
from sparkctl.plan import compile as compiled
from sparkctl.plan.compile import Run
from sparkctl.plan.recovery import BY_HAND, Recovery, recovery
from sparkctl.report.events import Note
from sparkctl.ssh.fleet import Fleet, problem

AGAIN = f"run it again; on the node itself: {BY_HAND}"
UNSURE = "how far it came is not known"
RECOVER_LEASE = 300
"""Seconds that a recovery holds the nodes: one revert takes at most 180."""


async def found(site: Site) -> tuple[Recovery | None, dict[str, str]]:
    """What is to become of a run that died, and the nodes that do not answer, with why."""
    facts, silent = await gather_reachable(site.fleet, questions(site.cluster, site.fabric, journal=True))
    return recovery(site.cluster.name, facts, tuple(silent)), silent


async def recover(site: Site, dead: Recovery, silent: Iterable[str], *, break_lock: bool) -> None:
    """End that run; raises as Recoverer.execute does."""
    asked = questions(site.cluster, site.fabric)
    reached = {node: asked[node] for node in asked if node not in set(silent)}
    run = Run(entropy.token_hex(4), site.owner, RECOVER_LEASE)
    with site.interruption.run():
        await Recoverer(site.fleet, dead, run, reached, "break" if break_lock else "recover").execute()


@dataclass
class Recoverer:
    """One recovery. `mode` is `break` when a lease that has not ended is to be taken over."""

    fleet: Fleet
    recovery: Recovery
    run: Run
    asked: Mapping[str, Questions]
    mode: lock.Mode = "recover"

    async def execute(self) -> None:
        """Locked: nothing was changed. RollbackIncomplete: a node still holds something of the run; run it again."""
        with self.fleet.allow(Effect.WRITE):
            try:
                await self._lock()
                wrong = await self._ended()
            except Locked:
                raise
            except ENDS as error:
                raise self._left(error) from error
        if wrong:
            lines = "".join(f"\n  {node}: {why}" for node, why in wrong.items())
            raise RollbackIncomplete(f"not recovered:{lines}", AGAIN)

    def _left(self, error: BaseException) -> SparkctlError:
        """What becomes of each node when a recovery ends before it has looked at all of them."""
        ends = f"its lock ends at {clock(self.run.lease)} at the latest"
        fates = dict.fromkeys(self.asked, "it had no part in the run") | dict.fromkeys(self.recovery.nodes, UNSURE)
        said = told(error) + "".join(f"\n  {node}: {fate}; {ends}" for node, fate in fates.items())
        if isinstance(error, asyncio.CancelledError):
            return Interrupted(said, AGAIN)
        return RollbackIncomplete(said, AGAIN, bug_of(error))

    async def _ended(self) -> dict[str, str]:
        """End it on every node; those where it has not ended, with why."""
        results = await self.fleet.each(self._title(), {n: self._command(n) for n in self.recovery.nodes})
        wrong = {node: problem(r) for node, r in results.items() if not isinstance(r, Ok)}
        wrong = await self._proved() | wrong
        idle = {node: compiled.unlock(self.run) for node in self.asked if node not in self.recovery.nodes}
        await self.fleet.each("unlock", idle)
        return wrong

    async def _lock(self) -> None:
        """All nodes of the cluster: no other run may begin meanwhile."""
        words = [lock.lock(self.run.id, self.run.lease, self.run.owner, self.mode)]
        results = await self.fleet.each("lock", {node: write("lock", words) for node in self.asked})
        wrong = {node: r for node, r in results.items() if not isinstance(r, Ok)}
        if not wrong:
            return
        ours = {node: compiled.unlock(self.run) for node in self.asked if not _held(results[node])}
        await self.fleet.each("unlock", ours)
        lines = "\n  ".join(f"{node}: {problem(r)}" for node, r in wrong.items())
        dead = "is that controller surely dead? then `sparkctl cluster recover --break-lock`"
        raise Locked(lines, f"wait until the lease has ended; {dead}")

    def _title(self) -> str:
        return "finish the run" if self.recovery.direction == "finish" else "put everything back"

    def _command(self, node: str) -> Command:
        header = self.recovery.header
        if self.recovery.direction == "undo" or header is None:
            return compiled.undo(self.run)
        words = checkpoint.conclude(header.run, self.run.id, self.run.lease, self.recovery.recorded)
        return write("finish the run", [words])

    async def _proved(self) -> dict[str, str]:
        """Nodes that are not as they should be now, with why."""
        facts = await gather(self.fleet, {n: self.asked[n] for n in self.recovery.nodes}, "read again")
        wrong = {node: why for node, known in facts.items() if (why := _left(known))}
        if self.recovery.direction == "undo":
            self._compare({node: known for node, known in facts.items() if node not in wrong})
        return wrong

    def _compare(self, facts: Mapping[str, NodeFacts]) -> None:
        """The run wrote down what each node was; an inventory that was edited since asks other questions."""
        for node, known in facts.items():
            if known.fingerprint(NETDEVS) != self.recovery.fingerprints.get(node, known.fingerprint(NETDEVS)):
                self.fleet.observer(Note(f"{node}: not proved to be as before; `cluster diff` shows what differs"))


def _left(facts: NodeFacts) -> str:
    return f"a run is still there (state {facts.run.value.state})" if isinstance(facts.run, Known) else ""


def _held(result: Result) -> bool:
    return isinstance(result, Failed) and result.status == HELD
