"""`sparkctl cluster diff`: drift of a running cluster against its inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sparkctl.cli.options import Lab, Quiet, Verbose
from sparkctl.cli.terminal import InventoryPath, Json, NoColor

if TYPE_CHECKING:
    from sparkctl.cli.opening import Desk
    from sparkctl.execute.session import Session

DRIFTED = 10


def register(app: typer.Typer) -> None:
    """Add this verb to `sparkctl cluster`."""
    app.command("diff")(diff)


def diff(
    inventory: InventoryPath,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what on the nodes is not as the inventory says, and what to do about it; exit 10 when there is any.

    Files with the difference, modes and owners, netplan files of other tools, MTU, addresses, routes, links, units,
    images. Only reads. A node that cannot be read is said, and is never taken for one without drift.

    Examples:

      sparkctl cluster diff inventories/dual.yaml

      sparkctl cluster diff inventories/dual.yaml --json | jq '.drift[] | [.node, .kind, .subject]'
    """
    from sparkctl.cli.opening import Desk, run
    from sparkctl.report.drift import as_values, print_drift

    async def work(session: Session, desk: Desk) -> None:
        found = await session.drift()
        desk.fields["drift"] = as_values(found)
        print_drift(found, len(session.cluster.nodes), desk.people)
        if found:
            raise typer.Exit(DRIFTED)

    run("diff", Desk(inventory, lab, json, no_color, quiet, verbose), work)
