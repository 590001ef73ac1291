"""The guide to verify lists every check with its stage."""

from __future__ import annotations

import re
from pathlib import Path

from sparkctl.checks import STAGES

GUIDE = Path(__file__).resolve().parents[2] / "docs/guides/verify.md"


def test_the_table_lists_every_check_with_its_stage() -> None:
    table = GUIDE.read_text(encoding="utf-8").partition("## All checks")[2]
    rows = re.findall(r"^\| ([a-z0-9-]+) \| .+ \| ([a-z]+) \|$", table, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a check is listed twice"
    assert dict(rows) == STAGES
