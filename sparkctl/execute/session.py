"""One command's dealings with one cluster: facts, plan, run, verdicts, and what is to be reported."""

from __future__ import annotations

import asyncio
import hashlib
import secrets as entropy
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparkctl.checks import View, judge, words
from sparkctl.checks.thresholds import DEFAULTS, Thresholds
from sparkctl.commands.base import Effect
from sparkctl.commands.canary import Answer, Watch
from sparkctl.engines import engine_of
from sparkctl.errors import AccessRefused, Refused
from sparkctl.execute.measure import Expect, LoadLevel, measured
from sparkctl.execute.read_facts import gather, gather_reachable, questions
from sparkctl.execute.readiness import Wait, ask_once
from sparkctl.execute.recover import Recoverer
from sparkctl.execute.runner import Prove, Runner, StepFailed
from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Absent, Fact, Known, Unknown, Verdict
from sparkctl.plan.compile import Run
from sparkctl.plan.diff import PLAIN, Desired, Wishes
from sparkctl.plan.drift import Drift, drift
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import Playbook
from sparkctl.plan.recovery import Recovery, recovery
from sparkctl.plan.steps import newcomers, plan_down, plan_up
from sparkctl.render import Rendering
from sparkctl.render.artifact import API_KEY, UNIT_NAME
from sparkctl.ssh.fleet import Fleet

SHOWN_TOKENS = 16
"""Length of the completion that `up` shows to people; a canary needs one token only."""
RECOVER_LEASE = 300
"""Seconds that a recovery holds the nodes: one revert takes at most 180."""
LOADED = frozenset({"perftest", "rail-bandwidth", "rails-bandwidth", "rail-latency", "rdma-counters", "nccl-gather"})
"""Checks of what the hardware does: no configuration of ours makes a link slow, so they do not undo one."""
SETTLE_PAUSE = 0.3
"""Between two looks while the kernel settles; management may be away for about a second (field-faults 20)."""


