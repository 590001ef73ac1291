"""What a check sees, and the registry of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sparkctl.checks.thresholds import DEFAULTS, Thresholds
from sparkctl.commands.canary import Answer
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.trials import Load
from sparkctl.inventory.model import Cluster
from sparkctl.outcome import Absent, Fact, State, Verdict
from sparkctl.render.artifact import NodeRendering

NOT_ASKED = Absent("not asked")


@dataclass(frozen=True)
class View:
    """One moment of a cluster. `canary` Absent: it was not asked for; Unknown: no token came.

    `skews`: (least, most) seconds that each node's clock is ahead of the controller's. `load`: None without load tests.
    `expect` lab: what this machine cannot show (speed, PCIe links, GPUs) is not judged, and the verdict says so.
    """

    cluster: Cluster
    fabric: Fabric
    rendering: Mapping[str, NodeRendering]
    facts: Mapping[str, NodeFacts]
    canary: Fact[Answer] = NOT_ASKED
    overlays: tuple[str, ...] = ()
    stages: frozenset[str] = field(default_factory=lambda: frozenset({"network", "engine"}))
    skews: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    load: Load | None = None
    thresholds: Thresholds = DEFAULTS
    expect: Literal["real", "lab"] = "real"


Check: TypeAlias = Callable[[View], Iterable[Verdict]]
CHECKS: dict[str, Check] = {}
STAGES: dict[str, str] = {}


def check(id: str, stage: str) -> Callable[[Check], Check]:
    """Register a check under its id and the stage that it proves."""

    def register(function: Check) -> Check:
        CHECKS[id], STAGES[id] = function, stage
        return function

    return register


def judge(view: View) -> tuple[Verdict, ...]:
    """Every check of the view's stages, in order of registration."""
    return tuple(v for id, run in CHECKS.items() if STAGES[id] in view.stages for v in run(view))


def rail(attachment: Attachment) -> str:
    """How a verdict names one end of a rail."""
    return f"{attachment.node} {attachment.half.port} rail {attachment.rail}"


def unreadable(id: str, where: str, fact: Fact[object]) -> Iterator[Verdict]:
    """The verdict on a fact that is not Known."""
    if isinstance(fact, Absent):
        yield Verdict(id, "fail", where, fact.reason, "absent", "present", "plug the cable in, or wake the port")
    else:
        yield Verdict(id, "unknown", where, getattr(fact, "reason", "unknown"), remedy="look at the node by hand")


def state(right: bool) -> State:
    """pass or fail."""
    return "pass" if right else "fail"


def words(verdict: Verdict) -> str:
    """A verdict in one line."""
    measured = f"{verdict.measured}, expected {verdict.expected}" if verdict.measured else ""
    said = ": ".join(filter(None, (verdict.message, measured)))
    return f"{verdict.where}: {verdict.id}: {said}"
