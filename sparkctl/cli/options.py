"""Options that several cluster commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Lab = Annotated[bool, typer.Option("--lab", help="Talk to the emulated twin (see `sparkctl lab up`).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Every phase and log line, and the round trips.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Only = Annotated[str | None, typer.Option("--only", metavar="STAGE", help="network or engine.", show_default=False)]
PlaybookPath = Annotated[
    Path | None, typer.Option("--playbook", metavar="FILE", help="Another playbook.", show_default=False)
]
SavedPlan = Annotated[
    Path | None,
    typer.Option(
        "--plan", metavar="FILE", help="Go on only if this saved plan is still what would be done.", show_default=False
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save the plan as JSON.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop at the plan.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Move fabric stanzas of other tools' netplan files aside until teardown.")
]
Force = Annotated[
    list[str] | None,
    typer.Option("--force-path", metavar="PATH", help="A later edit of this file does not win.", show_default=False),
]
AcceptLoss = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-loss",
        metavar="NODE:PATH",
        help="Take this file away although what was there before cannot come back; repeatable.",
        show_default=False,
    ),
]
Nodes = Annotated[
    list[str] | None, typer.Option("--node", metavar="NAME", help="Only this node; repeatable.", show_default=False)
]


class Expect(StrEnum):
    """What the machines can show."""

    real = "real"
    lab = "lab"


class VerdictsFormat(StrEnum):
    """How verdicts are printed."""

    table = "table"
    json = "json"
    junit = "junit"


Load = Annotated[bool, typer.Option("--load", help="RDMA tests on every rail and an all-gather of all ranks, too.")]
Quick = Annotated[bool, typer.Option("--quick", help="With --load: shorter tests.")]
Expected = Annotated[
    Expect | None,
    typer.Option(
        "--expect", help="lab: do not judge speeds, PCIe links and GPUs.", show_default="real; lab with --lab"
    ),
]
Threshold = Annotated[
    list[str] | None,
    typer.Option("--threshold", metavar="NAME=VALUE", help="Another limit; repeatable.", show_default=False),
]
Format = Annotated[VerdictsFormat, typer.Option("--format", help="For people, for programs, for CI services.")]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page with the fabric drawn, too.", show_default=False),
]
SaveFolder = Annotated[
    Path | None,
    typer.Option("--save", metavar="DIR", help="Keep report and raw answers, without secrets.", show_default=False),
]
CompareWith = Annotated[
    Path | None,
    typer.Option("--compare", metavar="OLD", help="What changed since this JSON or --save folder.", show_default=False),
]
OnlyChecks = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ID", help="Only the verdicts of this check; repeatable.", show_default=False),
]
