"""Check of disks: room for the engine's image and the model."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import KIB_PER_GIB, STAGE, known, skipped, surveyed, unread
from sparkctl.facts.host import Space
from sparkctl.outcome import Verdict


@check("disk-floor", STAGE, survey=True)
def disk(view: View) -> Iterator[Verdict]:
    """Images and models find room where they go: a full disk breaks the next pull, no running engine (facts ff41)."""
    facts = surveyed(view, lambda survey: survey.space)
    yield from unread("disk-floor", "disk space", facts)
    for node, spaces in known(facts).items():
        if view.expect == "lab" or not spaces:
            reason = "emulated nodes do not have a Spark's disk" if view.expect == "lab" else "no folder to look at"
            yield skipped("disk-floor", node, reason)
            continue
        yield from (_silent(node, it.path) for it in spaces if it.free is None)
        if _measured(spaces):
            yield _judged(node, spaces, view.thresholds.disk_floor)


def _judged(node: str, spaces: tuple[Space, ...], floor: float) -> Verdict:
    low = any(it.free is not None and it.free / KIB_PER_GIB < floor for it in spaces)
    remedy = f"on {node}: `docker system df`, `docker image prune`; then models that are not used" if low else ""
    expected = f"at least {floor:g} GiB free"
    return Verdict("disk-floor", "warn" if low else "pass", node, "disk space", _measured(spaces), expected, remedy)


def _silent(node: str, path: str) -> Verdict:
    # findmnt and df would hang as well
    remedy = f"on {node}: `grep -E 'nfs|cifs|fuse' /proc/mounts` tells whose it is; repair that, or `sudo umount -l` it"
    return Verdict("disk-floor", "unknown", node, f"{path} does not answer: a dead network mount?", remedy=remedy)


def _measured(spaces: tuple[Space, ...]) -> str:
    return ", ".join(f"{it.path} {it.free / KIB_PER_GIB:.1f} GiB" for it in spaces if it.free is not None)
