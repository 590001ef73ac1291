"""Check of the kernel's log: no fatal PCIe error of the ConnectX-7 since boot."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check
from sparkctl.checks.hosts import STAGE, skipped, surveyed, unasked, unreadable
from sparkctl.outcome import Fact, Known, Unknown, Verdict

ID = "pcie-errors"
REMEDY = (
    "escalate: save `sudo journalctl -k -b` of {node}, shut it down, unplug it for 60 s; when it comes back, "
    "the board or its cooling is at fault: open a case with the maker"
)


@check(ID, STAGE, survey=True)
def pcie_errors(view: View) -> Iterator[Verdict]:
    """The kernel has logged no fatal PCIe error of the network card: the next one can freeze the node (facts ff48)."""
    for node, fact in surveyed(view, lambda survey: survey.pcie_errors).items():
        yield _judged(view, node, fact)


def _judged(view: View, node: str, fact: Fact[tuple[str, ...]]) -> Verdict:
    if fact == NOT_ASKED:
        return unasked(ID, node)
    if not isinstance(fact, Known):
        if view.expect == "lab":
            return skipped(ID, node, "emulated nodes have no PCIe link of a ConnectX-7")
        return unreadable(ID, node, "kernel log", fact if isinstance(fact, Unknown) else Unknown(fact.reason))
    if not fact.value:
        return Verdict(ID, "pass", node, "fatal PCIe errors since boot", "none", "none")
    measured = f"{len(fact.value)}, the last: {fact.value[-1]}"
    return Verdict(ID, "fail", node, "fatal PCIe errors since boot", measured, "none", REMEDY.format(node=node))
