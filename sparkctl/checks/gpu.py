"""Check of the GPU's clock: a node that is held back holds back all ranks."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check
from sparkctl.checks.hosts import STAGE, known, skipped, surveyed, unasked, unreadable
from sparkctl.checks.thresholds import Thresholds
from sparkctl.facts.host import Gpu
from sparkctl.outcome import Absent, Unknown, Verdict

HELD = ("hardware slowdown", "software thermal slowdown", "hardware thermal slowdown", "hardware power brake")
"""Reasons that a healthy node never has; power caps and clock settings can be somebody's choice."""
EXPECTED = "the clock of the other nodes, nothing that holds it back"
REMEDY = (
    "shut {node} down, unplug its power supply for 60 s, use the supply and the cable that came with it, let it cool; "
    "`nvidia-smi -q -d PERFORMANCE,POWER` under load tells; if it stays, it is a case for the maker"
)
SICK = (
    "reboot {node}; if it stays, shut it down, unplug its power supply for 60 s; `sudo dmesg | grep -i xid` tells why; "
    "if it comes back, it is a case for the maker"
)


@check("gpu-clock", STAGE, survey=True)
def gpu(view: View) -> Iterator[Verdict]:
    """No GPU is sick, throttled, or far slower than those of the other nodes while it works (facts ff25)."""
    facts = surveyed(view, lambda survey: survey.gpus)
    fastest = max((clock for gpus in known(facts).values() for clock in _clocks(gpus)), default=0)
    for node, fact in facts.items():
        if isinstance(fact, Unknown):
            yield unreadable("gpu-clock", node, "GPU", fact)
        elif fact == NOT_ASKED:
            yield unasked("gpu-clock", node)
        elif isinstance(fact, Absent):
            yield _without(view, node, fact)
        else:
            yield from (_judged(node, gpu, fastest, view.thresholds) for gpu in fact.value)


def _clocks(gpus: tuple[Gpu, ...]) -> list[int]:
    return [gpu.clock for gpu in gpus if gpu.clock is not None and not gpu.idle]


def _without(view: View, node: str, fact: Absent) -> Verdict:
    """A Spark has a GPU; emulated nodes have no GPU, and nobody to compare with."""
    reason = fact.reason or "no GPU"
    if view.expect == "lab":
        return skipped("gpu-clock", node, "emulated nodes have no GPU")
    remedy = f"on {node}: `sudo dmesg | grep -i nvrm` tells why no driver runs; sudo apt full-upgrade, then reboot"
    return Verdict("gpu-clock", "warn", node, reason, "no GPU", "a GPU", remedy)


def _judged(node: str, gpu: Gpu, fastest: int, limits: Thresholds) -> Verdict:
    clock = "clock not known" if gpu.clock is None else f"{gpu.clock} MHz"
    power = [] if gpu.power is None else [f"{gpu.power:.1f} W"]
    shown = ", ".join([clock, *power, *(["idle"] if gpu.idle else []), *gpu.reasons])
    if gpu.fault:
        said = f"nvidia-smi says: {gpu.fault}"
        return Verdict("gpu-clock", "warn", node, said, shown, "figures", SICK.format(node=node))
    held = [reason for reason in gpu.reasons if reason in HELD]
    if held:
        return Verdict("gpu-clock", "warn", node, "throttled", shown, EXPECTED, REMEDY.format(node=node))
    expected = _too_slow(gpu, fastest, limits)
    if expected:
        said = "slow, and no reason given"
        return Verdict("gpu-clock", "warn", node, said, shown, expected, REMEDY.format(node=node))
    return Verdict("gpu-clock", "pass", node, gpu.name, shown, EXPECTED)


def _too_slow(gpu: Gpu, fastest: int, limits: Thresholds) -> str:
    """What would be fast enough; empty where it is, or nobody knows."""
    if gpu.clock is None or gpu.idle:
        return ""
    if gpu.clock < limits.clock_ratio * fastest:
        return f"{limits.clock_ratio * fastest:.0f} MHz at least: the fastest runs at {fastest}"
    if gpu.clock_max is not None and gpu.clock < limits.clock_floor * gpu.clock_max:
        return f"{limits.clock_floor * gpu.clock_max:.0f} of {gpu.clock_max} MHz at least"
    return ""
