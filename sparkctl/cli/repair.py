"""`sparkctl cluster recover | reprovision`: after a controller or a node died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.desk import Desk, at_a_desk
from sparkctl.cli.options import Diff, DryRun, Force, Nodes, Only, PlaybookPath, TakeOver, Yes
from sparkctl.cli.planning import agreed, carry_out, chosen, left_for_later, show_plan, show_silent, wished
from sparkctl.inventory.words import visible
from sparkctl.report.door import say

if TYPE_CHECKING:
    from sparkctl.execute.site import Site
    from sparkctl.plan.recovery import Recovery

BreakLock = Annotated[
    bool,
    typer.Option(
        "--break-lock", help="Do not wait for the lease: the controller that holds the lock is dead for certain."
    ),
]


@at_a_desk
def recover(
    desk: Desk,
    yes: Yes = False,
    dry_run: DryRun = False,
    break_lock: BreakLock = False,
) -> None:
    """Clean up after an interrupted run: complete it if every node had confirmed, otherwise roll all nodes back.

    Any machine with the inventory can do this. A journal that is cut off, corrupt or of another cluster stops it.

    Examples:

      sparkctl cluster recover

      sparkctl cluster recover --dry-run  # say which way it would go

      sparkctl cluster recover --break-lock  # do not wait until the dead run's lease has ended
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.recover import found as dead_run
    from sparkctl.execute.recover import recover as end_it

    async def work(site: Site) -> None:
        found, silent = await dead_run(site)
        show_silent(silent, desk)
        if found is None:
            desk.fields["recovered"] = "nothing"
            say(desk.people, "no interrupted run on any node that answers")
            left_for_later(silent)
            return
        _show(found, desk)
        if dry_run:
            left_for_later(silent)
            return
        agreed(f"{_verb(found)} on {', '.join(found.nodes)}?", yes, desk)
        await end_it(site, found, silent, break_lock=break_lock)
        desk.fields["recovered"] = found.direction
        say(desk.people, (_past(found), "green"))
        left_for_later(silent)

    run("recover", desk, work)


def _show(found: Recovery, desk: Desk) -> None:
    header = found.header
    what = f"run {header.run} ({header.action} by {header.owner})" if header else "a run"
    desk.fields["recovery"] = {"direction": found.direction, "reason": found.reason, "nodes": list(found.nodes)}
    say(desk.people, f"{what} was interrupted on {', '.join(found.nodes)}: {visible(found.reason)}")
    say(desk.people, f"so it is to be {'finished' if found.direction == 'finish' else 'undone'}")


def _verb(found: Recovery) -> str:
    return "finish it" if found.direction == "finish" else "put everything back"


def _past(found: Recovery) -> str:
    if found.direction == "finish":
        return "finished: every node is as the run wanted it"
    return "undone: every node is as it was before the run"


@at_a_desk
def reprovision(
    desk: Desk,
    node: Nodes = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    only: Only = None,
    playbook: PlaybookPath = None,
    take_over: TakeOver = False,
    force_path: Force = None,
) -> None:
    """Let a replaced or re-flashed node join the cluster again; files and network of the others are not touched.

    Without --node: every node that has no record while others have one. Where an engine runs, all ranks start again,
    because a gang cannot take back a lost rank. After a re-flash: `sparkctl inventory trust --replace NODE` first.

    Examples:

      sparkctl cluster reprovision

      sparkctl cluster reprovision --node spark-2 --dry-run
    """
    from sparkctl.cli.opening import run
    from sparkctl.execute.plan_verbs import plan_reprovision

    async def work(site: Site) -> None:
        _known(node, site)
        made = await plan_reprovision(site, chosen(playbook, only, "up"), wished(take_over, force_path, node))
        show_plan(made, desk, diff)
        made.refuse_blocked()
        if dry_run or made.plan.empty:
            return
        agreed(f"change {', '.join(made.plan.changed_nodes)}?", yes, desk)
        await carry_out(site, made, desk)

    run("reprovision", desk, work)


def _known(nodes: list[str] | None, site: Site) -> None:
    from sparkctl.errors import UsageError

    names = [node.name for node in site.cluster.nodes]
    strangers = [node for node in nodes or () if node not in names]
    if strangers:
        raise UsageError(f"there is no node {', '.join(strangers)}", f"the inventory has {', '.join(names)}")
