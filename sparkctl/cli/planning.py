"""What the verbs that run a plan share: playbook, wishes, the plan shown, the question, the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkctl.cli.opening import Desk
    from sparkctl.execute.session import Session
    from sparkctl.plan.diff import Wishes
    from sparkctl.plan.plan import Plan
    from sparkctl.plan.playbook import Playbook


def chosen(playbook: Path | None, only: str | None, default: str) -> Playbook:
    """The playbook that was named, or the shipped one; with one stage left where that was asked for."""
    from sparkctl.plan.playbook import load

    return load(playbook or default).only(only)


def wished(take_over: bool = False, force: list[str] | None = None, nodes: list[str] | None = None) -> Wishes:
    """What was asked for besides the inventory."""
    from sparkctl.plan.diff import Wishes

    return Wishes(take_over, frozenset(force or ()), frozenset(nodes) if nodes else None)


def show_plan(plan: Plan, desk: Desk) -> None:
    """Print and keep the plan."""
    from sparkctl.report.plan import print_plan

    desk.fields["plan"] = plan.model_dump(mode="json")
    print_plan(plan, desk.people, diffs=not desk.quiet)


def agreed(question: str, yes: bool, desk: Desk) -> None:
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


def save(plan: Plan, output: Path) -> None:
    """Write the plan as JSON, mode 0600: it shows what is on the nodes."""
    from sparkctl.errors import UsageError

    try:
        output.write_text(plan.model_dump_json(indent=1) + "\n", encoding="utf-8")
        output.chmod(0o600)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror}", "name another file") from None


def loaded(path: Path, session: Session) -> Plan:
    """A saved plan of this cluster; UsageError says what is wrong with it."""
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


async def carry_out(session: Session, desk: Desk, made: Plan, playbook: Playbook) -> None:
    """Run a plan that was agreed to and prove the result."""
    await session.execute(made, playbook)
    desk.show(await session.proven(playbook))
    show_completion(session, desk)


async def still_serving(session: Session, desk: Desk, playbook: Playbook) -> None:
    """Nothing to do is a claim about the files and units; the canary proves the rest."""
    if session.cluster.engine is not None and playbook.engine() is not None:
        desk.show(await session.serving())
        show_completion(session, desk)


def show_completion(session: Session, desk: Desk) -> None:
    """What the engine answered."""
    if session.answer is None:
        return
    answer = session.answer
    desk.fields["completion"] = {"text": answer.text, "tokens": answer.tokens, "seconds": answer.seconds}
    ranks = len(session.cluster.nodes)
    desk.people.print(f"[bold]{ranks} nodes completed[/] ({answer.tokens} tokens, {answer.seconds:.2f} s):", end=" ")
    desk.people.print(repr(answer.text), markup=False)


def show_silent(silent: dict[str, str], desk: Desk) -> None:
    """Nodes that do not answer, with why."""
    desk.fields["silent"] = silent
    for node, reason in silent.items():
        desk.progress.print(f"[yellow]{node} does not answer and is left for later:[/] {reason}")


def left_for_later(silent: dict[str, str]) -> None:
    """Unfinished where a node did not answer."""
    from sparkctl.errors import Unfinished

    if silent:
        names = ", ".join(silent)
        raise Unfinished(f"{names} did not answer: whatever sparkctl put there is still there", "run it again later")
