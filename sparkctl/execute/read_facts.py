"""Facts of all nodes in one round trip each, through gates that let nothing but READ pass."""

from __future__ import annotations

import re
import secrets as entropy
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sparkctl.engines import Rank, engine_of
from sparkctl.engines.base import home
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts import survey as survey_facts
from sparkctl.facts.base import batch
from sparkctl.facts.perftest_tool import PORT
from sparkctl.facts.snapshot import NodeFacts, Questions, snapshot
from sparkctl.facts.survey import Inquiry
from sparkctl.inventory.model import Cluster, EngineIntent, Node
from sparkctl.inventory.names import NETPLAN
from sparkctl.outcome import Ok
from sparkctl.render.artifact import API_KEY, ENGINE_ENV, ENGINE_SCRIPT, ENGINE_UNIT, NCCL_ENV
from sparkctl.ssh.fleet import Fleet

SHOWN = (NETPLAN, NCCL_ENV, ENGINE_ENV, ENGINE_SCRIPT, ENGINE_UNIT)


def questions(
    cluster: Cluster,
    fabric: Fabric,
    *,
    pings: bool = False,
    journal: bool = False,
    survey: bool = False,
    knock: bool = False,
    routes: bool = False,
    baseline: bool = False,
    plan: bool = False,
) -> dict[str, Questions]:
    """What to ask each node; always about every path that sparkctl may own, so that leftovers are seen too.

    `knock`: of a survey only what packet filters let through; `baseline`: what teardown would put back;
    `plan`: what no file can change and a plan rests on.
    """
    image = cluster.engine.runtime.docker if cluster.engine else None
    token = entropy.token_hex(8)
    return {
        node.name: Questions(
            paths=SHOWN,
            secrets=(API_KEY,),
            netdevs=tuple(a.netdev for a in fabric.of(node.name)),
            netplan_path=NETPLAN,
            image=image,
            mtu=cluster.fabric.mtu,
            rails=_rails(fabric, node.name) if pings else (),
            journal=journal,
            routes=survey or routes,
            baseline=baseline,
            opens=_opens(cluster, node) if plan else None,
            survey=replace(_inquiry(cluster, fabric, node.name, token), whole=survey) if survey or knock else None,
        )
        for node in cluster.nodes
    }


def _rails(fabric: Fabric, node: str) -> tuple[tuple[str, str], ...]:
    return tuple((a.netdev, str(p.address.ip)) for a in fabric.of(node) for p in fabric.peers(a))


def _inquiry(cluster: Cluster, fabric: Fabric, node: str, token: str) -> Inquiry:
    planned = {a.netdev: tuple(p.node for p in fabric.peers(a)) for a in fabric.of(node)}
    return Inquiry(
        node=node,
        token=token,
        ears=tuple((planned | {netdev: () for netdev in NETDEVS if netdev not in planned}).items()),
        ways=tuple((str(a.address.ip), str(p.address.ip)) for a in fabric.of(node) for p in fabric.peers(a)),
        meetings=tuple(_meetings(fabric, node)),
        lent=_lent(cluster, fabric, cluster.engine) if cluster.engine else {},
        called={str(a.address.ip): (PORT,) for a in fabric.attachments} if cluster.fabric.transport == "roce" else {},
        folders=tuple(dict.fromkeys(_folders(cluster.engine))) if cluster.engine else (),
        image=cluster.engine.runtime.docker if cluster.engine else None,
        venv=cluster.engine.runtime.venv if cluster.engine else None,
        naming=tuple(_naming(Rank(cluster, fabric, cluster.node(node), cluster.engine))) if cluster.engine else (),
    )


def _naming(rank: Rank) -> Iterator[str]:
    """What decides which libnccl is loaded and which conf file it reads: variables, as they are given, and volumes."""
    engine = rank.intent
    variables = engine_of(engine.kind).nccl_path_variables
    given = {"HOME": home(rank.user)} if engine.runtime.venv else {}
    given |= {**rank.cluster.fabric.nccl, **engine.env}
    names = (*variables, "LD_PRELOAD", "NCCL_CONF_FILE", "HOME")
    yield from variables
    yield from (f"{name}={given[name]}" for name in names if name in given)
    yield from (f"{target.partition(':')[0]}={source}" for source, target in sorted(engine.volumes.items()))


