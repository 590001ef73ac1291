"""Check of memory: enough is left to start an engine, and beside one that runs, without freezing the node."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sparkctl.checks.base import View, check, state
from sparkctl.checks.hosts import KIB_PER_GIB, STAGE, at_rest, known, skipped, surveyed, unread
from sparkctl.engines import engine_of
from sparkctl.facts.host import Memory
from sparkctl.outcome import State, Verdict

ID = "memory-floor"


@check(ID, STAGE, survey=True)
def memory(view: View) -> Iterator[Verdict]:
    """Each node has memory left: CUDA, page cache and desktop share it, and none left is a freeze (facts ff6)."""
    facts = surveyed(view, lambda survey: survey.memory)
    yield from unread(ID, "memory", facts)
    for node, it in known(facts).items():
        measured = f"{it.available / KIB_PER_GIB:.1f} GiB available of {it.total / KIB_PER_GIB:.1f}"
        if view.expect == "lab":
            yield skipped(ID, node, "emulated nodes do not have a Spark's memory")
        elif at_rest(view, node):
            yield _before(view, node, it, measured)
        else:
            yield _beside(view, node, it, measured)


def _before(view: View, node: str, it: Memory, measured: str) -> Verdict:
    """What an engine claims at its start must be free: it refuses to start with less (facts F2)."""
    floor, share = view.thresholds.memory_floor * KIB_PER_GIB, _share(view)
    need = max(floor, math.ceil(it.total * share))
    right = it.available >= need
    remedy = "" if right else _who(node)
    expected = f"at least {need / KIB_PER_GIB:.4g} GiB available"
    if need > floor:
        expected += f", the {share:g} of it that the engine takes at its start"
        remedy += "" if right else "; or lower gpu_memory_utilization"
    return Verdict(ID, state(right), node, "memory", measured, expected, remedy)


def _share(view: View) -> float:
    """Of the memory, what the engine asks for at once; 0 where there is none, or it takes what it finds."""
    engine = view.cluster.engine
    if engine is None or engine.accelerator == "cpu":
        return 0.0
    memory = engine_of(engine.kind).memory(engine)
    return memory.share if memory.claimed and memory.of == "total" else 0.0


def _beside(view: View, node: str, it: Memory, measured: str) -> Verdict:
    """What an engine at work leaves: it has what it takes, so little is a risk and next to nothing a fault."""
    free, limits = it.available / KIB_PER_GIB, view.thresholds
    odd: State = "fail" if free < limits.memory_last else "warn"
    right = free >= limits.memory_floor
    remedy = "" if right else f"{_who(node)}; or lower gpu_memory_utilization, then `sparkctl cluster up`"
    expected = f"at least {limits.memory_floor:g} GiB available, fails below {limits.memory_last:g}"
    return Verdict(ID, "pass" if right else odd, node, "memory", measured, expected, remedy)


def _who(node: str) -> str:
    return f"see what takes it on {node} (a desktop?): `ps -eo rss,comm --sort=-rss | head`, `nvidia-smi`"
