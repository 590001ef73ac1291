"""What the verbs that run a plan share: playbook, wishes, the plan shown, the question, the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.inventory.words import counted, visible
from sparkctl.report.door import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sparkctl.cli.desk import Desk
    from sparkctl.commands.canary import Answer
    from sparkctl.execute.plan_verbs import Planned
    from sparkctl.execute.site import Site
    from sparkctl.plan.diff import Wishes
    from sparkctl.plan.playbook import Playbook
    from sparkctl.plan.receipt import Receipt


def chosen(playbook: Path | None, only: str | None, default: str) -> Playbook:
    """The playbook that was named, or the shipped one; with one stage left where that was asked for."""
    from sparkctl.plan.playbook import load

    return load(playbook or default).only(only)


def wished(take_over: bool = False, force: list[str] | None = None, nodes: list[str] | None = None) -> Wishes:
    """What was asked for besides the inventory."""
    from sparkctl.plan.diff import Wishes

    return Wishes(take_over, frozenset(force or ()), frozenset(nodes) if nodes else None)


def show_plan(made: Planned, desk: Desk, whole: bool = False) -> None:
    """Print and keep the plan, and what stands in its way; on a terminal in short, unless the `whole` is wanted."""
    from dataclasses import asdict

    from sparkctl.report.plan import print_plan

    desk.fields["plan"] = made.plan.model_dump(mode="json")
    desk.fields["blocked"] = [asdict(block) for block in made.blocked]
    diffs, short = whole or not desk.quiet, desk.people.file.isatty() and not (whole or desk.verbose)
    print_plan(made.plan, desk.people, diffs=diffs, short=short, silent=made.silent, blocked=made.blocked)


def agreed(question: str, yes: bool, desk: Desk) -> None:
    """Ask, unless told not to; without a terminal nothing is guessed."""
    import sys

    from sparkctl.errors import Refused, UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", "add --yes, or --dry-run to only look")
    say(desk.progress, (question, "bold"), " [y/N] ", end="")
    if _answer().strip().lower() not in ("y", "yes"):
        raise Refused("you did not agree; nothing was changed")


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


def save(receipt: Receipt, output: Path) -> None:
    """Write the plan as JSON, mode 0600: it shows what is on the nodes."""
    from sparkctl.cli import places

    places.write(output, receipt.text())


async def planned_up(
    site: Site, saved: Path | None, playbook: Path | None, only: str | None, wishes: Wishes
) -> Planned:
    """The plan of `up`: made now, in either case; with a saved one it must be that one."""
    from sparkctl.errors import UsageError
    from sparkctl.execute.plan_verbs import accept, plan_up
    from sparkctl.plan.diff import PLAIN

    if saved is None:
        return await plan_up(site, chosen(playbook, only, "up"), wishes)
    if playbook or only or wishes != PLAIN:
        remedy = "give --only, --playbook and the like to `sparkctl cluster plan -o plan.json`"
        raise UsageError("a saved plan knows its options", remedy)
    return await accept(site, _receipt(saved))


def _receipt(path: Path) -> Receipt:
    from sparkctl.errors import UsageError
    from sparkctl.plan.receipt import LARGEST, MAKE, read

    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", MAKE) from None
    return read(content, str(path))


async def carry_out(site: Site, made: Planned, desk: Desk) -> None:
    """Run a plan that was agreed to and prove the result."""
    from sparkctl.execute.apply import apply, proven

    found = await proven(site, made, await apply(site, made))
    desk.show(found.verdicts)
    show_completion(site, found.answer, desk)
    if found.answer is not None:
        show_way(site, desk)


async def still_serving(site: Site, made: Planned, desk: Desk) -> None:
    """Nothing to do is a claim about the files and units; the canary proves the rest."""
    from sparkctl.execute.verify import serving

    if site.cluster.engine is not None and made.playbook.engine() is not None:
        found = await serving(site, made.facts)
        desk.show(found.verdicts)
        show_completion(site, found.answer, desk)
        show_way(site, desk)


def show_completion(site: Site, answer: Answer | None, desk: Desk) -> None:
    """What the engine answered."""
    if answer is None:
        return
    desk.fields["completion"] = {"text": answer.text, "tokens": answer.tokens, "seconds": answer.seconds}
    by = f"computed by {counted(len(site.cluster.nodes), 'node')}: '{visible(answer.text)}'"
    took = f" {counted(answer.tokens, 'token')} in {answer.seconds:.2f} s, {by}"
    say(desk.people, ("the engine answered:", "bold"), took)


def show_way(site: Site, desk: Desk) -> None:
    """How to use what is served, and what comes next."""
    from dataclasses import asdict

    from sparkctl.report.serving import way

    intent = site.cluster.engine
    if intent is not None:
        found = way(site.cluster, intent, _near(intent.api_key_file), _inside(site) if desk.lab else ())
        desk.fields["api"] = asdict(found)
        say(desk.people, (f"{site.cluster.name} serves {found.model} at {found.url}", "bold"))
        say(desk.people, f"  {found.curl}", wrap=False)
        if found.key_file:
            say(desk.people, f"  the key: {found.key_file}", wrap=False)
    say(desk.people, "prove it:", " `sparkctl cluster verify`")
    say(desk.people, "look at it:", " `sparkctl cluster status`")
    say(desk.people, "put it back:", " `sparkctl cluster down`")


def _near(path: str | None) -> str | None:
    """Relative where it is below this folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if path and Path(path).is_relative_to(here) else path


def _inside(site: Site) -> tuple[str, ...]:
    from sparkctl.lab.enter import inside
    from sparkctl.lab.state import find

    return inside(find(site.cluster.name))


def show_silent(silent: Mapping[str, str], desk: Desk) -> None:
    """Nodes that do not answer, with why."""
    desk.fields["silent"] = dict(silent)
    for node, reason in silent.items():
        say(desk.progress, (f"{node} does not answer and is left for later:", "yellow"), f" {reason}")


def accepted(losses: list[str] | None, nodes: Iterable[str]) -> dict[str, set[str]]:
    """Paths by node, of NODE:PATH; UsageError where that is none."""
    from sparkctl.errors import UsageError

    found: dict[str, set[str]] = {node: set() for node in nodes}
    for loss in losses or ():
        node, _, path = loss.partition(":")
        if node not in found or not path.startswith("/"):
            raise UsageError(f"--accept-loss {loss}: not NODE:PATH", f"NODE is one of {', '.join(found)}")
        found[node].add(path)
    return found


def left_for_later(
    silent: Mapping[str, str],
    left: Mapping[str, Mapping[str, str]] = {},
    lost: tuple[str, ...] = (),
) -> None:
    """Unfinished where a node did not answer, or something could not be put back."""
    from sparkctl.commands.shell import hint
    from sparkctl.errors import Unfinished

    lines = [f"{node}: {path} is left as it is: {why}" for node, paths in left.items() for path, why in paths.items()]
    lines += [f"{each} did not come back" for each in lost]
    remedies = []
    if left:
        given_up = [f"{node}:{path}" for node, paths in left.items() for path in paths]
        losses = [word for each in given_up for word in ("--accept-loss", each)]
        remedies.append(f"fix the cause and run it again; or give these up: {hint('cluster', 'down', *losses)}")
    if lost:
        remedies.append("give these to `ip ... add` yourself")
    if silent:
        lines.append(f"{', '.join(silent)} did not answer: whatever sparkctl put there is still there")
        remedies.append("run it again later")
    if lines:
        raise Unfinished("\n  ".join(lines), "; ".join(remedies))
