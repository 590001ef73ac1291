"""A plan for people: what changes on which node, why, how risky, the difference of every file, and the way back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from sparkctl.inventory.words import counted, visible
from sparkctl.plan.blocks import Block
from sparkctl.plan.changes import Change, FileChange
from sparkctl.plan.plan import Plan, Step
from sparkctl.report.door import Piece, say

if TYPE_CHECKING:
    from rich.console import Console

RISK_WORDS = {
    "none": "no risk for what runs",
    "restart": "restarts the engine",
    "link-drop": "fabric links drop for a moment",
    "lock-out": "could cut the way to a node",
}
OBVIOUS = {
    "not on the node",
    "content differs",
    "the kernel is not as the inventory says",
    "it is not running yet",
    "it was not there before sparkctl",
    "the cluster is torn down",
}
"""Reasons that a short plan leaves out."""


def print_plan(
    plan: Plan,
    console: Console,
    *,
    diffs: bool = True,
    short: bool = False,
    silent: Collection[str] = (),
    blocked: Collection[Block] = (),
) -> None:
    """The whole plan, and what stands in its way; without `diffs` only its lines, and `short` no more than a screen.

    Of `silent` nodes nothing is known, and nothing is claimed.
    """
    for note in plan.notes:
        say(console, ("note:", "yellow"), f" {visible(note)}")
    if plan.empty and not blocked:
        _print_nothing(plan, console, silent)
        return
    for number, step in enumerate(plan.steps, 1):
        say(console, (f"{number}. {step.title}", "bold"))
        for row in _folded(step) if short else ():
            say(console, *row)
        for node, changes in () if short else step.changes.items():
            for change in changes:
                _print_change(node, change, console, diffs)
    if not plan.empty:
        _print_safety(plan, console, short)
    for block in blocked:
        say(console, ("blocked by", "red"), f" {visible(str(block))}")
        say(console, (f"  do: {visible(block.remedy)}", "dim"))


def _print_nothing(plan: Plan, console: Console, silent: Collection[str]) -> None:
    but = " (but for what is noted above)" if plan.notes else ""
    left = plan.action == "down" and any(plan.records.values())
    said = f"{plan.cluster} is as it should be"
    if plan.action == "down":
        said = "nothing more can be put back" if left else f"nothing of sparkctl is on {plan.cluster}"
    if silent:
        said = f"on {', '.join(plan.nodes)}; not known of {', '.join(silent)}, which could not be read"
    say(console, ("nothing to do:", "yellow" if silent or left else "green"), f" {said}{but}")


def _print_change(node: str, change: Change, console: Console, diffs: bool) -> None:
    risk = "" if change.risk == "none" else f" ({change.risk})"
    reason = (f" because {visible(change.reason)}", "dim")
    say(console, f"   {node}: {visible(change.summary)}", (risk, "yellow"), reason)
    for line in change.details() if diffs else ():
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        say(console, (f"      {visible(line)}", style))


def _folded(step: Step) -> Iterator[tuple[str, Piece, Piece]]:
    """A line for each change that is a risk or no plain file; one for all files with one verb and one reason.

    Nodes share a line only where their changes are equal, digests and all.
    """
    nodes: dict[Change, list[str]] = {}
    for node, change in ((node, change) for node, changes in step.changes.items() for change in changes):
        nodes.setdefault(change, []).append(node)
    rows: dict[tuple[str, ...], list[str]] = {}
    for change, where in nodes.items():
        why = "" if change.reason in OBVIOUS else f" because {visible(change.reason)}"
        risk = "" if change.risk == "none" else f" ({change.risk})"
        verb, _, what = change.summary.partition(" ")
        alone = what
        if isinstance(change, FileChange) and not change.aside:
            what, alone = f"{change.path}{_lines(change)}{f' from {change.source}' if change.source else ''}", ""
        rows.setdefault((", ".join(where), verb, risk, why, alone), []).append(visible(what))
    for (names, verb, risk, why, _), said in rows.items():
        yield f"   {names}: {verb} {', '.join(said)}", (risk, "yellow"), (why, "dim")


def _lines(change: FileChange) -> str:
    """How many lines of a file that is there come and go."""
    first = [line[:1] for line in change.details()] if change.before and change.after else []
    return f" (+{first.count('+')} -{first.count('-')})" if "@" in first else ""


def _print_safety(plan: Plan, console: Console, short: bool) -> None:
    total = sum(1 for node in plan.nodes for _ in plan.of(node))
    where = f"{counted(total, 'change')} on {counted(len(plan.changed_nodes), 'node')}"
    say(console, (where, "bold"), f"; highest risk: {plan.risk} ({RISK_WORDS[plan.risk]})")
    if short:
        said = "undo: by itself after any failure, by a timer on every node"
        say(console, said, ("  (--diff shows all)", "dim"))
    else:
        say(console, "undo: every node keeps before-images and a timer of its own; any failure, a lost connection")
        say(console, "      or a dead controller puts all nodes back, the last step first")
    stays = {c.summary for node in plan.nodes for c in plan.of(node) if not c.reversible}
    for summary in sorted(stays):
        say(console, ("not undone:", "yellow"), f" {visible(summary)}")
