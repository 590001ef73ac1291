"""Options that several cluster commands share."""

from __future__ import annotations

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
    Path | None, typer.Option("--plan", metavar="FILE", help="Run exactly this saved plan.", show_default=False)
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
Nodes = Annotated[
    list[str] | None, typer.Option("--node", metavar="NAME", help="Only this node; repeatable.", show_default=False)
]
