"""Checks of RDMA writes: bandwidth of each rail alone in both directions and of both together, then latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sparkctl.checks.base import Measured, View, check
from sparkctl.checks.transport import (
    CAUSES,
    EVERYWHERE,
    LAB,
    SLOWING,
    clockless,
    ends_of,
    loaded,
    trials,
    unasked,
    unmeasured,
)
from sparkctl.fabric.model import Attachment
from sparkctl.loadtest.results import Lane, Load, Measure
from sparkctl.outcome import Known, RailEnd, State, Verdict

Alone: TypeAlias = Mapping[Lane, float]
Fault: TypeAlias = tuple[str, str]
"""The name of a fault and what to do."""
IDLE_SHARE = 0.25
"""Of what both rails move together; a twin that is idle moves next to nothing."""
HALF = 0.65
"""Of NVIDIA's gate for both rails; one half alone moves 98 to 112 of 196 Gb/s (facts ff1 and ff3.4)."""
RECOVERY = (
    "put the final cabling in place, update firmware and system, reboot; if it stays, shut down, pull the power for "
    "60 s and start again, which often helps; then measure again"
)
OFFLOAD = (
    "put all ports of the fabric into one bridge and see the H flag on each (`/interface bridge port print` on "
    "RouterOS): only one bridge is offloaded to hardware"
)


@check("rail-bandwidth", "network", after=CAUSES, slowed=SLOWING, load="measured")
def rail_bandwidth(view: View) -> Iterator[Verdict]:
    """One rail alone moves what a ConnectX-7 half can."""
    yield from unasked(view, "rail-bandwidth")
    load = loaded(view)
    if load is None:
        return
    alone = {trial.lanes[0]: f.value.gbits or 0.0 for trial, (f,) in trials(load, "bandwidth") if isinstance(f, Known)}
    for trial, (fact,) in trials(load, "bandwidth"):
        lane = trial.lanes[0]
        if isinstance(fact, Known):
            yield _alone(view, lane, fact.value, alone)
        else:
            yield unmeasured(view, "rail-bandwidth", str(lane), fact, trial.lanes)


def _alone(view: View, lane: Lane, measure: Measure, alone: Alone) -> Verdict:
    limits, gbits, about = view.thresholds, measure.gbits or 0.0, ends_of((lane,))
    if view.expect == "lab":
        return _ran("rail-bandwidth", str(lane), measure.iterations, gbits, about)
    if measure.gbits is None:
        return clockless("rail-bandwidth", str(lane), (lane,))
    state: State = "pass" if gbits >= limits.rail_pass else "warn" if gbits >= limits.rail_fail else "fail"
    named, remedy = ("one rail alone", "") if state == "pass" else _fault(view, lane, gbits, alone)
    expected = f"at least {limits.rail_pass:g} Gb/s"
    return Measured("rail-bandwidth", state, str(lane), named, f"{gbits:.2f} Gb/s", expected, remedy, about)


def _ran(id: str, where: str, iterations: int, gbits: float, about: tuple[RailEnd, ...]) -> Verdict:
    """A test that moved nothing is no measure (loadtest/perftest_output.py), so it never comes here."""
    return Verdict(id, "pass", where, LAB, f"{gbits:.2f} Gb/s, {iterations} writes", "a measure", ends=about)


def _fault(view: View, lane: Lane, gbits: float, alone: Alone) -> Fault:
    limits = view.thresholds
    if gbits >= limits.rail_fail:
        return (
            "a little slow",
            "see rdma-counters; is MTU 9000 on both ends and the switch? Measure again without other load",
        )
    if _bridged(view, gbits, alone):
        slow = all(each < limits.rail_fail for each in alone.values())
        ports = "" if slow else f" at the port of {_suspects(lane, alone, limits.rail_fail)}"
        return f"a bridge without hardware offload{ports}{_way(lane, alone, limits.rail_fail)}", OFFLOAD
    if gbits <= limits.degraded_high:
        return _degraded(view, lane, gbits, alone)
    return (
        f"slow, {_link(view, lane)}{_way(lane, alone, limits.rail_fail)}",
        "compare pcie-link and rail-speed of both ends; see rdma-counters for loss",
    )


