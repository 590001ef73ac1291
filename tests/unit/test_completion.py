"""What a shell completes, asked as a shell asks, and what `explain WORD` finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparkctl.cli.main import app

SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))
DUAL = str(Path(__file__).resolve().parents[2] / "inventories/dual.yaml")


def completed(line: str) -> list[str]:
    """What bash is told for the last word of a line."""
    words = line.split(" ")
    asked = {"_SPARKCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ran = subprocess.run([SPARKCTL], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60)
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("sparkctl explain TOP01", {"TOP010", "TOP012"}),
        ("sparkctl explain rail-m", {"rail-mtu"}),
        (f"sparkctl cluster reprovision {DUAL} --node spark-", {"spark-1", "spark-2"}),
        (f"sparkctl lab ssh {DUAL} ", {"spark-1", "spark-2"}),
        (f"sparkctl cluster verify {DUAL} --only engine-", {"engine-unit", "engine-canary"}),
        (f"sparkctl cluster up {DUAL} --only ", {"network", "engine"}),
        ("sparkctl inventory init --topology m", {"mesh"}),
    ],
)
def test_a_shell_completes(line: str, some: set[str]) -> None:
    assert some <= set(completed(line))


def test_what_cannot_be_read_completes_to_nothing() -> None:
    assert completed("sparkctl cluster reprovision /nonexistent.yaml --node ") == []


def test_a_word_finds_the_pages_that_say_it() -> None:
    found = CliRunner().invoke(app, ["explain", "jumbo"])
    assert found.exit_code == 0 and "* rail-mtu:" in found.output and "* SEC001" not in found.output
    for nothing in ("xyzzy", " ", ""):
        assert CliRunner().invoke(app, ["explain", nothing]).exit_code == 2
    assert "did you mean" in CliRunner().invoke(app, ["explain", "TOP03"]).output
