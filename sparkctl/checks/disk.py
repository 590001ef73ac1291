"""Check of disks: room for the engine's image and the model."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import KIB_PER_GIB, STAGE, known, skipped, surveyed, unread
from sparkctl.outcome import Verdict


@check("disk-floor", STAGE, survey=True)
def disk(view: View) -> Iterator[Verdict]:
    """Images and models find room where they go: a full disk breaks the next pull, not the running engine (ff 41)."""
    facts = surveyed(view, lambda survey: survey.space)
    yield from unread("disk-floor", "disk space", facts)
    floor = view.thresholds.disk_floor
    for node, spaces in known(facts).items():
        measured = ", ".join(f"{it.path} {it.free / KIB_PER_GIB:.1f} GiB" for it in spaces) or "no folder"
        if view.expect == "lab" or not spaces:
            yield skipped("disk-floor", node, f"{measured}: an emulated node has not the disk of a Spark")
            continue
        low = [it.path for it in spaces if it.free / KIB_PER_GIB < floor]
        remedy = f"on {node}: `docker system df`, `docker image prune`; then models that are not used" if low else ""
        expected = f"at least {floor:g} GiB free"
        yield Verdict("disk-floor", "warn" if low else "pass", node, "disk space", measured, expected, remedy)