def _meetings(fabric: Fabric, node: str) -> Iterator[tuple[str, str, str]]:
    """Every rail to every peer; and management, where the ranks meet there (a host name is none to listen at)."""
    rails, here = fabric.of(node), fabric.endpoints[node]
    yield from ((a.netdev, str(a.address.ip), str(p.address.ip)) for a in rails for p in fabric.peers(a))
    if here.netdev not in {a.netdev for a in rails}:
        others = (each.address for name, each in fabric.endpoints.items() if name != node)
        yield from ((here.netdev, here.address, at) for at in others if re.fullmatch(r"[\d.]+", at + here.address))


def _opens(cluster: Cluster, node: Node) -> tuple[int, ...]:
    """The ports that a rank listens at; the head's with that which serves."""
    if cluster.engine is None:
        return ()
    ports = engine_of(cluster.engine.kind).ports(cluster.engine)
    own = (p.number for p in ports if p.everywhere or node == cluster.head)
    return tuple(dict.fromkeys((*own, cluster.engine.port) if node == cluster.head else own))


def _lent(cluster: Cluster, fabric: Fabric, engine: EngineIntent) -> dict[str, tuple[int, ...]]:
    """By address, where peers call a rank; not the port that serves, which no rank calls."""
    ports = engine_of(engine.kind).ports(engine)
    numbers = {n.name: tuple(p.number for p in ports if p.everywhere or n == cluster.head) for n in cluster.nodes}
    return {fabric.endpoints[node].address: lent for node, lent in numbers.items() if lent}


def _folders(engine: EngineIntent) -> Iterator[str]:
    yield from (source for source in engine.volumes if source.startswith("/"))
    if engine.model.startswith("/") and not engine.volumes:
        yield engine.model


async def gather(fleet: Fleet, asked: Mapping[str, Questions], title: str = "read facts") -> dict[str, NodeFacts]:
    """The facts of every node; AccessRefused when one does not answer, for then nothing may be planned."""
    facts, silent = await _read(fleet, asked, title, patient=False)
    if silent:
        lines = "\n  ".join(f"{node}: {reason}" for node, reason in silent.items())
        raise AccessRefused(f"facts cannot be read:\n  {lines}", "try again; nothing was changed")
    return facts


Reached = tuple[dict[str, NodeFacts], dict[str, str]]


async def gather_reachable(fleet: Fleet, asked: Mapping[str, Questions]) -> Reached:
    """The facts of every node that answers, and why the others do not; Unreachable when none does."""
    facts, silent = await _read(fleet, asked, "read facts", patient=True)
    if not facts:
        raise Unreachable("no node answers:\n  " + "\n  ".join(silent.values()), "is the network there?")
    return facts, silent


async def gather_all(fleet: Fleet, asked: Mapping[str, Questions]) -> Reached:
    """As `gather_reachable`, and of the others facts that are all Unknown, for those who judge whatever was read."""
    facts, silent = await gather_reachable(fleet, asked)
    return {n: facts[n] if n in facts else snapshot(n, q, "") for n, q in asked.items()}, silent


async def _read(fleet: Fleet, asked: Mapping[str, Questions], title: str, *, patient: bool) -> Reached:
    results = await fleet.ask(title, {node: batch(q.probes()) for node, q in asked.items()}, patient=patient)
    facts = {n: _facts(fleet, n, asked[n], result.stdout) for n, result in results.items() if isinstance(result, Ok)}
    return facts, {node: result.reason for node, result in results.items() if not isinstance(result, Ok)}


def _facts(fleet: Fleet, node: str, asked: Questions, stdout: str) -> NodeFacts:
    facts = snapshot(node, asked, stdout)
    if asked.survey is None:
        return facts
    return replace(facts, skew=survey_facts.skew(stdout, *fleet.moments[node]))
