"""Undo of a run: in reverse order, on every node, best effort; then proof that each node is as before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from sparkctl.commands import checkpoint
from sparkctl.errors import AccessRefused, ApplyFailed, RollbackIncomplete, SparkctlError, StalePlan
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.base import batch
from sparkctl.facts.snapshot import NodeFacts, Questions, snapshot
from sparkctl.outcome import Absent, Known, Ok
from sparkctl.plan import compile as compiled
from sparkctl.plan.compile import Run
from sparkctl.plan.plan import Plan
from sparkctl.report.events import Note, unfailing
from sparkctl.ssh.fleet import Fleet, problem

REPORT = "report the bug; the command can be run again"
KNOCK_SECONDS = 2.0
"""A node that lives opens a connection well within this."""
RETRY_SECONDS = 2.0
ENDS = (Exception, asyncio.CancelledError, KeyboardInterrupt)
"""What may end a run. What is done about it depends on what was changed, and never on the class of the exception."""
ENDED_SECONDS = 20.0
"""After this a node whose revert has ended does not come nearer: addresses and carriers take some seconds at most."""


class Interrupted(SparkctlError):
    """Somebody asked to stop."""

    exit_code = 130


@dataclass
class Undo:
    """Puts all nodes back, or says exactly which is not.

    `begun`: whether a node may have been changed; else what differs is somebody else's. `held`: nodes that are silent
    or have something of the run yet.
    """

    fleet: Fleet
    plan: Plan
    run: Run
    asked: Mapping[str, Questions]
    before: Mapping[str, NodeFacts]
    begun: bool = True
    held: frozenset[str] = frozenset()
    but: dict[str, str] = field(default_factory=dict)

    async def all(self, cause: BaseException) -> None:
        """Always raises: ApplyFailed (an interruption, or for a bug a SparkctlError that has it) when every node is as
        before, else RollbackIncomplete.
        """
        self.fleet.observer = unfailing(self.fleet.observer)
        self.fleet.observer(Note(f"{told(cause)}\nputting every node back"))
        await self._way_back()
        wrong, bug = await self._proved(), bug_of(cause)
        if wrong and not (self.begun or self.held):
            message = f"{told(cause)}\n{', '.join(wrong)} changed since the plan was made; sparkctl changed nothing"
            raise StalePlan(message, "make a new plan")
        if wrong:
            lines = "".join(f"\n  {node}: {why}" for node, why in wrong.items())
            remedy = "`sparkctl cluster plan` shows how they differ"
            if self.held:
                remedy = f"on {', '.join(sorted(self.held))}: sudo sh /var/lib/sparkctl/run/revert.sh controller"
            said = f"{told(cause)}\nand these nodes are not proved to be as before:{lines}"
            raise RollbackIncomplete(said, remedy, bug)
        if isinstance(cause, SparkctlError) and cause.exit_code == 130:
            raise type(cause)("interrupted; every node was put back and is as before (proved by reading it again)")
        but = "".join(f"\n  but for {said}" for said in self.but.values())
        message = f"{told(cause)}\nevery node was put back and is as before (proved by reading it again){but}"
        raise SparkctlError(message, REPORT, bug) if bug else ApplyFailed(message, _remedy(cause))

    async def _way_back(self) -> None:
        """Node by node in its order; beside it those that are silent, for whom nobody waits."""
        quiet = await self._quiet()
        beside = asyncio.ensure_future(self._undo(quiet))
        try:
            for wave in way_back(self.plan):
                await self._undo(node for node in wave if node not in quiet)
            await beside
        finally:
            beside.cancel()

    async def _undo(self, nodes: Iterable[str]) -> None:
        commands = {node: compiled.undo(self.run) for node in nodes}
        if commands:
            await self.fleet.each("undo", commands)

    async def _quiet(self) -> frozenset[str]:
        """Nodes that no longer answer, knocked at once more: nobody waits for them, wherever they are in the order."""
        lost = tuple(self.fleet.lost & {*self.plan.nodes})
        knocks = (asyncio.wait_for(self.fleet.gates[node].renew(), KNOCK_SECONDS) for node in lost)
        answers = await asyncio.gather(*knocks, return_exceptions=True)
        return frozenset(node for node, answer in zip(lost, answers, strict=True) if answer is not None)

    async def _proved(self) -> dict[str, str]:
        """Nodes that are not as before, with why. A silent one has until its timer must have fired."""
        begun = time.monotonic()
        wrong = dict.fromkeys(self.plan.nodes, "not read yet")
        while wrong:
            wrong = await self._differing(tuple(wrong))
            left = self._patience() - (time.monotonic() - begun)
            if not wrong or left <= 0:
                break
            self.fleet.observer(
                Note(f"not undone yet on {', '.join(wrong)}, trying again ({left:.0f} s left): {_first(wrong)}")
            )
            await asyncio.sleep(RETRY_SECONDS)
            await self.fleet.each("undo", {node: compiled.undo(self.run) for node in wrong})
        return wrong

    def _patience(self) -> float:
        """Seconds to go on looking: as long as a timer may still fire, or until the kernel must have settled."""
        if self.held:
            return self.run.lease + checkpoint.REVERT_SECONDS
        return ENDED_SECONDS if self.begun else 0

    async def _differing(self, nodes: tuple[str, ...]) -> dict[str, str]:
        """Which of `nodes` differ and why; those that are silent or have not ended their revert are `held`."""
        results = await self.fleet.each("read again", {n: batch(self.asked[n].probes()) for n in nodes})
        wrong, held = {}, set()
        for node, result in results.items():
            facts = snapshot(node, self.asked[node], result.stdout) if isinstance(result, Ok) else None
            if facts is None or not self._as_before(node, facts):
                wrong[node] = problem(result) if facts is None else _difference(facts)
                held |= {node} if facts is None or not isinstance(facts.run, Absent) else set()
        self.held = frozenset(held)
        return wrong

    def _as_before(self, node: str, facts: NodeFacts) -> bool:
        """A node that was booted meanwhile has the links of its boot; all else must be as it was."""
        if facts.fingerprint(NETDEVS) == self.plan.fingerprints[node]:
            return True
        old = self.before.get(node)
        if old is not None and (out := tuple(_out(old, facts))):
            rest = [name for name in NETDEVS if name not in out]
            if facts.fingerprint(rest) == old.fingerprint(rest):
                self.but[node] = f"{node}: {', '.join(out)} lost the carrier; its addresses come with the cable"
                return True
        if old is None or not _booted(old, facts) or facts.fingerprint(()) != old.fingerprint(()):
            return False
        self.fleet.observer(Note(f"{node} was booted meanwhile: files are as before, links as its boot makes them"))
        return True


def way_back(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """All nodes in waves. An engine that will run again starts in its own order; else the last changed goes first."""
    again = (step for step in plan.steps if any(c.runs_again for c in chain.from_iterable(step.changes.values())))
    starts = [tuple(step.changes) for step in again]
    last = {node: i for i, step in enumerate(plan.steps) for node in step.changes}
    others = [tuple(node for node in plan.nodes if last.get(node, -1) == i) for i in sorted({-1, *last.values()})]
    waves, seen = [], set[str]()
    for wave in (*starts, *others[::-1]):
        waves.append(tuple(node for node in wave if node not in seen))
        seen |= set(wave)
    return tuple(filter(None, waves))


def _booted(old: NodeFacts, new: NodeFacts) -> bool:
    if not (isinstance(old.system, Known) and isinstance(new.system, Known)):
        return False
    return old.system.value.boot_id != new.system.value.boot_id


def _out(old: NodeFacts, new: NodeFacts) -> Iterator[str]:
    """Netdevs that had a carrier, have none now, and are else as they were, but for addresses that need one."""
    for name in NETDEVS:
        was, now = old.netdev(name), new.netdev(name)
        if isinstance(was, Known) and isinstance(now, Known) and was.value.carrier and not now.value.carrier:
            same = (was.value.mtu, was.value.up) == (now.value.mtu, now.value.up)
            if same and {*now.value.addresses} <= {*was.value.addresses}:
                yield name


def _difference(facts: NodeFacts) -> str:
    if isinstance(facts.run, Known):
        return f"still undoing (state {facts.run.value.state}); /var/lib/sparkctl/journal on it tells how far it is"
    return "it differs from what the plan was made from; `sparkctl cluster plan` shows how"


def _first(wrong: Mapping[str, str]) -> str:
    return next(iter(wrong.values()))


def told(cause: BaseException) -> str:
    """What ended a run, in words."""
    if isinstance(cause, asyncio.CancelledError):
        return "stopped from outside"
    return cause.message if isinstance(cause, SparkctlError) else f"{type(cause).__name__}: {cause}"


def bug_of(cause: BaseException) -> BaseException | None:
    """`cause`, where nobody foresaw it."""
    return None if isinstance(cause, SparkctlError) else cause


def clock(seconds: float) -> str:
    """The time of day in so many seconds."""
    return time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))


def _remedy(cause: BaseException) -> str:
    if isinstance(cause, AccessRefused):
        return cause.remedy
    return "fix the cause on the node that it names, then run the command again"
