"""What a check sees, and the registry of all checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sparkctl.checks.thresholds import DEFAULTS, Thresholds
from sparkctl.commands.canary import Answer
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.facts.links import Netdev
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.survey import NOTHING
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.words import visible
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Absent, Cause, Fact, RailEnd, Remedy, State, Verdict
from sparkctl.render.artifact import NodeRendering

NOT_ASKED = Absent("not asked")
TCP_REASON = "transport is tcp: no RDMA anywhere"
NODE_OFF, CARRIER = "node-off", "rail-carrier"
_WORD = re.compile(r"[\w.-]+")
LONGEST = 1000
"""Characters of one text of a verdict: a list of all routes of a node fits, a hostile file does not."""


@dataclass(frozen=True)
class View:
    """One moment of a cluster. `canary` Absent: it was not asked for; Unknown: no token came.

    `skews`: (least, most) seconds that each node's clock is ahead of the controller's. `load`: None without load tests.
    `silent`: nodes that did not answer, with why: all their facts are Unknown.
    `expect` lab: what this machine cannot show (speed, PCIe links, GPUs) is not judged, and the verdict says so.
    """

    cluster: Cluster
    fabric: Fabric
    rendering: Mapping[str, NodeRendering]
    facts: Mapping[str, NodeFacts]
    canary: Fact[Answer] = NOT_ASKED
    overlays: tuple[str, ...] = ()
    stages: frozenset[str] = field(default_factory=lambda: frozenset({"network", "host", "engine"}))
    skews: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    load: Load | None = None
    silent: Mapping[str, str] = field(default_factory=dict)
    thresholds: Thresholds = DEFAULTS
    expect: Literal["real", "lab"] = "real"

    @property
    def surveyed(self) -> bool:
        """Whether any node was asked for more than a plan rests on."""
        return any(facts.survey != NOTHING for facts in self.facts.values())


Check: TypeAlias = Callable[[View], Iterable[Verdict]]
CHECKS: dict[str, Check] = {}
STAGES: dict[str, str] = {}
AFTER: dict[str, tuple[str, ...]] = {}
"""The checks whose failure at the same end of a rail explains a fault that this check finds there."""
ANYWHERE: dict[str, tuple[str, ...]] = {}
"""The checks whose failure anywhere explains it, for all ranks work as one."""
SLOWED: dict[str, tuple[str, ...]] = {}
"""Those of them that explain a number, too: what keeps a test from running makes none slow."""
SURVEYING: set[str] = set()
"""Checks that judge what only `verify` asks: they say nothing where it was not asked."""
UNDER_LOAD: set[str] = set()
"""Checks of what a test under load measured."""
OF_HARDWARE: set[str] = set()
"""These and whether such a test can run: no configuration of ours makes a link slow, so they do not undo one."""


class Measured(Verdict):
    """A verdict on a number that a test under load gave: only what is in SLOWED explains it."""


def check(
    id: str,
    stage: str,
    *,
    after: tuple[str, ...] = (),
    anywhere: tuple[str, ...] = (),
    slowed: tuple[str, ...] = (),
    survey: bool = False,
    load: Literal["no", "needed", "measured"] = "no",
) -> Callable[[Check], Check]:
    """Register a check under its id and the stage that it proves; its causes come first.

    `load`: whether it tells what a test under load needs, or judges what one measured: `verify` alone asks.
    """

    def register(function: Check) -> Check:
        CHECKS[id], STAGES[id], AFTER[id], SLOWED[id], ANYWHERE[id] = function, stage, after, slowed, anywhere
        if survey or load != "no":
            SURVEYING.add(id)
        if load != "no":
            OF_HARDWARE.add(id)
        if load == "measured":
            UNDER_LOAD.add(id)
        return function

    return register


def judge(view: View) -> tuple[Verdict, ...]:
    """Every check of the view's stages, in order of registration; consequences of a fault point to their cause."""
    asked = (id for id in CHECKS if STAGES[id] in view.stages and (view.surveyed or id not in SURVEYING))
    return explained(tuple(_legible(view, excused(view, v)) for id in asked for v in CHECKS[id](view)))


def excused(view: View, verdict: Verdict) -> Verdict:
    """The verdict, but one that only says that a node is off, or a cable dark because of that, points to the node."""
    if verdict.state in ("pass", "skipped") or verdict.id == NODE_OFF:
        return verdict
    off = next((node for node in view.silent if _concerns(view, verdict, node)), None)
    said = verdict.measured or verdict.message
    return verdict if off is None else see(verdict.id, verdict.where, said, Cause(NODE_OFF, off), verdict.ends)


