"""`sparkctl cluster ...`: plan, up, down, status, verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.options import Lab, Only, Output, PlaybookPath, Quiet, SavedPlan, Verbose, Yes
from sparkctl.cli.terminal import InventoryPath, Json, NoColor

if TYPE_CHECKING:
    from sparkctl.cli.opening import Desk
    from sparkctl.execute.session import Session
    from sparkctl.plan.plan import Plan
    from sparkctl.plan.playbook import Playbook

app = typer.Typer(no_args_is_help=True, help="Plan, bring up, prove and tear down a cluster.")

def _chosen(playbook: Path | None, only: str | None, default: str) -> Playbook:
    from sparkctl.plan.playbook import load

    return load(playbook or default).only(only)


def _show_plan(plan: Plan, desk: Desk) -> None:
    from sparkctl.report.plan import print_plan

    desk.fields["plan"] = plan.model_dump(mode="json")
    print_plan(plan, desk.people, diffs=not desk.quiet)


def _agreed(question: str, yes: bool, desk: Desk) -> None:
    """Ask, unless told not to; without a terminal nothing is guessed."""
    import sys

    from sparkctl.errors import Refused, UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", "add --yes, or --dry-run to only look")
    desk.progress.print(f"[bold]{question}[/] \\[y/N] ", end="")
    if _answer().strip().lower() not in ("y", "yes"):
        raise Refused("not agreed; nothing was changed")


def _answer() -> str:
    """A line from the terminal. The event loop has taken Ctrl-C over; at a question it means no."""
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input()
    except (KeyboardInterrupt, EOFError):
        return "no"
    finally:
        signal.signal(signal.SIGINT, before)


@app.command()
def plan(
    inventory: InventoryPath,
    output: Output = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 10 when there are changes.")] = False,
    only: Only = None,
    playbook: PlaybookPath = None,
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
        made = await session.plan(_chosen(playbook, only, "up"))
        _show_plan(made, desk)
        if output is not None:
            _save(made, output)
        if exit_code and not made.empty:
            raise typer.Exit(10)

    run("plan", Desk(inventory, lab, json, no_color, quiet, verbose), work)


def _save(plan: Plan, output: Path) -> None:
    from sparkctl.errors import UsageError

    try:
        output.write_text(plan.model_dump_json(indent=1) + "\n", encoding="utf-8")
        output.chmod(0o600)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror}", "name another file") from None


def _loaded(path: Path, session: Session) -> Plan:
    from pydantic import ValidationError

    from sparkctl.errors import UsageError
    from sparkctl.plan.plan import Plan

    try:
        made = Plan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path}: not a saved plan: {reason}", "make one with `cluster plan -o`") from None
    if made.cluster != session.cluster.name:
        raise UsageError(f"{path} is a plan for cluster {made.cluster!r}, not {session.cluster.name!r}")
    return made


@app.command()
def up(
    inventory: InventoryPath,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop at the plan.")] = False,
    saved: SavedPlan = None,
    only: Only = None,
    playbook: PlaybookPath = None,
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
    from sparkctl.execute.session import SHOWN_TOKENS

    async def work(session: Session, desk: Desk) -> None:
        chosen = _chosen(playbook, only, "up")
        made = _loaded(saved, session) if saved else await session.plan(chosen)
        _show_plan(made, desk)
        if dry_run:
            return
        if made.empty:
            await _still_serving(session, desk, chosen)
            return
        _agreed(f"change {', '.join(made.changed_nodes)}?", yes, desk)
        await session.execute(made, chosen)
        desk.show(await session.verdicts(pings=True, tokens=SHOWN_TOKENS))
        _show_completion(session, desk)

    run("up", Desk(inventory, lab, json, no_color, quiet, verbose), work)


async def _still_serving(session: Session, desk: Desk, playbook: Playbook) -> None:
    """Nothing to do is a claim about the files and units; the canary proves the rest."""
    if session.cluster.engine is not None and playbook.engine() is not None:
        desk.show(await session.serving())
        _show_completion(session, desk)


def _show_completion(session: Session, desk: Desk) -> None:
    if session.answer is None:
        return
    answer = session.answer
    desk.fields["completion"] = {"text": answer.text, "tokens": answer.tokens, "seconds": answer.seconds}
    ranks = len(session.cluster.nodes)
    desk.people.print(f"[bold]{ranks} nodes completed[/] ({answer.tokens} tokens, {answer.seconds:.2f} s):", end=" ")
    desk.people.print(repr(answer.text), markup=False)


@app.command()
def down(
    inventory: InventoryPath,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop at the plan.")] = False,
    playbook: PlaybookPath = None,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put every node back to what it was before sparkctl came: files, addresses, MTU, link state, units.

    A file that somebody edited since is left alone and named. The nodes hold the record: any machine with the
    inventory can do this.

    Examples:

      sparkctl cluster down inventories/dual.yaml

      sparkctl cluster down inventories/dual.yaml --dry-run
    """
    from sparkctl.cli.opening import Desk, run

    async def work(session: Session, desk: Desk) -> None:
        made = await session.plan_down()
        _show_plan(made, desk)
        if dry_run or made.empty:
            return
        _agreed(f"put {', '.join(made.changed_nodes)} back?", yes, desk)
        await session.execute(made, _chosen(playbook, None, "down"))
        but = " (but for what is noted above)" if made.notes else ""
        desk.people.print(f"[green]every node is as it was before sparkctl came[/]{but}")

    run("down", Desk(inventory, lab, json, no_color, quiet, verbose), work)


def _look(verb: str, desk: Desk, *, pings: bool) -> None:
    """Read, judge, show; ChecksFailed when something is not right."""
    from sparkctl.cli.opening import run

    async def work(session: Session, desk: Desk) -> None:
        desk.show(await session.verdicts(pings=pings))
        _show_completion(session, desk)

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


@app.command()
def verify(
    inventory: InventoryPath,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """All that `status` shows, and full-size pings along every rail in both directions; exit 7 when one fails.

    Examples:

      sparkctl cluster verify inventories/dual.yaml

      sparkctl cluster verify inventories/dual.yaml --lab
    """
    from sparkctl.cli.opening import Desk

    _look("verify", Desk(inventory, lab, json, no_color, quiet, verbose), pings=True)
