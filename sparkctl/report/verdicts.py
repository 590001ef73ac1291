"""Verdicts as a table for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparkctl.checks import words
from sparkctl.outcome import State, Verdict

STYLE: dict[State, str] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "skipped": "dim",
    "unknown": "magenta",
}


def wrong(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Those that make a command end with exit code 7."""
    return tuple(v for v in verdicts if v.state in ("fail", "unknown"))


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """The table, then what to do about whatever is wrong."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "check", "where", "measured", "expected"):
        table.add_column(title, overflow="fold")
    for v in verdicts:
        measured = v.measured or v.message
        mark = f"[{STYLE[v.state]}]{v.state}[/]"
        table.add_row(mark, v.id, escape(v.where), escape(measured), escape(v.expected))
    console.print(table)
    for v in wrong(verdicts):
        console.print(f"[bold red]{v.state}[/] {escape(words(v))}")
        if v.remedy:
            console.print(f"  [bold]do:[/] {escape(v.remedy)}")
    console.print(summary(verdicts))


def summary(verdicts: Sequence[Verdict]) -> str:
    """`12 pass, 1 fail, 4 skipped`."""
    states: tuple[State, ...] = ("pass", "warn", "fail", "unknown", "skipped")
    counts = {state: sum(v.state == state for v in verdicts) for state in states}
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n)


def as_values(verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """For `--json`."""
    return [asdict(v) for v in verdicts]
