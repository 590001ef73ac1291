"""Says of each suite what it proved and took, and ends with one line that counts; fails when a suite is missing.

total.py FOLDER SUITE...: FOLDER has SUITE.xml (JUnit), and SUITE.seconds of all that were timed.
"""

from __future__ import annotations

import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def count(path: Path) -> Counter[str]:
    """Tests, failures (errors too) and skips of one file; a file that is missing is a failure."""
    total: Counter[str] = Counter(failed=0 if path.is_file() else 1)
    for suite in ElementTree.parse(path).iter("testsuite") if path.is_file() else ():
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total.update(failed=failed, skipped=skipped, passed=int(suite.get("tests", 0)) - failed - skipped)
    return total


def seconds(path: Path) -> int:
    """What a suite took; 0 when nobody looked at the clock."""
    return int(path.read_text()) if path.is_file() else 0


def main(where: str, *suites: str) -> int:
    """Print a line for each suite and the sum; 1 when a test failed or a suite had none."""
    folder = Path(where)
    counts = {suite: count(folder / f"{suite}.xml") for suite in suites}
    for suite, one in counts.items():
        took = seconds(folder / f"{suite}.seconds")
        print(f"{suite:>10}: {one['passed']} passed, {one['failed']} failed, {one['skipped']} skipped, {took} s")
    for other in sorted(path for path in folder.glob("*.seconds") if path.stem not in suites):
        print(f"{other.stem:>10}: {seconds(other)} s")
    total = sum(counts.values(), Counter[str]())
    wall = time.time() - (folder / "before.json").stat().st_mtime
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped in {wall / 60:.1f} minutes")
    return 1 if total["failed"] or not all(one["passed"] for one in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
