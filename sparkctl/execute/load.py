"""What `verify --load` measures: RDMA between the nodes, then an all-gather over all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from sparkctl.execute.allgather_test import all_gather, holders
from sparkctl.execute.rdma_test import load
from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster
from sparkctl.loadtest.results import Load
from sparkctl.ssh.fleet import Fleet

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
    held = holders(facts) if gather else ""
    found = await load(fleet, fabric, facts, quick=quick, emulated=emulated, held=held) if rdma else Load()
    return replace(found, gathered=await all_gather(fleet, cluster, fabric, facts, quick=quick)) if gather else found
