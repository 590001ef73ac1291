"""The nodes of a cluster as they were found, a row each: login, engine, rails and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sparkctl.checks.base import NODE_OFF, end
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster, Node
from sparkctl.outcome import Absent, Known, Verdict
from sparkctl.report.door import say
from sparkctl.report.verdicts import wrong

if TYPE_CHECKING:
    from rich.console import Console

NOT_KNOWN = "?"
KIB_PER_GIB = 1024 * 1024


def print_nodes(
    cluster: Cluster, fabric: Fabric, facts: Mapping[str, NodeFacts], verdicts: Sequence[Verdict], console: Console
) -> None:
    """A headline and the table; what is not known is `?`, and never right."""
    bad = wrong(verdicts)
    engine = cluster.engine
    serves = f"  {engine.served_model_name or engine.model} {engine.parallel}" if engine else ""
    state = ("DEGRADED", "bold red") if bad else ("ok", "green")
    say(console, (cluster.name, "bold"), "  ", state, serves)
    rails = tuple(dict.fromkeys((a.half.port, a.rail) for a in fabric.attachments))
    head = ["NODE", "RANK", "SSH", *(["ENGINE"] if engine else []), *(f"{p} RAIL {r}" for p, r in rails), "MEM FREE"]
    rows = [head, *(list(_row(node, cluster, fabric, facts[node.name], bad, rails)) for node in cluster.nodes)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say(console, "  ".join(f"{cell:<{width}}" for cell, width in zip(row, wide, strict=True)).rstrip())


def _row(
    node: Node,
    cluster: Cluster,
    fabric: Fabric,
    facts: NodeFacts,
    bad: Sequence[Verdict],
    rails: Sequence[tuple[str, str]],
) -> Iterator[str]:
    yield node.name
    yield str(node.rank)
    yield "off" if any(v.id == NODE_OFF and v.where == node.name for v in bad) else "ok"
    if cluster.engine:
        unit = facts.unit
        yield unit.value.active if isinstance(unit, Known) else "absent" if isinstance(unit, Absent) else NOT_KNOWN
    mine = {(a.half.port, a.rail): a for a in fabric.of(node.name)}
    yield from (_rail(mine[rail], facts, bad) if rail in mine else "-" for rail in rails)
    system = facts.system
    yield f"{system.value.memory_available / KIB_PER_GIB:.0f} GiB" if isinstance(system, Known) else NOT_KNOWN


def _rail(here: Attachment, facts: NodeFacts, bad: Sequence[Verdict]) -> str:
    """`ok`, or what is wrong: the link, or the first check that failed there."""
    netdev = facts.netdev(here.netdev)
    if not isinstance(netdev, Known):
        return "no netdev" if isinstance(netdev, Absent) else NOT_KNOWN
    return next((v.id for v in bad if end(here) in v.ends), "ok") if netdev.value.lit else "no link"
