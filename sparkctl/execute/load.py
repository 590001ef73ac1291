"""What `verify --load` measures: RDMA between the nodes, then an all-gather over all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster
from sparkctl.late import late
from sparkctl.loadtest.results import Load
from sparkctl.ssh.fleet import Fleet

if TYPE_CHECKING:
    from sparkctl.execute import allgather_test, rdma_test
else:
    allgather_test, rdma_test = late("sparkctl.execute.allgather_test"), late("sparkctl.execute.rdma_test")

LoadLevel: TypeAlias = Literal["none", "quick", "full"]
Expect: TypeAlias = Literal["real", "lab"]


async def measured(
    fleet: Fleet,
    cluster: Cluster,
    fabric: Fabric,
    facts: Mapping[str, NodeFacts],
    level: LoadLevel,
    *,
    emulated: bool,
    gather: bool = True,
) -> Load | None:
    """Everything under load; None when nothing was asked for. `gather`: also the all-gather, which needs the image.

    Only who holds the nodes' locks asks without it: everybody else leaves alone what another run works on.
    """
    if level == "none":
        return None
    quick, rdma = level == "quick", cluster.fabric.transport == "roce"
    held = allgather_test.holders(facts) if gather else ""
    found = Load()
    if rdma:
        found = await rdma_test.load(fleet, fabric, facts, quick=quick, emulated=emulated, held=held)
    if not gather:
        return found
    return replace(found, gathered=await allgather_test.all_gather(fleet, cluster, fabric, facts, quick=quick))
