"""The levels of tests: each runs something of every file, lanes say what failed and what each took, and nothing is counted that did not run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = """
.PHONY: one two bad slow
one two slow:
	@[ $@ != slow ] || sleep 1.5
	@echo "made $@" | tee -a made
bad:
	@exit 3
"""
XML = '<testsuites><testsuite name="pytest" errors="{errors}" failures="0" skipped="1" tests="{tests}" time="1.5"/></testsuites>'


def marked(level: str) -> str:
    """What the Makefile leaves out at a level."""
    (found,) = re.findall(rf"^MARKED_{level} := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    return found


def collected(level: str) -> set[str]:
    """Files with a test that runs at this level."""
    line = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "-m", marked(level)]
    ran = subprocess.run([*line, "tests/lab", "tests/scenario"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return set(re.findall(r"^(tests/\S+\.py): [1-9]", ran.stdout, re.M))


def test_make_test_runs_something_of_every_file_and_test_all_more() -> None:
    there = {str(path.relative_to(ROOT)) for suite in ("lab", "scenario") for path in ROOT.glob(f"tests/{suite}/**/test_*.py")}
    assert collected("short") == there
    assert marked("short") != marked("all") and "long" in marked("all")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of nothing but the scripts of the levels."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    return tmp_path


def lanes(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run([place / ".ci/lanes", *words], env=plain, capture_output=True, text=True, timeout=60)


def test_lanes_run_beside_each_other_and_say_what_each_took(place: Path) -> None:
    ran = lanes(place, "one", "/", "slow", "two")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (place / "made").read_text().split() == ["made", "one", "made", "slow", "made", "two"]
    assert [f"<== {name}: " in ran.stdout for name in ("one", "slow", "two")] == [True] * 3
    assert int((place / ".make/slow.seconds").read_text()) >= 1


@pytest.mark.parametrize("words", [("bad", "one", "/", "two"), ("one", "/", "bad", "two")], ids=["first", "other"])
def test_what_fails_stops_nothing_and_is_not_forgotten(words: tuple[str, ...], place: Path) -> None:
    ran = lanes(place, *words)
    assert ran.returncode == 1
    assert sorted((place / "made").read_text().split()) == ["made", "made", "one", "two"]


def total(place: Path, *suites: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, place / ".ci/total.py", place, *suites], capture_output=True, text=True, timeout=60)


def test_the_sum_counts_every_suite_with_its_seconds(place: Path) -> None:
    (place / "before.json").touch()
    for name, tests in (("lab", 5), ("fast", 7)):
        (place / f"{name}.xml").write_text(XML.format(tests=tests, errors=0))
        (place / f"{name}.seconds").write_text("42\n")
    (place / "lint.seconds").write_text("9\n")
    ran = total(place, "lab", "fast")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "lab: 4 passed, 0 failed, 1 skipped, 42 s" in ran.stdout and "lint: 9 s" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("10 passed, 0 failed, 2 skipped in 0.")


@pytest.mark.parametrize(("errors", "tests"), [(1, 5), (0, 1)], ids=["an error", "all skipped"])
def test_a_suite_that_failed_or_proved_nothing_fails_the_sum(errors: int, tests: int, place: Path) -> None:
    (place / "before.json").touch()
    (place / "lab.xml").write_text(XML.format(tests=tests, errors=errors))
    assert total(place, "lab").returncode == 1


def test_a_suite_that_left_no_result_fails_the_sum(place: Path) -> None:
    (place / "before.json").touch()
    (place / "fast.xml").write_text(XML.format(tests=3, errors=0))
    ran = total(place, "fast", "lab")
    assert ran.returncode == 1 and "lab: 0 passed, 1 failed" in ran.stdout