def _degraded(view: View, lane: Lane, gbits: float, alone: Alone) -> Fault:
    """Where a bridge is as slow it may be one; slower than any ConnectX-7 was seen, packets may be lost, too."""
    limits = view.thresholds
    suspects, way = _suspects(lane, alone, limits.rail_fail), _way(lane, alone, limits.rail_fail)
    named, remedy = f"degraded ConnectX-7 state of {suspects}", f"{RECOVERY} ({suspects})"
    if view.fabric.topology == "switch" and gbits < limits.bridge:
        named, remedy = f"{named}, or a bridge without hardware offload at its port", f"{remedy}; else {OFFLOAD}"
    elif gbits < limits.degraded_low:
        remedy = f"{remedy}; where rdma-counters fails, reseat the cable at both ends first"
    return f"{named} ({_link(view, lane)}){way}", remedy


def _bridged(view: View, gbits: float, alone: Alone) -> bool:
    """Through a switch, slower than a degraded ConnectX-7 was seen; or all that goes through it is that slow."""
    limits = view.thresholds
    if view.fabric.topology != "switch" or gbits >= limits.bridge:
        return False
    return gbits < limits.degraded_low or all(each < limits.bridge for each in alone.values())


def _suspects(lane: Lane, alone: Alone, limit: float) -> str:
    """Whichever end is slow with everybody; both where that tells nothing."""
    nodes = (lane.client.node, lane.server.node)
    slow = [node for node in nodes if all(g < limit for each, g in alone.items() if node in _nodes(each))]
    return slow[0] if len(slow) == 1 else " or ".join(sorted(nodes))


def _nodes(lane: Lane) -> tuple[str, str]:
    return lane.client.node, lane.server.node


def _way(lane: Lane, alone: Alone, limit: float) -> str:
    """Which end, where the other direction is fine."""
    back = alone.get(lane.back)
    if back is None or back < limit:
        return ""
    return f"; one direction only: {lane.client.node} sends or {lane.server.node} receives badly ({back:.0f} Gb/s back)"


def _link(view: View, lane: Lane) -> str:
    """What the link itself says: a slow rail on a clean link is a fault of its own."""
    said = [_said(view, end) for end in (lane.client, lane.server)]
    if None in said:
        return "the link's own speed could not be read"
    odd = [text for text in said if text]
    return f"but the link is not clean: {', '.join(odd)}" if odd else "the link says 200G and PCIe x4"


def _said(view: View, end: Attachment) -> str | None:
    fact = view.facts[end.node].survey.ethernet
    found = fact.value.get(end.netdev) if isinstance(fact, Known) else None
    if found is None or found.speed is None or found.pcie_width is None:
        return None
    clean = found.speed >= view.thresholds.speed and found.pcie_width >= view.thresholds.pcie_width
    return "" if clean else f"{end.node} {found.speed} Mb/s, PCIe x{found.pcie_width}"


@check(
    "rails-bandwidth",
    "network",
    after=("rail-bandwidth", *CAUSES),
    slowed=("rail-bandwidth", *SLOWING),
    load="measured",
)
def rails_bandwidth(view: View) -> Iterator[Verdict]:
    """Both rails of a port together pass NVIDIA's gate."""
    yield from unasked(view, "rails-bandwidth")
    load = loaded(view)
    if load is not None:
        yield from _together(view, load) if any(trials(load, "bandwidth", "rails")) else _alone_only(view)


def _alone_only(view: View) -> Iterator[Verdict]:
    one = view.cluster.fabric.rails == "A"
    reason = "the inventory has one rail only (rails: A)" if one else "not measured: verify --load without --quick does"
    yield Verdict("rails-bandwidth", "skipped", EVERYWHERE, reason)


