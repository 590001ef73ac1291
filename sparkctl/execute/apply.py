"""Runs a plan as one transaction, and proves each stage of it while the nodes' timers still guard them."""

from __future__ import annotations

import asyncio
import secrets as entropy
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

from sparkctl.checks import CHECKS, OF_HARDWARE, judge, words
from sparkctl.errors import AccessRefused
from sparkctl.execute.load import LoadLevel, measured
from sparkctl.execute.plan_verbs import Planned
from sparkctl.execute.read_facts import questions
from sparkctl.execute.readiness import Wait
from sparkctl.execute.runner import Applied, Prove, Runner, StepFailed
from sparkctl.execute.site import Site
from sparkctl.execute.verify import SHOWN_TOKENS, Verified, status, watch
from sparkctl.fabric.model import Fabric
from sparkctl.facts.baseline import SavedNetdev
from sparkctl.facts.links import Netdev
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Absent, Known, Verdict
from sparkctl.plan.compile import Run
from sparkctl.plan.plan import Plan

SETTLE_PAUSE = 0.3
"""Between two looks while the kernel settles; management may be away for about a second (facts ff20)."""


async def apply(site: Site, planned: Planned) -> Applied:
    """Run the plan and prove it; raises as Runner.execute does, and Refused where anything stands in its way."""
    planned.refuse_blocked()
    run = Run(entropy.token_hex(4), site.owner, planned.playbook.confirm_timeout)
    asked = questions(site.cluster, site.fabric)
    proofs = _proofs_down(site, planned) if planned.plan.action == "down" else _proofs_up(site, planned)
    runner = Runner(site.fleet, planned.plan, run, asked, planned.secrets, proofs, site.interruption.asked)
    with site.interruption.run():
        return await runner.execute()


async def proven(site: Site, planned: Planned, applied: Applied) -> Verified:
    """What a run was confirmed on; with an engine it is read once more, with a longer completion for people."""
    if applied.verdicts and (site.cluster.engine is None or planned.playbook.engine() is None):
        return Verified(applied.verdicts, applied.answer)
    again = await status(site, pings=True, tokens=SHOWN_TOKENS)
    return replace(again, verdicts=(*again.verdicts, *applied.slow))


def _proofs_up(site: Site, planned: Planned) -> dict[str, Prove]:
    network, engine = planned.playbook.network(), planned.playbook.engine()

    async def fabric(runner: Runner, applied: Applied) -> Applied:
        verdicts = await _settled(site, planned, network.settle_timeout if network else 15)
        if site.cluster.engine and engine:
            await runner.kept_alive(_unfiltered(site))
        if network and network.load != "none" and site.cluster.fabric.transport == "roce":
            return await _right_roce(site, runner, network.load)
        return replace(applied, verdicts=verdicts)

    async def ready(runner: Runner, applied: Applied) -> Applied:
        kept = {node: facts for node, facts in runner.before.items() if not planned.plan.units(node)}
        watches = {node.name: watch(site, node.name, kept.get(node.name)) for node in site.cluster.nodes}
        answer = await Wait(site.fleet, site.head, watches, runner.extend).token(
            engine.ready_timeout if engine else 2700
        )
        return replace(applied, answer=answer)

    return {"network": fabric, "engine": ready} if site.cluster.engine else {"network": fabric}


def _proofs_down(site: Site, planned: Planned) -> dict[str, Prove]:
    stage = planned.playbook.network()

    async def gone(runner: Runner, applied: Applied) -> Applied:
        lost: tuple[str, ...] = ()

        async def look() -> list[str]:
            nonlocal lost
            wrong, lost = await _left(site, planned)
            return wrong

        await _nothing_wrong(stage.settle_timeout if stage else 15, "not as before after", look)
        return replace(applied, lost=lost)

    return {"network": gone}


async def _nothing_wrong(seconds: float, said: str, look: Callable[[], Awaitable[list[str]]]) -> None:
    """Look until nothing is wrong any more; StepFailed with all that is when the time is up."""
    until = time.monotonic() + seconds
    while wrong := await look():
        if time.monotonic() >= until:
            raise StepFailed(f"{said} {seconds:.0f} s:\n  " + "\n  ".join(wrong))
        await asyncio.sleep(SETTLE_PAUSE)


