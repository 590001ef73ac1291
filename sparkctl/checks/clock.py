"""Check of the clocks: all nodes agree on the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import STAGE, skipped, unreadable
from sparkctl.checks.thresholds import Thresholds
from sparkctl.outcome import Absent, Unknown, Verdict

ID = "clock-skew"
Bounds = tuple[float, float]
"""Least and most seconds that a node is ahead of the controller: the answer took time to come."""


@check(ID, STAGE, survey=True)
def skew(view: View) -> Iterator[Verdict]:
    """The clocks of all nodes are within the limit of one another; logs and certificates need that."""
    limit = view.thresholds.clock_skew
    read = {node.name: view.skews[node.name] for node in view.cluster.nodes if node.name in view.skews}
    yield from (_unread(view, node.name) for node in view.cluster.nodes if node.name not in read)
    odd = _odd(read, limit)
    if _apart(read, limit) and not odd:
        shown = "; ".join(f"{node} {ahead(bounds)}" for node, bounds in read.items())
        yield Verdict(ID, "fail", "cluster", "the clocks differ", shown, _expected(limit), _remedy("every node"))
    for node, bounds in read.items():
        if node in odd:
            message = "its clock differs from the others'"
            yield Verdict(ID, "fail", node, message, ahead(bounds), _expected(limit), _remedy(node))
        elif odd or not _apart(read, limit):
            yield _agreeing(node, bounds, view.thresholds)


def _agreeing(node: str, bounds: Bounds, limits: Thresholds) -> Verdict:
    """Unknown where the answer took so long that it could hide more than the limit; all may be wrong alike."""
    limit = limits.clock_skew
    if differ(bounds, (0.0, 0.0), limits.clock_wrong):
        said = "the nodes agree, but not with this machine: one of the two is wrong"
        expected = f"at most {limits.clock_wrong:g} s from this machine's clock"
        return Verdict(ID, "warn", node, said, ahead(bounds), expected, f"{_remedy(node)}, here as well")
    if bounds[1] - bounds[0] > limit:
        reason = f"the answer took {bounds[1] - bounds[0]:.1f} s: too long to tell {limit:g} s"
        return Verdict(ID, "unknown", node, reason, remedy="verify again when the node and the network are less busy")
    return Verdict(ID, "pass", node, "clock", ahead(bounds), _expected(limit))


def _unread(view: View, node: str) -> Verdict:
    said = (view.facts[node].survey.clock, view.facts[node].skew)
    for fact in said:
        if isinstance(fact, Unknown):
            return unreadable(ID, node, "clock", fact)
    absent = [fact.reason for fact in said if isinstance(fact, Absent)]
    return skipped(ID, node, f"clock: {absent[0] if absent else 'it was not compared with the controller'}")


def _apart(read: Mapping[str, Bounds], limit: float) -> bool:
    return any(differ(one, other, limit) for one in read.values() for other in read.values())


def differ(one: Bounds, other: Bounds, limit: float) -> bool:
    """Whether two clocks are certainly more than `limit` apart, whatever the answers' ways took."""
    return max(one[0] - other[1], other[0] - one[1]) > limit


def _odd(read: Mapping[str, Bounds], limit: float) -> frozenset[str]:
    """Those that differ from most others; none where no majority agrees."""
    against = {n: sum(differ(mine, other, limit) for other in read.values()) for n, mine in read.items()}
    odd = frozenset(node for node, count in against.items() if 2 * count > len(read) - 1)
    return odd if 2 * len(odd) < len(read) else frozenset()


def ahead(bounds: Bounds) -> str:
    """How far a clock is from the controller's, as far as that is known."""
    middle, spread = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    return f"{abs(middle):.2f} s {'ahead' if middle >= 0 else 'behind'} (+-{spread:.2f})"


def _expected(limit: float) -> str:
    return f"at most {limit:g} s apart"


def _remedy(node: str) -> str:
    return f"on {node}: sudo timedatectl set-ntp true; `timedatectl` tells whether it reaches a time server"
