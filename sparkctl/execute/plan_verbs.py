"""What each verb would do: facts of all nodes to one `Planned` value; and whether a saved plan still is that plan."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sparkctl.checks import CHECKS, excused
from sparkctl.errors import Refused, StalePlan
from sparkctl.execute.read_facts import gather_all, gather_reachable, questions
from sparkctl.execute.site import Site
from sparkctl.facts import listeners
from sparkctl.facts.base import answers, batch, parsed
from sparkctl.facts.listeners import Listener
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Fact, Ok, Result, Unknown, Verdict
from sparkctl.plan import blocks, steps
from sparkctl.plan.blocks import Block
from sparkctl.plan.diff import PLAIN, Desired, Wishes
from sparkctl.plan.drift import Drift, drift
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import Playbook
from sparkctl.plan.receipt import Receipt
from sparkctl.plan.renumbering import going, notes
from sparkctl.ssh.fleet import Fleet

CARRIER_PAUSE = 3.0
"""Seconds between two looks at a carrier that is missing: a link that was just brought up takes some."""
Secrets = Mapping[str, Mapping[str, bytes]]
"""Per node, the content of each secret by its path on the node."""


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from and for, and the secrets whose digests it names.

    `silent`: nodes that did not answer, with why; `left`: by node and path, why a teardown leaves it; `blocked`: what
    no file can change and stages of the plan rest on.
    """

    plan: Plan
    facts: Mapping[str, NodeFacts]
    playbook: Playbook
    wishes: Wishes = PLAIN
    secrets: Secrets = field(default_factory=dict, repr=False)
    silent: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    blocked: tuple[Block, ...] = ()

    def refuse_blocked(self) -> None:
        """Refused where anything is in the way."""
        if self.blocked:
            causes = "\n  ".join(map(str, self.blocked))
            remedies = "; ".join(dict.fromkeys(block.remedy for block in self.blocked))
            raise Refused(f"nothing was changed, and the engine was left alone, because\n  {causes}", remedies)

    def receipt(self, site: Site) -> Receipt:
        """What is saved of it."""
        return Receipt(inventory=site.inventory, playbook=self.playbook, wishes=self.wishes, plan=self.plan)


async def plan_up(site: Site, playbook: Playbook, wishes: Wishes = PLAIN) -> Planned:
    """What `up` would do. Refused when a node cannot be planned for."""
    return await _planned(site, await _look(site), playbook, wishes)


async def plan_reprovision(site: Site, playbook: Playbook, wishes: Wishes = PLAIN) -> Planned:
    """What would make the nodes of `wishes.only` (None: those without a record) a part of the cluster again."""
    seen = await _look(site)
    only = steps.newcomers(seen.facts) if wishes.only is None else wishes.only
    return await _planned(site, seen, playbook, replace(wishes, only=only))


@dataclass(frozen=True)
class _Seen:
    """Facts of the nodes that answer, why others do not, and what stands in the way of their links."""

    facts: dict[str, NodeFacts]
    silent: dict[str, str]
    links: tuple[Block, ...]


async def _look(site: Site) -> _Seen:
    """One round trip; a second one after a pause where a carrier is missing, which may be settling."""
    facts, silent, carriers = await _read(site)
    before = blocks.dark(carriers)
    if before:
        await asyncio.sleep(CARRIER_PAUSE)
        facts, silent, carriers = await _read(site)
    links = blocks.links(carriers, before & blocks.dark(carriers), site.fabric)
    return _Seen({n: known for n, known in facts.items() if n not in silent}, silent, tuple(links))


async def _read(site: Site) -> tuple[dict[str, NodeFacts], dict[str, str], list[Verdict]]:
    facts, silent = await gather_all(site.fleet, questions(site.cluster, site.fabric, routes=True, plan=True))
    view = site.view(facts, silent=silent)
    return facts, silent, [excused(view, verdict) for verdict in CHECKS["rail-carrier"](view)]


