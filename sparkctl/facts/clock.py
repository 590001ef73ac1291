"""What time a node believes it is: `date +%s.%N` to seconds."""

from __future__ import annotations

import re

from sparkctl.facts.base import Probe

PROBE = Probe("clock", ("clock_state",), ("facts/host.sh",))


def parse(text: str) -> float:
    """Seconds since the epoch with a fraction; ValueError for a date that knows no %N."""
    if not re.fullmatch(r"\d{1,11}\.\d{1,9}", text.strip(), re.ASCII):
        raise ValueError("no seconds with a fraction")
    return float(text)
