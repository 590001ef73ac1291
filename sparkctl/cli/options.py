"""Options that several cluster commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sparkctl.cli.completion import CHECK_IDS, NODE_NAMES, STAGES, Completer


def asked(names: str, metavar: str, help: str, complete: Completer | None = None) -> Any:
    """An option with a value of its own, and no default to show."""
    return typer.Option(*names.split(), metavar=metavar, help=help, show_default=False, autocompletion=complete)


Lab = Annotated[bool, typer.Option("--lab", help="Talk to the emulated twin (see `sparkctl lab up`).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, errors and one line of progress.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Every step on every node, every log line, every line of a plan.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Only = Annotated[str | None, asked("--only", "STAGE", "Only one stage: network or engine.", STAGES)]
PlaybookPath = Annotated[
    Path | None, asked("--playbook", "FILE", "A playbook of your own instead of the built-in one.")
]
SavedPlan = Annotated[Path | None, asked("--plan", "FILE", "Apply this saved plan, if it is still what would be done.")]
Output = Annotated[Path | None, asked("--output -o", "FILE", "Save the plan as JSON.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show every line of every file that changes.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Move what others have for the fabric's netdevs aside until teardown.")
]
Force = Annotated[
    list[str] | None,
    asked("--force-path", "PATH", "Overwrite PATH on the nodes even if somebody has edited it there; repeatable."),
]
AcceptLoss = Annotated[
    list[str] | None,
    asked("--accept-loss", "NODE:PATH", "Give up a file that was here before and cannot be put back; repeatable."),
]
Nodes = Annotated[list[str] | None, asked("--node", "NAME", "Only this node; repeatable.", NODE_NAMES)]


class Expect(StrEnum):
    """What the machines can show."""

    real = "real"
    lab = "lab"


class VerdictsFormat(StrEnum):
    """How verdicts are printed."""

    table = "table"
    json = "json"
    junit = "junit"


Load = Annotated[bool, typer.Option("--load", help="Also run RDMA tests on every rail and an all-gather of all ranks.")]
Quick = Annotated[bool, typer.Option("--quick", help="With --load: shorter tests.")]
Expected = Annotated[
    Expect | None,
    typer.Option(
        "--expect", help="lab: do not judge speeds, PCIe links and GPUs.", show_default="real; lab with --lab"
    ),
]
Threshold = Annotated[list[str] | None, asked("--threshold", "NAME=VALUE", "Use another limit; repeatable.")]
Format = Annotated[VerdictsFormat, typer.Option("--format", help="For people, for programs, for CI services.")]
HtmlFile = Annotated[Path | None, asked("--html", "FILE", "Also write a page with the fabric drawn.")]
SaveFolder = Annotated[Path | None, asked("--save", "DIR", "Keep report and raw answers, without secrets.")]
CompareWith = Annotated[Path | None, asked("--compare", "OLD", "What changed since this JSON or --save folder.")]
OnlyChecks = Annotated[list[str] | None, asked("--only", "ID", "Only this check; repeatable.", CHECK_IDS)]
