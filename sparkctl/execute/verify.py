"""Proof of a cluster as it is: every check, one real token, and on request what the hardware does under load."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from sparkctl.checks import judge
from sparkctl.checks.thresholds import DEFAULTS, Thresholds
from sparkctl.commands.base import Effect
from sparkctl.commands.canary import Answer, Watch
from sparkctl.engines import engine_of
from sparkctl.execute.load import Expect, LoadLevel, measured
from sparkctl.execute.read_facts import gather_all, questions
from sparkctl.execute.readiness import ask_once
from sparkctl.execute.site import Site
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Absent, Fact, Known, Unknown, Verdict
from sparkctl.render.artifact import API_KEY, UNIT_NAME

FABRIC = ("network", "host")
NOT_UP = Absent("only the network was brought up: `sparkctl cluster up` brings the engine")
SHOWN_TOKENS = 16
"""Length of the completion that `up` shows to people; a canary needs one token only."""


@dataclass(frozen=True)
class Verified:
    """Verdicts, and what they were made from. `answer` None: no completion; `load` None: no test under load."""

    verdicts: tuple[Verdict, ...]
    answer: Answer | None = None
    facts: Mapping[str, NodeFacts] = field(default_factory=dict)
    load: Load | None = None

    @property
    def raw(self) -> dict[str, str]:
        """What every node said, as it came."""
        return {node: facts.raw for node, facts in self.facts.items()}


async def verify(
    site: Site,
    *,
    pings: bool = True,
    load: LoadLevel = "none",
    thresholds: Thresholds = DEFAULTS,
    expect: Expect | None = None,
) -> Verified:
    """Every check: facts, pings and survey in one round trip, the canary in a second, then what loads the nodes.

    `expect`: how to judge, where it is not as the site itself: an emulated node keeps an emulator's time for its tests.
    """
    facts, silent = await gather_all(site.fleet, questions(site.cluster, site.fabric, pings=pings, survey=True))
    partial = only_network(facts, silent)
    asked = NOT_UP if partial else await canary(site, facts, silent)
    judged = expect or site.expect
    emulated, level = "lab" in (site.expect, judged), "none" if silent else load
    found = await measured(site.fleet, site.cluster, site.fabric, facts, level, emulated=emulated)
    seen = site.view(facts, asked, FABRIC if partial else (), silent)
    verdicts = judge(replace(seen, load=found, thresholds=thresholds, expect=judged))
    return Verified((*verdicts, *_left_out(site, partial)), _answer(asked), facts, found)


async def status(site: Site, *, pings: bool = False, tokens: int = 1) -> Verified:
    """Every check that needs no survey: facts (with pings, if asked for) in one round trip, the canary in a second."""
    facts, silent = await gather_all(site.fleet, questions(site.cluster, site.fabric, pings=pings))
    partial = only_network(facts, silent)
    asked = NOT_UP if partial else await canary(site, facts, silent, tokens)
    verdicts = judge(site.view(facts, asked, FABRIC if partial else (), silent))
    return Verified((*verdicts, *_left_out(site, partial)), _answer(asked), facts)


def only_network(facts: Mapping[str, NodeFacts], silent: Container[str] = ()) -> bool:
    """Whether the record of every node that answers says that the network was brought up, and no engine."""
    records = [known.record for node, known in facts.items() if node not in silent]
    held = [record.value for record in records if isinstance(record, Known) and record.value.files]
    engine = any(one.unit or any(file.stage == "engine" for file in one.files.values()) for one in held)
    return bool(held) and len(held) == len(records) and not engine


def _left_out(site: Site, partial: bool) -> tuple[Verdict, ...]:
    """That no engine was judged, where there is to be one."""
    skipped = Verdict("engine-unit", "skipped", f"cluster {site.cluster.name}", NOT_UP.reason)
    return (skipped,) if partial and site.cluster.engine is not None else ()


async def serving(site: Site, facts: Mapping[str, NodeFacts]) -> Verified:
    """The engine's checks on these facts, and one real token: one round trip."""
    asked = await canary(site, facts, tokens=SHOWN_TOKENS)
    return Verified(judge(site.view(facts, asked, ("engine",))), _answer(asked), facts)


async def canary(
    site: Site, facts: Mapping[str, NodeFacts], silent: Container[str] = (), tokens: int = 1
) -> Fact[Answer]:
    """A real completion of at most `tokens`, where an engine should be; a head that is `silent` is not asked."""
    if site.cluster.engine is None:
        return Absent("the inventory has no engine")
    if site.head in silent:
        return Unknown("the head does not answer")
    unit = facts[site.head].unit
    if isinstance(unit, Known) and not unit.value.running:
        return Unknown("the head's unit is not running")
    with site.fleet.allow(Effect.LOAD):
        return await ask_once(site.fleet, site.head, watch(site, site.head, facts[site.head], tokens))


def watch(site: Site, node: str, facts: NodeFacts | None = None, tokens: int = 1) -> Watch:
    """What the canary program watches on `node`; given facts, from the present on."""
    intent = site.cluster.engine
    if intent is None:
        raise ValueError("the inventory has no engine")
    probe = vars(engine_of(intent.kind).probe(intent, tokens)) if node == site.head else {}
    restarts = facts.unit.value.restarts if facts and isinstance(facts.unit, Known) else 0
    netdevs = tuple(attachment.netdev for attachment in site.fabric.of(node))
    return Watch(UNIT_NAME, probe, API_KEY if intent.api_key_file else None, restarts, netdevs)


def _answer(canary: Fact[Answer]) -> Answer | None:
    return canary.value if isinstance(canary, Known) else None
