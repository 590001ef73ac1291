"""Check of memory: enough is left to start an engine without freezing the node."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, state
from sparkctl.checks.hosts import KIB_PER_GIB, STAGE, known, skipped, surveyed, unread
from sparkctl.outcome import Verdict


@check("memory-floor", STAGE, survey=True)
def memory(view: View) -> Iterator[Verdict]:
    """Each node has memory left: CUDA, the page cache and the desktop share it, and none left is a freeze (ff 6)."""
    facts = surveyed(view, lambda survey: survey.memory)
    yield from unread("memory-floor", "memory", facts)
    floor = view.thresholds.memory_floor
    for node, it in known(facts).items():
        free = it.available / KIB_PER_GIB
        measured = f"{free:.1f} GiB available of {it.total / KIB_PER_GIB:.1f}"
        if view.expect == "lab":
            yield skipped("memory-floor", node, f"{measured}: an emulated node has not the memory of a Spark")
            continue
        right = free >= floor
        remedy = (
            ""
            if right
            else f"see what takes it on {node}: `ps -eo rss,comm --sort=-rss | head`, `nvidia-smi`; a desktop?"
        )
        expected = f"at least {floor:g} GiB available"
        yield Verdict("memory-floor", state(right), node, "memory", measured, expected, remedy)
