"""Which perftest a node has: `ib_write_bw --version` to its version."""

from __future__ import annotations

import re

from sparkctl.facts.base import Probe

PORT = 18515
"""The first TCP port of a load test: perftest\'s own default."""
PROBE = Probe("perftest", ("perftest_version",), ("facts/host.sh",))


def parse(text: str) -> str:
    """The version after `Version:`, such as 6.06; warnings of libibverbs may stand around it."""
    found = re.search(
        r"^[ \t]{0,8}Version:[ \t]{0,8}(\d{1,4}(?:\.\d{1,6}){1,3})(?![\d.])", text, re.MULTILINE | re.ASCII
    )
    if not found:
        raise ValueError("no version")
    return found[1]
