"""Check of RDMA writes both ways at once along each rail, as collectives send and receive."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import Measured, View, check
from sparkctl.checks.transport import CAUSES, EVERYWHERE, LAB, clockless, ends_of, loaded, trials, unasked, unmeasured
from sparkctl.loadtest.results import Lane, Load, Measure, Trial
from sparkctl.outcome import Fact, Known, Named, Remedy, State, Unknown, Verdict

ID = "rail-duplex"
APART = Unknown("one way alone was not measured")


@check(ID, "network", after=("rail-bandwidth", *CAUSES), slowed=("rail-bandwidth",), load="measured")
def duplex(view: View) -> Iterator[Verdict]:
    """Both ways at once move nearly what they move one after the other (facts N1).

    A slow link is as slow one way, so it excuses no share; a rate that fails one way does.
    """
    yield from unasked(view, ID)
    load = loaded(view)
    if load is None:
        return
    if not any(trials(load, "bandwidth", "ways")):
        yield Verdict(ID, "skipped", EVERYWHERE, "not measured: verify --load without --quick does")
    for trial, facts in trials(load, "bandwidth", "ways"):
        yield _judged(view, trial, (*facts, *(_alone(load, lane) for lane in trial.lanes)))


def _alone(load: Load, lane: Lane) -> Fact[Measure]:
    return load.measured.get(Trial("bandwidth", (lane,)), (APART,))[0]


def _judged(view: View, trial: Trial, facts: tuple[Fact[Measure], ...]) -> Verdict:
    where, about = trial.both_ways, ends_of(trial.lanes[:1])
    known = [fact.value for fact in facts if isinstance(fact, Known)]
    if len(known) < len(facts):
        return unmeasured(view, ID, where, next(f for f in facts if not isinstance(f, Known)), trial.lanes)
    there, back, *alone = (measure.gbits or 0.0 for measure in known)
    ways = zip(trial.lanes, (there, back), strict=True)
    shown = " and ".join(f"{gbits:.2f} {lane.client.node} -> {lane.server.node}" for lane, gbits in ways)
    if view.expect == "lab":
        return Verdict(ID, "pass", where, LAB, f"{shown} Gb/s", "a measure", ends=about)
    if any(measure.gbits is None for measure in known) or not sum(alone):
        return clockless(ID, where, trial.lanes)
    share, limit = (there + back) / sum(alone), view.thresholds.duplex_pass
    state: State = "pass" if share >= limit else "warn"
    named, remedy = ("both ways at once", "") if state == "pass" else _fault(view, trial, share)
    measured = f"{share:.3f} of one way + one way ({shown} Gb/s; alone {' and '.join(f'{g:.2f}' for g in alone)})"
    return Measured(ID, state, where, named, measured, f"at least {limit:g}", remedy, about)


def _fault(view: View, trial: Trial, share: float) -> tuple[str, str]:
    """A degraded pair was seen at 0.55 and less; what lies between is no state that anybody knows."""
    if share >= view.thresholds.duplex_degraded:
        return "both ways at once are a little slow", "measure again without other load; see rdma-counters, pcie-link"
    nodes = " and ".join(sorted(trial.nodes))
    known = "a new link or a reload of the driver does not help"
    said = f"reboot both ends, {nodes}, then measure again: {known}"
    return "degraded duplex state", Remedy(said, *(Named("reboot", "now", node) for node in sorted(trial.nodes)))
