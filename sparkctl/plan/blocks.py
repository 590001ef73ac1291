"""What stands in the way of a plan and no file can change: a cable out, a node off, no disk, a port that is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Known, RailEnd, Verdict
from sparkctl.plan.changes import ImageChange, Stage
from sparkctl.plan.plan import Plan

ALL: tuple[Stage, ...] = ("network", "engine")
FULL = 16
"""KiB: with less a disk is full, as templates/checkpoint/node.sh has it."""
KIB_PER_GIB = 1024 * 1024


@dataclass(frozen=True)
class Block:
    """Why `stages` of a plan cannot be made now; `where`: a node or an end of a rail."""

    stages: tuple[Stage, ...]
    where: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.cause}"


def off(silent: Mapping[str, str]) -> Iterator[Block]:
    """Nodes that did not answer."""
    for node, why in silent.items():
        remedy = f"switch {node} on, or repair its management network, then run this again"
        yield Block(ALL, node, f"does not answer: {why}", remedy)


def dark(verdicts: Iterable[Verdict]) -> frozenset[RailEnd]:
    """Of the verdicts on carriers, the ends that are up without one."""
    return frozenset(e for v in verdicts if v.missing == "carrier" for e in v.ends)


def links(verdicts: Iterable[Verdict], twice: Iterable[RailEnd], fabric: Fabric) -> Iterator[Block]:
    """Netdevs that are not there, and cables without a link at an end that was dark `twice`; each cable once.

    A netdev that is down is brought up by the plan, and judged then.
    """
    seen: set[object] = set()
    seen_twice = frozenset(twice)
    for verdict in verdicts:
        missing = verdict.missing == "netdev"
        if not (missing or seen_twice & {*verdict.ends}):
            continue
        cable = verdict.where if missing else _cable(verdict.ends[0], fabric)
        if cable not in seen:
            yield Block(ALL, verdict.where, verdict.message, verdict.remedy)
        seen.add(cable)


def _cable(at: RailEnd, fabric: Fabric) -> object:
    found = (c for c in fabric.cables if (at.node, at.port) in ((c.a.owner, c.a.port), (c.b.owner, c.b.port)))
    return next(found, at)


def taken(facts: Mapping[str, NodeFacts]) -> Iterator[Block]:
    """Ports of the engine that another program holds. Where our own unit or container runs, it is ours."""
    for node, known in facts.items():
        for each in known.holders.value if isinstance(known.holders, Known) and not _ours(known) else ():
            remedy = f"stop it on {node}, or give the engine another port"
            yield Block(("engine",), node, f"port {each.port} is taken by {each}", remedy)


def _ours(facts: NodeFacts) -> bool:
    """Between two starts (`activating`) our engine holds nothing yet."""
    unit, container = facts.unit, facts.container
    holds = isinstance(unit, Known) and unit.value.active in ("active", "reloading", "deactivating")
    return holds or (isinstance(container, Known) and container.value.status == "running")


def full(plan: Plan, facts: Mapping[str, NodeFacts], image_room: float) -> Iterator[Block]:
    """Disks without room for a run, or with less than `image_room` GiB for an image that is to be fetched."""
    for node, known in facts.items():
        free = known.room.value if isinstance(known.room, Known) else None
        fetched = any(isinstance(change, ImageChange) for change in plan.of(node))
        remedy = f"on {node}: `docker system df`, `docker image prune`; then models that are not used"
        if free is not None and free < FULL:
            yield Block(ALL, node, f"No space left: {free} KiB free on the filesystem of /var/lib", remedy)
        elif free is not None and fetched and free < image_room * KIB_PER_GIB:
            cause = f"{free / KIB_PER_GIB:.1f} GiB free below /var/lib: no room for the image ({image_room:g} GiB)"
            yield Block(("engine",), node, cause, f"{remedy}; a small image: `image_room` of the playbook")


def arrivals(plan: Plan, facts: Mapping[str, NodeFacts]) -> Iterator[Block]:
    """SSH that comes in over a netdev that the plan changes: it would cut its own connection."""
    for node, known in facts.items():
        arrival = known.arrival.value if isinstance(known.arrival, Known) else None
        for target in (t for change in plan.network(node) for t in change.netdevs):
            here = known.netdev(target.netdev)
            shown = (*here.value.addresses, *here.value.link_local) if isinstance(here, Known) else ()
            if arrival in [address.partition("/")[0] for address in shown]:
                kept = target.after_address in target.before_addresses
                does = "changes" if kept else "renumbers"
                cause = f"SSH to {node} arrives on {target.netdev}, which this plan {does}"
                yield Block(("network",), node, cause, f"write the management address of {node} into the inventory")
