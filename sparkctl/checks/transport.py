"""What the checks of tests under load share: when they are skipped, and why a test gave no number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkctl.checks.base import NOT_ASKED, View, see
from sparkctl.loadtest.results import Lane, Load, Measure, Tool, Trial
from sparkctl.outcome import Absent, Cause, Fact, RailEnd, Unknown, Verdict

CAUSES = (
    "rail-carrier", "cabling", "rail-address", "rail-ping", "roce-device", "rail-gid", "rail-path", "rail-speed",
    "pcie-link", "perftest", "firewall",
)  # fmt: skip
"""What explains that a test does not run."""
SLOWING = ("rail-carrier", "cabling", "rail-speed", "pcie-link")
"""What explains a low number. Not a firewall: RDMA passes the host's by; not rail-mtu: MTU 1500 costs 20 % at most
(facts ff3.4)."""
LAB = "judged that it runs, not how fast"
EVERYWHERE = "all rails"


def unasked(view: View, id: str) -> Iterator[Verdict]:
    """One verdict that says why nothing was measured; none where something was."""
    if view.cluster.fabric.transport == "tcp":
        yield Verdict(id, "skipped", EVERYWHERE, "transport is tcp: no RDMA anywhere")
    elif view.load is None:
        yield Verdict(id, "skipped", EVERYWHERE, "not asked: verify --load measures it")


def loaded(view: View) -> Load | None:
    """What was measured under load; None where `unasked` has a reason."""
    return None if view.cluster.fabric.transport == "tcp" else view.load


def trials(load: Load, tool: Tool, kind: str = "alone") -> Iterator[tuple[Trial, tuple[Fact[Measure], ...]]]:
    """The trials of `tool` of one `Trial.kind`, and what came of each."""
    return ((t, facts) for t, facts in load.measured.items() if t.tool == tool and t.kind == kind)


def ends_of(lanes: Iterable[Lane]) -> tuple[RailEnd, ...]:
    """Both ends of every lane, as verdicts name them."""
    return tuple(end for lane in lanes for end in lane.ends)


def unmeasured(view: View, id: str, where: str, fact: Absent | Unknown, lanes: tuple[Lane, ...]) -> Verdict:
    """A test that gave no number: Absent where RDMA certainly does not work, which is a failure of its own."""
    about = ends_of(lanes)
    cause = _cause(view, lanes)
    if cause:
        return see(id, where, fact.reason, cause, about)
    if isinstance(fact, Unknown):
        remedy = "see the reason, then run it again; `sparkctl explain rail-bandwidth` tells how to try it by hand"
        return Verdict(id, "unknown", where, fact.reason, remedy=remedy, ends=about)
    remedy = (
        "does `rdma link` show ACTIVE at both ends, and does `ib_write_bw` by hand? UDP port 4791 must pass, and TCP "
        "ports from 18515 on, where perftest's two ends meet"
    )
    return Verdict(id, "fail", where, fact.reason, "no connection", "a measure", remedy, about)


def clockless(id: str, where: str, lanes: Iterable[Lane]) -> Verdict:
    """The test ran, and perftest could not tell how fast."""
    remedy = "run it again when nothing else runs on these nodes; is the clock source steady?"
    return Verdict(id, "unknown", where, "perftest could not calibrate its clock", remedy=remedy, ends=ends_of(lanes))


def _cause(view: View, lanes: tuple[Lane, ...]) -> Cause | None:
    """The node without perftest, as the check that says so names it."""
    for node in dict.fromkeys(end.node for lane in lanes for end in (lane.client, lane.server)):
        survey = view.facts[node].survey
        if isinstance(survey.perftest, Absent) and survey.perftest != NOT_ASKED:
            return Cause("perftest", node)
    return None
