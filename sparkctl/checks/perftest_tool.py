"""Check of the tool that load tests need."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check, ends
from sparkctl.checks.hosts import STAGE, skipped, surveyed, unasked, unreadable
from sparkctl.outcome import Known, Unknown, Verdict

REMEDY = "sudo apt install perftest"


@check("perftest", STAGE, load="needed")
def perftest(view: View) -> Iterator[Verdict]:
    """ib_write_bw is there where bandwidth is to be measured: nothing else shows the commonest fault (facts ff2)."""
    if view.cluster.fabric.transport == "tcp":
        yield skipped("perftest", "cluster", "transport is tcp: no RDMA anywhere")
        return
    for node, fact in surveyed(view, lambda survey: survey.perftest).items():
        if isinstance(fact, Known):
            yield Verdict("perftest", "pass", node, "perftest", fact.value, "installed")
        elif isinstance(fact, Unknown):
            yield unreadable("perftest", node, "perftest", fact)
        elif fact == NOT_ASKED:
            yield unasked("perftest", node)
        elif view.load is None:
            yield skipped("perftest", node, f"ib_write_bw is not installed; `verify --load` needs it: {REMEDY}")
        else:
            remedy, touched = f"on {node}: {REMEDY}", ends(view.fabric.of(node))
            message = "ib_write_bw is not installed"
            yield Verdict("perftest", "fail", node, message, "absent", "installed", remedy, touched)