def _together(view: View, load: Load) -> Iterator[Verdict]:
    for trial, facts in trials(load, "bandwidth", "rails"):
        where = str(trial.lanes[0]).replace(" rail A", " rails A and B")
        known = [fact.value for fact in facts if isinstance(fact, Known)]
        if len(known) == len(facts):
            yield _both(view, where, trial.lanes, known)
        else:
            missing = next(fact for fact in facts if not isinstance(fact, Known))
            yield unmeasured(view, "rails-bandwidth", where, missing, trial.lanes)


def _both(view: View, where: str, lanes: tuple[Lane, ...], measures: list[Measure]) -> Verdict:
    shares = [measure.gbits or 0.0 for measure in measures]
    total, about, limit = sum(shares), ends_of(lanes), view.thresholds.rails_pass
    if view.expect == "lab":
        return _ran("rails-bandwidth", where, min(m.iterations for m in measures), total, about)
    if any(measure.gbits is None for measure in measures):
        return clockless("rails-bandwidth", where, lanes)
    named, remedy = ("both rails together", "") if total >= limit else _lame(view, lanes, shares)
    measured = f"{total:.2f} Gb/s ({' + '.join(f'{share:.2f}' for share in shares)})"
    state: State = "pass" if total >= limit else "fail"
    return Measured("rails-bandwidth", state, where, named, measured, f"at least {limit:g} Gb/s", remedy, about)


def _lame(view: View, lanes: tuple[Lane, ...], shares: list[float]) -> Fault:
    """Why two rails, each fine alone, are slow together."""
    total, limits = sum(shares), view.thresholds
    if view.fabric.topology == "switch" and total < limits.bridge:
        return "a bridge without hardware offload", OFFLOAD
    least = min(range(len(shares)), key=lambda k: shares[k])
    if shares[least] <= IDLE_SHARE * total:
        idle = lanes[least].client
        remedy = f"see pcie-link, roce-device and rail-gid of rail {idle.rail} at both ends; reboot {idle.node}"
        return f"one twin idle: rail {idle.rail} ({idle.half.rdma} of {idle.node}) moved next to nothing", remedy
    if total <= HALF * limits.rails_pass:
        remedy = "see pcie-link of both ends: each rail has a PCIe Gen5 x4 of its own; BIOS and firmware up to date?"
        return "half rate: both rails share what one should have, as if one twin were idle", remedy
    return "each rail is fine alone, both together are slow", "MTU 9000 everywhere? See rdma-counters and pcie-link"


@check(
    "rail-latency", "network", after=("rail-bandwidth", *CAUSES), slowed=("rail-bandwidth", *SLOWING), load="measured"
)
def latency(view: View) -> Iterator[Verdict]:
    """A write of two bytes arrives within some microseconds."""
    yield from unasked(view, "rail-latency")
    load = loaded(view)
    if load is None:
        return
    if not any(trials(load, "latency")):
        reason = "not measured: verify --load without --quick does"
        yield Verdict("rail-latency", "skipped", EVERYWHERE, reason)
    for trial, (fact,) in trials(load, "latency"):
        if isinstance(fact, Known):
            yield _latency(view, trial.lanes[0], fact.value)
        else:
            yield unmeasured(view, "rail-latency", str(trial.lanes[0]), fact, trial.lanes)


def _latency(view: View, lane: Lane, measure: Measure) -> Verdict:
    limit, typical, about = view.thresholds.latency, measure.microseconds, ends_of((lane,))
    if view.expect == "lab":
        said = f"{measure.iterations} writes" if typical is None else f"{typical:.2f} us, {measure.iterations} writes"
        return Verdict("rail-latency", "pass", str(lane), LAB, said, "a measure", ends=about)
    if typical is None:
        return clockless("rail-latency", str(lane), (lane,))
    state: State = "pass" if typical <= limit else "warn"
    remedy = "" if state == "pass" else "is another load on these nodes, or a long way through switches? Measure again"
    measured, expected = f"{typical:.2f} us", f"at most {limit:g} us"
    return Measured("rail-latency", state, str(lane), "typical write of 2 bytes", measured, expected, remedy, about)
