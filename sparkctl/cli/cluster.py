"""`sparkctl cluster ...`: plan, up, down, status, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli import repair
from sparkctl.cli.desk import Desk, at_a_desk
from sparkctl.cli.diff import diff as drift
from sparkctl.cli.options import AcceptLoss, Diff, DryRun, Force, Only, Output, PlaybookPath, SavedPlan, TakeOver, Yes
from sparkctl.cli.planning import (
    accepted,
    agreed,
    carry_out,
    chosen,
    left_for_later,
    planned_up,
    save,
    show_completion,
    show_plan,
    show_silent,
    still_serving,
    wished,
)
from sparkctl.cli.verify import verify
from sparkctl.report.door import say

if TYPE_CHECKING:
    from sparkctl.execute.site import Site

app = typer.Typer(no_args_is_help=True, help="Plan, bring up, prove, repair and tear down a cluster.")


@app.command()
@at_a_desk
def plan(
    desk: Desk,
    output: Output = None,
    diff: Diff = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 10 when there are changes.")] = False,
    only: Only = None,
    playbook: PlaybookPath = None,
    take_over: TakeOver = False,
    force_path: Force = None,
) -> None:
    """Show what `up` would change, why, how risky it is, and how it is undone. Only reads.

    Examples:

      sparkctl cluster plan

      sparkctl cluster plan -o plan.json  # review it, then: cluster up --plan plan.json

      sparkctl cluster plan --exit-code  # 10 when there are changes, for CI
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.plan_verbs import plan_up

    async def work(site: Site) -> None:
        made = await plan_up(site, chosen(playbook, only, "up"), wished(take_over, force_path))
        show_plan(made, desk, diff or output is not None)
        if output is not None:
            save(made.receipt(site), output)
        made.refuse_blocked()
        if exit_code and not made.plan.empty:
            raise typer.Exit(10)

    run("plan", desk, work)


@app.command()
@at_a_desk
def up(
    desk: Desk,
    yes: Yes = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    saved: SavedPlan = None,
    only: Only = None,
    playbook: PlaybookPath = None,
    take_over: TakeOver = False,
    force_path: Force = None,
) -> None:
    """Make the cluster what the inventory says, as one transaction, and prove it with a real token.

    Any failure, a lost connection or a dead controller puts every node back (exit 5). Run it again: nothing to do.

    Examples:

      sparkctl cluster up

      sparkctl cluster up --dry-run  # the plan, nothing else

      sparkctl cluster up --lab --yes  # rehearse on emulated nodes

      sparkctl cluster up --only network  # the fabric without the engine
    """
    from sparkctl.cli.opening import run

    async def work(site: Site) -> None:
        made = await planned_up(site, saved, playbook, only, wished(take_over, force_path))
        show_plan(made, desk, diff)
        made.refuse_blocked()
        if dry_run:
            return
        if made.plan.empty:
            await still_serving(site, made, desk)
            return
        agreed(f"change {', '.join(made.plan.changed_nodes)}?", yes, desk)
        await carry_out(site, made, desk)

    run("up", desk, work)


@app.command()
@at_a_desk
def down(
    desk: Desk,
    yes: Yes = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    playbook: PlaybookPath = None,
    force_path: Force = None,
    accept_loss: AcceptLoss = None,
) -> None:
    """Put every node back to what it was before sparkctl came: files, addresses, routes, MTU, link state, units.

    A file that somebody edited since is left alone and named. A node that does not answer, and a file whose
    before-image is damaged or refused by netplan, is left for later (exit 6) and all else is put back: run it again
    when the cause is gone. The nodes hold the record: any machine with the inventory can do this.

    Examples:

      sparkctl cluster down

      sparkctl cluster down --dry-run

      sparkctl cluster down --accept-loss spark-2:/etc/netplan/95-sparkctl.yaml
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.apply import apply
    from sparkctl.execute.plan_verbs import plan_down

    async def work(site: Site) -> None:
        given_up = accepted(accept_loss, (node.name for node in site.cluster.nodes))
        made = await plan_down(site, chosen(playbook, None, "down"), wished(force=force_path), given_up)
        show_plan(made, desk, diff)
        show_silent(made.silent, desk)
        if dry_run:
            left_for_later(made.silent, made.left)
            return
        lost: tuple[str, ...] = ()
        if not made.plan.empty:
            agreed(f"put {', '.join(made.plan.changed_nodes)} back?", yes, desk)
            lost = (await apply(site, made)).lost
        left_for_later(made.silent, made.left, lost)
        if not made.plan.empty:
            but = " (but for what is noted above)" if made.plan.notes else ""
            say(desk.people, ("every node is as it was before sparkctl came", "green"), but)
        if desk.lab:
            say(desk.people, "end the lab:", " `sparkctl lab down`")

    run("down", desk, work)


@app.command()
@at_a_desk
def status(desk: Desk) -> None:
    """Show every rank, every rail, the engine and one real token; exit 7 when something is not right. Two round trips.

    Examples:

      sparkctl cluster status

      sparkctl cluster status --json
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.verify import status
    from sparkctl.report.status import print_nodes

    async def work(site: Site) -> None:
        found = await status(site)
        print_nodes(site.cluster, site.fabric, found.facts, found.verdicts, desk.people)
        desk.show(found.verdicts)
        show_completion(site, found.answer, desk)

    run("status", desk, work)


for verb in (repair.recover, repair.reprovision, drift, verify):
    app.command()(verb)