def _concerns(view: View, verdict: Verdict, node: str) -> bool:
    """Whether it is about the node, or about a carrier that comes from there."""
    here = CARRIER in (verdict.id, *AFTER.get(verdict.id, ())) and view.fabric.topology != "switch"
    own = (a for a in view.fabric.attachments if here and end(a) in verdict.ends)
    opposite = (peer for a in own for peer in view.fabric.peers(a))
    touched = {*verdict.nodes, *(e.node for e in verdict.ends), *(peer.node for peer in opposite)}
    return node in touched or node in _WORD.findall(verdict.where)


def _legible(view: View, verdict: Verdict) -> Verdict:
    """Verdicts cite what nodes say: spelled out where a terminal would obey it, and bounded."""
    return replace(
        verdict,
        nodes=verdict.nodes or ((verdict.where,) if verdict.where in view.facts else ()),
        where=_bounded(verdict.where),
        message=_bounded(verdict.message),
        measured=_bounded(verdict.measured),
        remedy=Remedy.again(_bounded(verdict.remedy), verdict.remedy, verdict.where),
    )


def _bounded(text: str) -> str:
    return visible(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


def explained(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The verdicts, but what another one's failure explains is skipped and names it: one fault, one failure."""
    failed = tuple(v for v in verdicts if v.state == "fail")
    return tuple(_explained(v, failed) for v in verdicts)


def _explained(verdict: Verdict, failed: tuple[Verdict, ...]) -> Verdict:
    cause = root(verdict, failed)
    if verdict.state not in ("warn", "fail", "unknown") or cause is verdict:
        return verdict
    said = verdict.measured or verdict.message
    return see(verdict.id, verdict.where, said, Cause(cause.id, cause.where), verdict.ends)


def root(verdict: Verdict, failed: tuple[Verdict, ...]) -> Verdict:
    """The failure at the bottom of `verdict`: itself where nothing explains it."""
    causes = SLOWED if isinstance(verdict, Measured) else AFTER
    for id in causes.get(verdict.id, ()):
        for cause in failed:
            if cause.id == id and set(cause.ends) & set(verdict.ends):
                return root(cause, failed)
    whole = (cause for id in ANYWHERE.get(verdict.id, ()) for cause in failed if cause.id == id)
    return next((root(cause, failed) for cause in whole), verdict)


def see(id: str, where: str, said: str, cause: Cause, ends: tuple[RailEnd, ...] = ()) -> Verdict:
    """A consequence: skipped, and the check (and place) whose failure explains what this one found."""
    return Verdict(id, "skipped", where, f"{said}: see {cause}", ends=ends, cause=cause)


def netdev_of(view: View, attachment: Attachment) -> Fact[Netdev]:
    """The netdev of an attachment."""
    return view.facts[attachment.node].netdev(attachment.netdev)


def rail(attachment: Attachment) -> str:
    """How a verdict names one end of a rail."""
    return f"{attachment.node} {attachment.half.port} rail {attachment.rail}"


def end(attachment: Attachment) -> RailEnd:
    """One end of a rail as `Verdict.ends` names it."""
    return RailEnd(attachment.node, attachment.half.port, attachment.rail)


def ends(attachments: Iterable[Attachment]) -> tuple[RailEnd, ...]:
    """The same for many."""
    return tuple(end(attachment) for attachment in attachments)


def unreadable(id: str, where: str, fact: Fact[object], ends: tuple[RailEnd, ...] = ()) -> Iterator[Verdict]:
    """The verdict on a fact that is not Known."""
    if fact == NOT_ASKED:
        yield Verdict(id, "skipped", where, "not asked", ends=ends)
    elif isinstance(fact, Absent):
        remedy = "find out on the node why it is not there, then verify again"
        yield Verdict(id, "fail", where, fact.reason or "absent", "absent", "present", remedy, ends)
    else:
        reason = getattr(fact, "reason", "unknown")
        remedy = "find out on the node why it cannot be read, then verify again"
        yield Verdict(id, "unknown", where, reason, remedy=remedy, ends=ends)


def state(right: bool) -> State:
    """pass or fail."""
    return "pass" if right else "fail"


def words(verdict: Verdict) -> str:
    """A verdict in one line."""
    return f"{verdict.where}: {verdict.said} [{verdict.id}]"
