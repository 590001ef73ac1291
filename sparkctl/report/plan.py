"""A plan for people: what changes on which node, why, how risky, the difference of every file, and the way back."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from sparkctl.inventory.words import counted
from sparkctl.plan.changes import Change
from sparkctl.plan.plan import Plan

RISK_WORDS = {
    "none": "no risk for what runs",
    "restart": "restarts the engine",
    "link-drop": "fabric links drop for a moment",
    "lock-out": "could cut the way to a node",
}


def print_plan(plan: Plan, console: Console, *, diffs: bool = True) -> None:
    """The whole plan; without `diffs` only its lines."""
    for note in plan.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    if plan.empty:
        but = " (but for what is noted above)" if plan.notes else ""
        console.print(f"[green]nothing to do:[/] {plan.cluster} is as it should be{but}")
        return
    for number, step in enumerate(plan.steps, 1):
        console.print(f"[bold]{number}. {escape(step.title)}[/]")
        for node, changes in step.changes.items():
            for change in changes:
                _print_change(node, change, console, diffs)
    _print_safety(plan, console)


def _print_change(node: str, change: Change, console: Console, diffs: bool) -> None:
    risk = "" if change.risk == "none" else f" [yellow]({change.risk})[/]"
    console.print(f"   {node}: {escape(change.summary)}{risk} [dim]because {escape(change.reason)}[/]")
    for line in change.details() if diffs else ():
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        console.print(f"      [{style}]{escape(line)}[/]")


def _print_safety(plan: Plan, console: Console) -> None:
    total = sum(1 for node in plan.nodes for _ in plan.of(node))
    where = f"[bold]{counted(total, 'change')} on {counted(len(plan.changed_nodes), 'node')}[/]"
    console.print(f"{where}; highest risk: {plan.risk} ({RISK_WORDS[plan.risk]})")
    console.print("undo: every node keeps before-images and a timer of its own; any failure, a lost connection")
    console.print("      or a dead controller puts all nodes back, the last step first")
    stays = {c.summary for node in plan.nodes for c in plan.of(node) if not c.reversible}
    for summary in sorted(stays):
        console.print(f"[yellow]not undone:[/] {escape(summary)}")
