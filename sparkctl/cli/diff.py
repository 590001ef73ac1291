"""`sparkctl cluster diff`: drift of a running cluster against its inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sparkctl.cli.desk import Desk, at_a_desk

if TYPE_CHECKING:
    from sparkctl.execute.site import Site

DRIFTED = 10


@at_a_desk
def diff(desk: Desk) -> None:
    """Show what on the nodes is not as the inventory says, and what to do about it; exit 10 when there is any.

    Files with the difference, modes and owners, netplan files of other tools, MTU, addresses, routes, links, units,
    images. Only reads. A node that cannot be read is said, and is never taken for one without drift.

    Examples:

      sparkctl cluster diff

      sparkctl cluster diff --json | jq '.drift[] | [.node, .kind, .subject]'
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.plan_verbs import drifted
    from sparkctl.report.drift import as_values, print_drift

    async def work(site: Site) -> None:
        found = await drifted(site)
        desk.fields["drift"] = as_values(found)
        print_drift(found, len(site.cluster.nodes), desk.people)
        if found:
            raise typer.Exit(DRIFTED)

    run("diff", desk, work)