async def _settled(site: Site, planned: Planned, seconds: float) -> tuple[Verdict, ...]:
    """The network's verdicts as soon as none is wrong; a node that is silent for a moment is not the end.

    Files of a node that is left alone are what they were before.
    """
    only = planned.wishes.only
    alone = frozenset() if only is None else frozenset(planned.plan.nodes) - only
    verdicts: tuple[Verdict, ...] = ()

    async def look() -> list[str]:
        nonlocal verdicts
        try:
            facts = await site.facts(pings=True, title="settle and check")
        except AccessRefused as error:
            return [error.message]
        verdicts = judge(site.view(facts, stages=("network",)))
        wrong = (v for v in verdicts if v.state in ("fail", "unknown"))
        return [words(v) for v in wrong if v.id != "files" or not set(v.nodes) <= alone]

    await _nothing_wrong(seconds, "not right within", look)
    return verdicts


async def _unfiltered(site: Site) -> None:
    """StepFailed where a packet filter keeps ranks apart: they would wait for one another until their time is up."""
    facts = await site.facts(knock=True, title="knock")
    wrong = [words(v) for v in CHECKS["firewall"](site.view(facts)) if v.state == "fail"]
    if wrong:
        raise StepFailed("ranks cannot reach one another:\n  " + "\n  ".join(wrong))


async def _right_roce(site: Site, runner: Runner, level: LoadLevel) -> Applied:
    """RoCE as it is now: a wrong configuration fails the run; a slow link does not, it is reported."""
    verdicts = await runner.kept_alive(_judged_roce(site, level))
    slow = tuple(v for v in verdicts if v.id in OF_HARDWARE)
    wrong = [words(v) for v in verdicts if v.state in ("fail", "unknown") and v not in slow]
    if wrong:
        raise StepFailed("RoCE is not right:\n  " + "\n  ".join(wrong))
    return Applied(verdicts, slow)


async def _judged_roce(site: Site, level: LoadLevel) -> tuple[Verdict, ...]:
    seen = await site.facts(pings=True, survey=True, title="look at RoCE")
    emulated = site.expect == "lab"
    load = await measured(site.fleet, site.cluster, site.fabric, seen, level, emulated=emulated, gather=False)
    return judge(replace(site.view(seen, stages=("network",)), load=load))


async def _left(site: Site, planned: Planned) -> tuple[list[str], tuple[str, ...]]:
    """What is wrong yet; and what of the runtime state did not come back."""
    try:
        facts = await site.facts(planned.plan.nodes, baseline=True, title="settle and check")
    except AccessRefused as error:
        return [error.message], ()
    return list(remains(planned.plan, site.fabric, facts)), tuple(_not_back(planned.plan, facts))


def remains(plan: Plan, fabric: Fabric, facts: Mapping[str, NodeFacts]) -> Iterator[str]:
    """What a teardown should have taken away, or put back, and did not."""
    gone = ((node, c.path) for node in facts for c in plan.files(node) if c.after is None and not c.aside)
    yield from (f"{node}: {path}" for node, path in gone if not isinstance(facts[node].file(path), Absent))
    for node, name, saved in _netdevs_back(plan, facts):
        netdev = facts[node].netdev(name)
        if isinstance(netdev, Known):
            ours = (str(a.address) for a in fabric.of(node))
            yield from (f"{node}: {name}: {words}" for words in _unlike(netdev.value, saved, frozenset(ours)))


def _netdevs_back(plan: Plan, facts: Mapping[str, NodeFacts]) -> Iterator[tuple[str, str, SavedNetdev | None]]:
    """(node, netdev, what it was before sparkctl) of those that go back."""
    for node, known in facts.items():
        saved = known.baseline.value.netdevs if isinstance(known.baseline, Known) else {}
        targets = (target for change in plan.network(node) for target in change.netdevs)
        yield from ((node, t.netdev, saved.get(t.netdev)) for t in targets if t.after_address is None)


def _unlike(now: Netdev, saved: SavedNetdev | None, ours: frozenset[str]) -> Iterator[str]:
    """`ours`: addresses of the inventory, which only stay where they were before."""
    before = frozenset(saved.addresses if saved else ())
    yield from (f"still has {address}" for address in now.addresses if address in ours - before)
    if saved is not None:
        yield from (f"has no {address}, as it had" for address in sorted(before - {*now.addresses}))
        if (now.mtu, now.up) != (saved.mtu, saved.up):
            was = f"MTU {saved.mtu}, {'up' if saved.up else 'down'}"
            yield f"is not as it was ({was}), but MTU {now.mtu}, {'up' if now.up else 'down'}"


def _not_back(plan: Plan, facts: Mapping[str, NodeFacts]) -> Iterator[str]:
    for node, name, saved in _netdevs_back(plan, facts):
        yield from (f"{node}: {name}: ip {words}" for words in (saved.lost if saved else ()))
