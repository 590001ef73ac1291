"""`sparkctl cluster ...`: plan, up, down, status, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli import diff, repair, verify
from sparkctl.cli.options import (
    DryRun,
    Force,
    Lab,
    Only,
    Output,
    PlaybookPath,
    Quiet,
    SavedPlan,
    TakeOver,
    Verbose,
    Yes,
)
from sparkctl.cli.planning import (
    agreed,
    carry_out,
    chosen,
    left_for_later,
    loaded,
    save,
    show_completion,
    show_plan,
    show_silent,
    still_serving,
    wished,
)
from sparkctl.cli.terminal import InventoryPath, Json, NoColor

if TYPE_CHECKING:
    from sparkctl.cli.opening import Desk
    from sparkctl.execute.session import Session

app = typer.Typer(no_args_is_help=True, help="Plan, bring up, prove, repair and tear down a cluster.")


@app.command()
def plan(
    inventory: InventoryPath,
    output: Output = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 10 when there are changes.")] = False,
    only: Only = None,
    playbook: PlaybookPath = None,
    take_over: TakeOver = False,
    force_path: Force = None,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what `up` would change, why, how risky it is, and how it is undone. Only reads.

    Examples:

      sparkctl cluster plan inventories/dual.yaml

      sparkctl cluster plan inventories/dual.yaml -o plan.json     review it, then: cluster up --plan plan.json

      sparkctl cluster plan inventories/dual.yaml --exit-code      10 when there are changes, for CI
    """
    from sparkctl.cli.opening import Desk, run

    async def work(session: Session, desk: Desk) -> None:
        made = await session.plan(chosen(playbook, only, "up"), wished(take_over, force_path))
        show_plan(made, desk)
        if output is not None:
            save(made, output)
        if exit_code and not made.empty:
            raise typer.Exit(10)

    run("plan", Desk(inventory, lab, json, no_color, quiet, verbose), work)


@app.command()
def up(
    inventory: InventoryPath,
    yes: Yes = False,
    dry_run: DryRun = False,
    saved: SavedPlan = None,
    only: Only = None,
    playbook: PlaybookPath = None,
    take_over: TakeOver = False,
    force_path: Force = None,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make the cluster what the inventory says, as one transaction, and prove it with a real token.

    Any failure, a lost connection or a dead controller puts every node back (exit 5). Run it again: nothing to do.

    Examples:

      sparkctl cluster up inventories/dual.yaml

      sparkctl cluster up inventories/dual.yaml --dry-run           the plan, nothing else

      sparkctl cluster up inventories/dual.yaml --lab --yes         rehearse on emulated nodes

      sparkctl cluster up inventories/dual.yaml --only network      the fabric without the engine
    """
    from sparkctl.cli.opening import Desk, run

    async def work(session: Session, desk: Desk) -> None:
        book = chosen(playbook, only, "up")
        made = loaded(saved, session) if saved else await session.plan(book, wished(take_over, force_path))
        show_plan(made, desk)
        if dry_run:
            return
        if made.empty:
            await still_serving(session, desk, book)
            return
        agreed(f"change {', '.join(made.changed_nodes)}?", yes, desk)
        await carry_out(session, desk, made, book)

    run("up", Desk(inventory, lab, json, no_color, quiet, verbose), work)


@app.command()
def down(
    inventory: InventoryPath,
    yes: Yes = False,
    dry_run: DryRun = False,
    playbook: PlaybookPath = None,
    force_path: Force = None,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put every node back to what it was before sparkctl came: files, addresses, MTU, link state, units.

    A file that somebody edited since is left alone and named. A node that does not answer is left for later (exit 6):
    run it again when the node is back. The nodes hold the record: any machine with the inventory can do this.

    Examples:

      sparkctl cluster down inventories/dual.yaml

      sparkctl cluster down inventories/dual.yaml --dry-run
    """
    from sparkctl.cli.opening import Desk, run

    async def work(session: Session, desk: Desk) -> None:
        made, silent = await session.plan_down(wished(force=force_path))
        show_plan(made, desk)
        show_silent(silent, desk)
        if dry_run:
            return
        if not made.empty:
            agreed(f"put {', '.join(made.changed_nodes)} back?", yes, desk)
            await session.execute(made, chosen(playbook, None, "down"))
        left_for_later(silent)
        if not made.empty:
            but = " (but for what is noted above)" if made.notes else ""
            desk.people.print(f"[green]every node is as it was before sparkctl came[/]{but}")

    run("down", Desk(inventory, lab, json, no_color, quiet, verbose), work)


def _look(verb: str, desk: Desk, *, pings: bool) -> None:
    """Read, judge, show; ChecksFailed when something is not right."""
    from sparkctl.cli.opening import run

    async def work(session: Session, desk: Desk) -> None:
        desk.show(await session.verdicts(pings=pings))
        show_completion(session, desk)

    run(verb, desk, work)


@app.command()
def status(
    inventory: InventoryPath,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show every rank, every rail, the engine and one real token; exit 7 when something is not right. Two round trips.

    Examples:

      sparkctl cluster status inventories/dual.yaml

      sparkctl cluster status inventories/dual.yaml --json
    """
    from sparkctl.cli.opening import Desk

    _look("status", Desk(inventory, lab, json, no_color, quiet, verbose), pings=False)


repair.register(app)
diff.register(app)
verify.register(app)