async def _planned(site: Site, seen: _Seen, playbook: Playbook, wishes: Wishes) -> Planned:
    secrets = {node.name: site.secrets(node.name) for node in site.cluster.nodes}
    plan = steps.plan_up(site.cluster.name, desired(site, secrets), seen.facts, playbook, wishes)
    gone = going(plan)
    said = tuple(notes(gone, await _listening(site.fleet, gone)))
    blocked = tuple(_blocked(site, seen, playbook, plan))
    plan = plan.model_copy(update={"notes": plan.notes + said})
    return Planned(plan, seen.facts, playbook, wishes, secrets, seen.silent, blocked=blocked)


def _blocked(site: Site, seen: _Seen, playbook: Playbook, plan: Plan) -> Iterator[Block]:
    """What stands in the way of the stages that are asked for. An emulated node has not the disk of a Spark."""
    engine, stages = playbook.engine(), {stage.stage for stage in playbook.stages}
    room = engine.image_room if engine and site.expect == "real" else 0
    found = (*blocks.off(seen.silent), *seen.links, *blocks.full(plan, seen.facts, room))
    found += (*blocks.arrivals(plan, seen.facts), *blocks.taken(seen.facts))
    return (block for block in found if stages & {*block.stages})


async def _listening(fleet: Fleet, gone: Mapping[str, tuple[str, ...]]) -> dict[str, Fact[tuple[Listener, ...]]]:
    """Who listens at addresses that go: one round trip, only where some do."""
    if not gone:
        return {}
    asked = {node: batch((listeners.probe(addresses),)) for node, addresses in gone.items()}
    results = await fleet.ask("ask who listens at addresses that change", asked, patient=True)
    return {node: _listeners(result) for node, result in results.items()}


def _listeners(result: Result) -> Fact[tuple[Listener, ...]]:
    if not isinstance(result, Ok):
        return Unknown(result.reason)
    return parsed(answers(result.stdout).get(listeners.NAME, Unknown("no answer")), listeners.parse)


async def plan_down(
    site: Site, playbook: Playbook, wishes: Wishes = PLAIN, accepted: Mapping[str, Container[str]] = {}
) -> Planned:
    """What `down` would do; nodes that do not answer are left for another time. It needs no secret.

    `accepted`: paths of each node that need not come back.
    """
    facts, silent = await gather_reachable(site.fleet, questions(site.cluster, site.fabric, baseline=True))
    plan = steps.plan_down(site.cluster.name, facts, wishes, accepted)
    left = steps.left_behind(facts, accepted)
    return Planned(plan, facts, playbook, wishes, silent=silent, left=left)


async def accept(site: Site, saved: Receipt) -> Planned:
    """The plan of today, made anew from what the nodes say; StalePlan when it is not, field by field, the saved one.

    Nothing that the file says is ever run: the plan that comes back was made here.
    """
    strange = saved.strange(site.cluster.name, site.inventory, tuple(node.name for node in site.cluster.nodes))
    if strange:
        raise Refused(f"the saved plan is {strange}", "make a new plan; nothing was changed")
    fresh = await plan_up(site, saved.playbook, saved.wishes)
    fresh.refuse_blocked()
    moved = fresh.plan.moved(saved.plan)
    if moved:
        raise StalePlan(f"{', '.join(moved)} changed since the plan was made", "make a new plan; nothing was changed")
    other = fresh.plan.differences(saved.plan)
    if other:
        message = f"the saved plan is not what would be done now: its {', '.join(other)} differ"
        raise StalePlan(message, "make a new plan and review it; nothing was changed")
    return fresh


async def drifted(site: Site) -> tuple[Drift, ...]:
    """What is not as the inventory says; a node that does not answer is one of these."""
    asked = questions(site.cluster, site.fabric, routes=True)
    facts, silent = await gather_reachable(site.fleet, asked)
    secrets = {node.name: site.secrets(node.name) for node in site.cluster.nodes}
    return drift(site.cluster.name, desired(site, secrets), facts, silent)


def desired(site: Site, secrets: Secrets) -> dict[str, Desired]:
    """What every node should be."""
    image = site.cluster.engine.runtime.docker if site.cluster.engine else None
    return {
        node.name: Desired(
            site.rendering.nodes[node.name], _digests(secrets[node.name]), site.fabric.of(node.name), image
        )
        for node in site.cluster.nodes
    }


def _digests(secrets: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in secrets.items()}
