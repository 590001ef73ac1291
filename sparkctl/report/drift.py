"""Drift for people: node by node, what was expected, what was found, what to do; and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from sparkctl.inventory.words import counted, visible
from sparkctl.plan.drift import Drift
from sparkctl.report.door import say

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_drift(found: Sequence[Drift], nodes: int, console: Console) -> None:
    """All drift with the differences of files; one line where there is none."""
    if not found:
        say(console, ("no drift:", "green"), f" {counted(nodes, 'node')} as the inventory says")
        return
    for node, group in groupby(sorted(found, key=lambda d: d.node), key=lambda d: d.node):
        say(console, (node, "bold"))
        for drift in group:
            _print_one(drift, console)
    say(console, summary(found))


def _print_one(drift: Drift, console: Console) -> None:
    kind = "magenta" if drift.kind == "unreadable" else "yellow"
    subject, found, expected, remedy = map(visible, (drift.subject, drift.found, drift.expected, drift.remedy))
    say(console, (f"  {drift.kind}", kind), f" {subject}: {found}", wrap=False)
    say(console, ("      expected:", "dim"), f" {expected}", wrap=False)
    for line in drift.lines:
        say(console, (f"      {visible(line)}", STYLES.get(line[:1], "dim")), wrap=False)
    say(console, ("      do:", "bold"), f" {remedy}", wrap=False)


def summary(found: Sequence[Drift]) -> str:
    """`3 differences on 2 nodes`, and what could not be read."""
    unread = sum(d.kind == "unreadable" for d in found)
    count, nodes = len(found) - unread, len({d.node for d in found if d.kind != "unreadable"})
    words = f"{counted(count, 'difference')} on {counted(nodes, 'node')}"
    return words + (f"; {unread} could not be read" if unread else "")


def as_values(found: Sequence[Drift]) -> list[dict[str, object]]:
    """For `--json`."""
    return [asdict(drift) for drift in found]
