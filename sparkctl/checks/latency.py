"""Check of RDMA latency on every rail."""

from __future__ import annotations

from collections.abc import Iterator

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
from sparkctl.loadtest.results import Lane, Measure
from sparkctl.outcome import Known, State, Verdict


@check(
    "rail-latency", "network", after=("rail-bandwidth", *CAUSES), slowed=("rail-bandwidth", *SLOWING), load="measured"
)
def latency(view: View) -> Iterator[Verdict]:
    """A write of two bytes arrives within some microseconds."""
    yield from unasked(view, "rail-latency")
    load = loaded(view)
    if load is None:
        return
    if not any(trials(load, "latency", 1)):
        reason = "not measured: verify --load without --quick does"
        yield Verdict("rail-latency", "skipped", EVERYWHERE, reason)
    for trial, (fact,) in trials(load, "latency", 1):
        if isinstance(fact, Known):
            yield _judged(view, trial.lanes[0], fact.value)
        else:
            yield unmeasured(view, "rail-latency", str(trial.lanes[0]), fact, trial.lanes)


def _judged(view: View, lane: Lane, measure: Measure) -> Verdict:
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
