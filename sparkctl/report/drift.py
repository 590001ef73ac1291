"""Drift for people: node by node, what was expected, what was found, what to do; and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from sparkctl.inventory.words import counted
from sparkctl.plan.drift import Drift

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_drift(found: Sequence[Drift], nodes: int, console: Console) -> None:
    """All drift with the differences of files; one line where there is none."""
    if not found:
        console.print(f"[green]no drift:[/] {counted(nodes, 'node')} as the inventory says")
        return
    for node, group in groupby(sorted(found, key=lambda d: d.node), key=lambda d: d.node):
        console.print(f"[bold]{escape(node)}[/]")
        for drift in group:
            _print_one(drift, console)
    console.print(summary(found))


def _print_one(drift: Drift, console: Console) -> None:
    kind = "magenta" if drift.kind == "unreadable" else "yellow"
    console.print(f"  [{kind}]{drift.kind}[/] {escape(drift.subject)}: {escape(drift.found)}", soft_wrap=True)
    console.print(f"      [dim]expected:[/] {escape(drift.expected)}", soft_wrap=True)
    for line in drift.lines:
        style = STYLES.get(line[:1], "dim")
        console.print(f"      [{style}]{escape(line)}[/]", soft_wrap=True)
    console.print(f"      [bold]do:[/] {escape(drift.remedy)}", soft_wrap=True)


def summary(found: Sequence[Drift]) -> str:
    """`3 differences on 2 nodes`, and what could not be read."""
    unread = sum(d.kind == "unreadable" for d in found)
    count, nodes = len(found) - unread, len({d.node for d in found if d.kind != "unreadable"})
    words = f"{counted(count, 'difference')} on {counted(nodes, 'node')}"
    return words + (f"; {unread} could not be read" if unread else "")


def as_values(found: Sequence[Drift]) -> list[dict[str, object]]:
    """For `--json`."""
    return [asdict(drift) for drift in found]
