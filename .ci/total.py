"""Adds up the JUnit files of several pytest runs and ends with one line that counts; fails when nothing ran."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def count(path: Path) -> Counter[str]:
    """Tests, failures (errors too) and skips of one file."""
    total: Counter[str] = Counter()
    for suite in ElementTree.parse(path).iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total.update(failed=failed, skipped=skipped, passed=int(suite.get("tests", 0)) - failed - skipped)
    return total


def main(paths: list[str]) -> int:
    """Print a line for each suite and the sum; 1 when a test failed or none passed."""
    counts = {path: count(Path(path)) for path in paths}
    for path, one in counts.items():
        print(f"{Path(path).stem:>10}: {one['passed']} passed, {one['failed']} failed, {one['skipped']} skipped")
    total = sum(counts.values(), Counter[str]())
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not all(one["passed"] for one in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