@dataclass
class Session:
    """A cluster, what it should be, and the way to its nodes."""

    cluster: Cluster
    fabric: Fabric
    rendering: Rendering
    fleet: Fleet
    owner: str
    overlays: tuple[str, ...] = ()
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer | None = None
    running: bool = False
    expect: Expect = "real"
    load: Load | None = None
    seen: dict[str, NodeFacts] = field(default_factory=dict)
    _slow: tuple[Verdict, ...] = ()
    _seen: dict[str, NodeFacts] = field(default_factory=dict)
    _proof: tuple[Verdict, ...] = ()
    _secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def raw(self) -> dict[str, str]:
        """What every node said to the last `verify`, as it came."""
        return {node: facts.raw for node, facts in self.seen.items()}

    async def facts(
        self,
        nodes: Iterable[str] | None = None,
        *,
        pings: bool = False,
        survey: bool = False,
        title: str = "read facts",
    ) -> dict[str, NodeFacts]:
        """One round trip per node (of `nodes`; all); the gates let only READ pass."""
        asked = questions(self.cluster, self.fabric, pings=pings, survey=survey)
        return await gather(self.fleet, {n: asked[n] for n in (asked if nodes is None else nodes)}, title)

    def secrets(self, node: str) -> Mapping[str, bytes]:
        """The secrets that go to `node`, read once; Refused when a file cannot be read."""
        if node not in self._secrets:
            self._secrets[node] = {s.path: _secret(s.source) for s in self.rendering.nodes[node].secrets}
        return self._secrets[node]

    def desired(self) -> dict[str, Desired]:
        """What every node should be."""
        image = self.cluster.engine.runtime.docker if self.cluster.engine else None
        return {node.name: self._desired(node.name, image) for node in self.cluster.nodes}

    def _desired(self, node: str, image: str | None) -> Desired:
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in self.secrets(node).items()}
        return Desired(self.rendering.nodes[node], digests, self.fabric.of(node), image)

    async def plan(self, playbook: Playbook, wishes: Wishes = PLAIN) -> Plan:
        """Facts and difference: what `up` would do."""
        self._seen = await self.facts()
        return plan_up(self.cluster.name, self.desired(), self._seen, playbook, wishes)

    async def plan_reprovision(self, playbook: Playbook, wishes: Wishes = PLAIN) -> Plan:
        """What would make the nodes of `wishes.only` (None: those without a record) a part of the cluster again."""
        self._seen = await self.facts()
        only = newcomers(self._seen) if wishes.only is None else wishes.only
        return plan_up(self.cluster.name, self.desired(), self._seen, playbook, replace(wishes, only=only))

    async def plan_down(self, wishes: Wishes = PLAIN) -> tuple[Plan, dict[str, str]]:
        """What `down` would do, and the nodes that do not answer, with why: they are left for another time."""
        facts, silent = await gather_reachable(self.fleet, questions(self.cluster, self.fabric))
        return plan_down(self.cluster.name, facts, wishes), silent

    async def drift(self) -> tuple[Drift, ...]:
        """What is not as the inventory says; a node that does not answer is one of these."""
        asked = questions(self.cluster, self.fabric)
        asked = {node: replace(question, routes=True) for node, question in asked.items()}
        facts, silent = await gather_reachable(self.fleet, asked)
        return drift(self.cluster.name, self.desired(), facts, silent)

    async def recovery(self) -> tuple[Recovery | None, dict[str, str]]:
        """What is to become of a run that died, and the nodes that do not answer, with why."""
        facts, silent = await gather_reachable(self.fleet, questions(self.cluster, self.fabric, journal=True))
        return recovery(self.cluster.name, facts, tuple(silent)), silent

    async def recover(self, found: Recovery, silent: Iterable[str], *, break_lock: bool) -> None:
        """End that run; raises as Recoverer.execute does."""
        asked = questions(self.cluster, self.fabric)
        reached = {node: asked[node] for node in asked if node not in set(silent)}
        run = Run(entropy.token_hex(4), self.owner, RECOVER_LEASE)
        self.running = True
        await Recoverer(self.fleet, found, run, reached, "break" if break_lock else "recover").execute()
        self.running = False

    async def execute(self, plan: Plan, playbook: Playbook) -> None:
        """Run `plan` as one transaction; raises as Runner.execute does."""
        run = Run(entropy.token_hex(4), self.owner, playbook.confirm_timeout)
        proofs = self._proofs_down(plan, playbook) if plan.action == "down" else self._proofs_up(playbook)
        asked = questions(self.cluster, self.fabric)
        secrets = {node: self.secrets(node) for node in plan.nodes}
        self.running = True  # and stays so when the run is left: then the nodes are in their timers' hands
        await Runner(self.fleet, plan, run, asked, secrets, proofs, self.stop).execute()
        self.running = False

    def _proofs_up(self, playbook: Playbook) -> dict[str, Prove]:
        async def network(runner: Runner) -> None:
            stage = playbook.network()
            await self._settled(stage.settle_timeout if stage else 15)
            if stage and stage.load != "none" and self.cluster.fabric.transport == "roce":
                await self._loaded(runner, stage.load)

        async def engine_ready(runner: Runner) -> None:
            stage = playbook.engine()
            await self._serving(runner, stage.ready_timeout if stage else 2700)

        proofs: dict[str, Prove] = {"network": network}
        if self.cluster.engine:
            proofs["engine"] = engine_ready
        return proofs

    async def _settled(self, seconds: float) -> None:
        """Read until every network check passes, or the time is up."""
        until = time.monotonic() + seconds
        while True:
            wrong = await self._network_faults()
            if not wrong:
                return
            if time.monotonic() >= until:
                raise StepFailed(f"not right within {seconds:.0f} s:\n  " + "\n  ".join(wrong))
            await asyncio.sleep(SETTLE_PAUSE)

    async def _network_faults(self) -> list[str]:
        """What is not right yet; a node that does not answer for a moment is one of these, not the end."""
        try:
            facts = await self.facts(pings=True, title="settle and check")
        except AccessRefused as error:
            return [error.message]
        verdicts = judge(self.view(facts, stages={"network"}))
        self._proof = verdicts
        return [words(v) for v in verdicts if v.state in ("fail", "unknown")]

    async def _loaded(self, runner: Runner, level: LoadLevel) -> None:
        """RoCE as it is now: a wrong configuration fails the run; a slow link does not, it is reported."""
        verdicts = await runner.kept_alive(self._proven_roce(level))
        wrong = [words(v) for v in verdicts if v.state in ("fail", "unknown") and v.id not in LOADED]
        if wrong:
            raise StepFailed("RoCE is not right:\n  " + "\n  ".join(wrong))
        self._proof = verdicts
        self._slow = tuple(v for v in verdicts if v.id in LOADED)

    async def _proven_roce(self, level: LoadLevel) -> tuple[Verdict, ...]:
        self.seen = await self.facts(pings=True, survey=True, title="look at RoCE")
        self.load = await self._measured(level, gather=False)
        return judge(replace(self.view(self.seen, stages={"network"}), load=self.load))

    async def _measured(self, level: LoadLevel, *, gather: bool = True) -> Load | None:
        lab = self.expect == "lab"
        return await measured(self.fleet, self.cluster, self.fabric, self.seen, level, emulated=lab, gather=gather)

    async def _serving(self, runner: Runner, seconds: float) -> None:
        watches = {node.name: self.watch(node.name) for node in self.cluster.nodes}
        self.answer = await Wait(self.fleet, self.cluster.head.name, watches, runner.extend).token(seconds)

    def _proofs_down(self, plan: Plan, playbook: Playbook) -> dict[str, Prove]:
        async def network(runner: Runner) -> None:
            stage = playbook.network()
            await self._gone(plan, stage.settle_timeout if stage else 15)

        return {"network": network}

    async def _gone(self, plan: Plan, seconds: float) -> None:
        """Read until none of our files and addresses is left."""
        until = time.monotonic() + seconds
        while True:
            left = await self._left(plan)
            if not left:
                return
            if time.monotonic() >= until:
                raise StepFailed(f"still there after {seconds:.0f} s:\n  " + "\n  ".join(left))
            await asyncio.sleep(SETTLE_PAUSE)

    async def _left(self, plan: Plan) -> list[str]:
        try:
            return remains(plan, self.fabric, await self.facts(plan.nodes, title="settle and check"))
        except AccessRefused as error:
            return [error.message]

    def watch(self, node: str, facts: NodeFacts | None = None, tokens: int = 1) -> Watch:
        """What the canary program watches on `node`; given facts, from the present on."""
        intent = self.cluster.engine
        if intent is None:
            raise ValueError("the inventory has no engine")
        probe = dict(vars(engine_of(intent.kind).probe(intent))) if node == self.cluster.head.name else {}
        if probe:
            probe["completion"] = {**probe["completion"], "max_tokens": tokens}
        restarts = facts.unit.value.restarts if facts and isinstance(facts.unit, Known) else 0
        return Watch(UNIT_NAME, probe, API_KEY if intent.api_key_file else None, restarts)

    async def canary(self, facts: Mapping[str, NodeFacts], tokens: int = 1) -> Fact[Answer]:
        """A real completion of at most `tokens`, where an engine should be."""
        if self.cluster.engine is None:
            return Absent("the inventory has no engine")
        head = self.cluster.head.name
        unit = facts[head].unit
        if isinstance(unit, Known) and not unit.value.running:
            return Unknown("the head's unit is not running")
        with self.fleet.allow(Effect.LOAD):
            found = await ask_once(self.fleet, head, self.watch(head, facts[head], tokens))
        self.answer = found.value if isinstance(found, Known) else None
        return found

    def view(
        self, facts: Mapping[str, NodeFacts], canary: Fact[Answer] | None = None, stages: set[str] | None = None
    ) -> View:
        """What the checks see."""
        asked = canary if canary is not None else Absent("not asked")
        skews = {node: known.skew.value for node, known in facts.items() if isinstance(known.skew, Known)}
        chosen = frozenset(stages or {"network", "host", "engine"})
        seen = View(self.cluster, self.fabric, self.rendering.nodes, facts, asked, self.overlays, chosen)
        return replace(seen, skews=skews, expect=self.expect)

    async def serving(self) -> tuple[Verdict, ...]:
        """The engine's checks on the facts that the plan was made from, and one real token: one round trip."""
        return judge(self.view(self._seen, await self.canary(self._seen, SHOWN_TOKENS), {"engine"}))

    async def proven(self, playbook: Playbook) -> tuple[Verdict, ...]:
        """What a run was confirmed on; with an engine it is read once more, with a longer completion for people."""
        if self._proof and (self.cluster.engine is None or playbook.engine() is None):
            return self._proof
        return (*await self.verdicts(pings=True, tokens=SHOWN_TOKENS), *self._slow)

    async def verify(
        self,
        *,
        pings: bool = True,
        load: LoadLevel = "none",
        expect: Expect | None = None,
        thresholds: Thresholds = DEFAULTS,
    ) -> tuple[Verdict, ...]:
        """Every check: facts, pings and survey in one round trip, the canary in a second, then what loads the nodes."""
        self.expect = expect or self.expect
        self.seen = await self.facts(pings=pings, survey=True)
        canary = await self.canary(self.seen)
        self.load = await self._measured(load)
        return judge(replace(self.view(self.seen, canary), load=self.load, thresholds=thresholds))

    async def verdicts(self, *, pings: bool, tokens: int = 1) -> tuple[Verdict, ...]:
        """Every check: facts (with pings, if asked for) in one round trip, the canary in a second."""
        facts = await self.facts(pings=pings)
        return judge(self.view(facts, await self.canary(facts, tokens)))


def remains(plan: Plan, fabric: Fabric, facts: Mapping[str, NodeFacts]) -> list[str]:
    """Files and addresses that a teardown should have taken away."""
    gone = ((node, c.path) for node in facts for c in plan.files(node) if c.after is None and not c.aside)
    left = [f"{node}: {path}" for node, path in gone if not isinstance(facts[node].file(path), Absent)]
    for attachment in (a for a in fabric.attachments if a.node in facts):
        netdev = facts[attachment.node].netdev(attachment.netdev)
        address = str(attachment.address)
        if plan.network(attachment.node) and isinstance(netdev, Known) and address in netdev.value.addresses:
            left.append(f"{attachment.node}: {address} on {attachment.netdev}")
    return left


def _secret(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Refused(f"the secret {source} cannot be read: {error.strerror}", "write it, mode 0600") from None
