"""Every folder of cases/findings is an inventory and exactly the findings it gives; `--golden` rewrites them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding
from sparkctl.study import study_text

CASES = sorted((Path(__file__).parents[1] / "cases/findings").iterdir())
DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"), {"/cluster/open.key"}.__contains__)
Golden = Callable[[Path, str | bytes], None]


def judged(case: Path) -> tuple[Finding, ...]:
    return study_text((case / "inventory.yaml").read_bytes(), "inventory.yaml", DESK).findings


def shown(finding: Finding) -> dict[str, object]:
    place = f"{finding.location.line}:{finding.location.column}"
    return {
        "id": finding.id,
        "severity": finding.severity,
        "where": finding.where,
        "place": place,
        "message": finding.message,
        "remedy": finding.remedy,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, golden: Golden) -> None:
    found = judged(case)
    golden(case / "expected.json", json.dumps([shown(f) for f in found], indent=2) + "\n")
    assert list(found) == sorted(found, key=lambda f: f.sort_key)
